//! Each optimizer that a configuration can name: it trains, and goes on with the same bits.

use crate::{CONFIG, pictures, train, training};
use bsq::config::Config;
use bsq::train::{FILE_NAME, TrainRun, TrainingCheckpoint};
use bsq_nn::optimizer::is_state;
use bsq_runtime::checkpoint::Weights;
use std::fs;

const KINDS: [(&str, &str, &str); 5] = [
    ("adamw", "", "adamw.exp_avg."),
    ("adam", "", "optimizer.adam.exp_avg_sq."),
    (
        "sgd",
        "momentum = 0.8\nnesterov = true",
        "optimizer.sgd.momentum.",
    ),
    ("lion", "betas = [0.9, 0.99]", "optimizer.lion.exp_avg."),
    (
        "muon",
        "adamw_keys = [\"quant_embed\"]",
        "optimizer.muon.momentum.",
    ),
];

fn config(kind: &str, more: &str) -> String {
    let keys = format!("[optimizer]\nkind = \"{kind}\"\n{more}");
    let clipped = CONFIG.replace("lr = 1e-3", "lr = 1e-3\ngrad_clip_norm = 1.0");
    clipped.replace("[optimizer]", &keys)
}

#[test]
fn every_optimizer_trains_and_resumes_with_the_same_bits() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut weights = Vec::new();
    for (kind, more, state) in KINDS {
        let config = config(kind, more);
        let place = |name: &str| out.path().join(format!("{kind}-{name}"));
        let straight = training(&config, data.path(), &place("straight"));
        train(&straight).unwrap();
        let mut killed = training(&config, data.path(), &place("killed"));
        killed.steps = Some(3);
        train(&killed).unwrap();
        (killed.resume, killed.steps) = (true, None);
        train(&killed).unwrap();
        let file = |task: &TrainRun| fs::read(task.out.join(FILE_NAME)).unwrap();
        assert!(file(&straight) == file(&killed), "{kind}");

        let saved = TrainingCheckpoint::read(straight.out.join(FILE_NAME)).unwrap();
        let mut names = saved.tensors.keys();
        assert!(names.any(|name| name.starts_with(state)), "{kind}");
        let model = saved.parameters(Weights::Raw);
        assert!(!model.keys().any(|name| is_state(name)), "{kind}");
        if kind == "muon" {
            let left = "adamw.exp_avg.quant_embed.weight";
            assert!(saved.tensors.contains_key(left));
        }
        weights.push(model["quant_embed.bias"].bytes().to_vec());
    }
    // The configuration is what decides: no two end alike.
    for (first, a) in weights.iter().enumerate() {
        for (second, b) in weights.iter().enumerate().skip(first + 1) {
            assert!(a != b, "{} and {}", KINDS[first].0, KINDS[second].0);
        }
    }
}

#[test]
fn another_optimizer_does_not_go_on() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut task = training(&config("lion", ""), data.path(), out.path());
    task.steps = Some(1);
    train(&task).unwrap();
    task.config = Config::from_toml(&config("sgd", "")).unwrap();
    (task.resume, task.steps) = (true, None);
    let error = train(&task).unwrap_err().to_string();
    assert!(error.contains("optimizer.kind"), "{error}");
}

#[test]
fn keys_of_another_optimizer_are_refused() {
    for (kind, more, wanted) in [
        ("adamw", "momentum = 0.9", "optimizer.momentum"),
        ("muon", "nesterov = true", "optimizer.nesterov"),
        ("sgd", "adamw_keys = [\"head\"]", "optimizer.adamw_keys"),
        ("sgd", "momentum = 1.0", "optimizer.momentum"),
        ("rmsprop", "", "optimizer.kind"),
    ] {
        let error = Config::from_toml(&config(kind, more))
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted), "{error}");
    }
    let written = Config::from_toml(&config("muon", "")).unwrap().to_toml();
    assert!(written.contains("kind = \"muon\""), "{written}");
}
