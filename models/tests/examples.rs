//! The programs in `examples/` that train, for a few steps each: their losses fall.

#[path = "../examples/record_losses.rs"]
#[allow(dead_code)]
mod record_losses;

use bsq::runtime::checkpoint::{self, Weights};
use record_losses::{custom_optimizer, fashion_classifier, flow_matching, language_model};
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

#[test]
fn what_a_training_beside_pytorch_needs_is_written() {
    let folder = tempfile::tempdir().unwrap();
    record_losses::record_all(folder.path(), 2).unwrap();
    let files = std::fs::read_dir(folder.path()).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 8);
    for file in files {
        let tensors = checkpoint::load(&file, Weights::Raw).unwrap().tensors;
        let losses = tensors["loss"].as_slice::<f32>().unwrap();
        assert!(losses.len() == 2 && losses.iter().all(|loss| loss.is_finite()));
        for start in ["parameter.", "batch.0.", "batch.1."] {
            assert!(
                tensors.keys().any(|name| name.starts_with(start)),
                "{start}"
            );
        }
    }
}
