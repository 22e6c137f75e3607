//! The programs in `examples/` that train, for a few steps each: their losses fall.

#[path = "../examples/custom_optimizer.rs"]
#[allow(dead_code)]
mod custom_optimizer;
#[path = "../examples/fashion_classifier.rs"]
#[allow(dead_code)]
mod fashion_classifier;
#[path = "../examples/flow_matching.rs"]
#[allow(dead_code)]
mod flow_matching;
#[path = "../examples/language_model.rs"]
#[allow(dead_code)]
mod language_model;

use std::path::Path;

#[test]
fn a_language_model_learns_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let text = "the quick brown fox jumps over the lazy dog. ".repeat(20);
    let outcome = language_model::train(folder.path(), text, 60).unwrap();
    // Of 4.85 nats for 128 letters; the text has 29.
    assert!(outcome.loss.unwrap() < 1.0, "{outcome:?}");
}

/// How far samples of a flow of so many steps are from the nearer moon, on average.
fn distance_after(steps: u64) -> f32 {
    let folder = tempfile::tempdir().unwrap();
    flow_matching::train(folder.path(), steps).unwrap();
    let points = flow_matching::sample(folder.path()).unwrap();
    let distance = |[x, y]: &[f32; 2]| {
        let upper = (x.hypot(y.max(0.0)) - 1.0).abs() - y.min(0.0);
        let below = (y - 0.5).max(0.0);
        let lower = ((x - 1.0).hypot((y - 0.5).min(0.0)) - 1.0).abs() + below;
        upper.min(lower)
    };
    points.iter().map(distance).sum::<f32>() / points.len() as f32
}

#[test]
fn a_flow_leads_from_noise_to_two_moons() {
    let (before, after) = (distance_after(1), distance_after(400));
    assert!(after < 0.45 * before, "{before} {after}");
}

#[test]
fn clothes_are_told_apart() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/fashion-mnist");
    let (loss, right) = fashion_classifier::train(&folder, 40).unwrap();
    assert!(loss < 1.2 && right > 0.6, "{loss} {right}");
}

#[test]
fn an_optimizer_of_ones_own_fits_a_sine() {
    let [own, adamw] = [true, false].map(|own| custom_optimizer::train(200, own).unwrap());
    assert!(own < 0.05 && adamw < 0.05, "{own} {adamw}");
}
