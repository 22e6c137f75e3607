//! Training from end to end, with a tiny model on pictures that are made here.

use bsq::config::Config;
use bsq::image_io::{Picture, save_png};
use bsq::train::{FILE_NAME, Silent, TrainError, TrainOutcome, TrainRun, TrainingCheckpoint, run};
use bsq_runtime::checkpoint::Weights;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

const CONFIG: &str = r#"
[model]
embed_dim = 8
embed_group_size = 4
l2_norm = true
post_q_l2_norm = true
[model.vitconfig]
image_size = 16
patch_size = 4
width = 48
layers = 1
heads = 2
mlp_ratio = 4
ln_pre = false
[model.dvitconfig]
image_size = 16
patch_size = 4
width = 48
layers = 1
heads = 2
mlp_ratio = 4
ln_pre = false
ln_post = false
use_ffn_output = false
[loss]
reconstruction = "mse"
perceptual_weight = 0.0
skip_disc = true
codebook_weight = 0.1
[data]
batch_size = 6
resize_min = 16
resize_max = 24
[optimizer]
lr = 1e-3
max_iter = 6
[optimizer.schedule]
warm_up_steps = 2
lr_start = 0.5
max_decay_steps = 6
[train]
use_ema = true
ema_decay = 0.5
print_freq = 1
save_freq = 2
eval_freq = 0
"#;

/// Gradients with stripes: what a transform coder can code.
fn pictures() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..4_usize {
        let pixel = |i: usize| {
            let (x, y) = (i % 40, i / 40);
            let stripe = if (x / (number + 1) + y / 3) % 2 == 0 {
                40
            } else {
                0
            };
            [5 * x + stripe, 4 * y + stripe, 60 * number].map(|v| v.min(255) as u8)
        };
        let picture = Picture::new(40, 30, (0..1200).flat_map(pixel).collect());
        save_png(&picture, folder.path().join(format!("{number}.png"))).unwrap();
    }
    folder
}

fn training(config: &str, data: &Path, out: &Path) -> TrainRun {
    TrainRun {
        config: Config::from_toml(config).unwrap(),
        data: data.into(),
        out: out.into(),
        resume: false,
        steps: None,
        threads: 1,
        device: bsq_runtime::Device::Cpu,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn train(task: &TrainRun) -> Result<TrainOutcome, TrainError> {
    run(task, &mut Silent)
}

#[test]
fn a_resumed_training_and_one_on_two_threads_have_the_bits_of_one_that_was_not() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let straight = training(CONFIG, data.path(), &out.path().join("straight"));
    let outcome = train(&straight).unwrap();
    assert_eq!((outcome.step, outcome.interrupted), (6, false));

    // Killed after the checkpoint of step 2: what happened afterwards is lost and done again.
    let mut killed = training(CONFIG, data.path(), &out.path().join("killed"));
    killed.steps = Some(3);
    train(&killed).unwrap();
    killed.resume = true;
    killed.steps = None;
    train(&killed).unwrap();

    let mut threads = training(CONFIG, data.path(), &out.path().join("threads"));
    threads.threads = 2;
    train(&threads).unwrap();
    let file = |task: &TrainRun| fs::read(task.out.join(FILE_NAME)).unwrap();
    assert!(file(&straight) == file(&killed), "resumed");
    assert!(file(&straight) == file(&threads), "two threads");
    let log = fs::read_to_string(killed.out.join("log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 6, "{log}");
}

#[test]
fn told_to_stop_it_finishes_its_step_and_saves() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut task = training(CONFIG, data.path(), out.path());
    task.stop = Arc::new(AtomicBool::new(true));
    let outcome = train(&task).unwrap();
    assert_eq!((outcome.step, outcome.interrupted), (1, true));
    let saved = TrainingCheckpoint::read(outcome.checkpoint).unwrap();
    assert_eq!(saved.step, 1);
    // The average is half way from the start to the first step's result.
    let raw = &saved.tensors["quant_embed.weight"];
    assert_eq!(saved.parameters(Weights::Raw)["quant_embed.weight"], *raw);
    assert_ne!(saved.parameters(Weights::Ema)["quant_embed.weight"], *raw);
}

#[test]
fn a_training_is_neither_overwritten_nor_mixed_with_another() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut task = training(CONFIG, data.path(), out.path());
    task.resume = true;
    let error = train(&task).unwrap_err().to_string();
    assert!(error.ends_with("so there is nothing to resume"), "{error}");
    task.resume = false;
    task.steps = Some(1);
    train(&task).unwrap();
    let error = train(&task).unwrap_err();
    assert!(matches!(error, TrainError::Exists { .. }), "{error}");
    task.config.optimizer.lr = Some(0.5);
    task.resume = true;
    let error = train(&task).unwrap_err().to_string();
    assert!(error.contains("`lr = 0.001`, not `lr = 0.5`"), "{error}");
}

#[test]
fn a_diverged_training_leaves_the_last_checkpoint() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let config = CONFIG
        .replace("lr = 1e-3", "lr = 1e38")
        .replace("warm_up_steps = 2", "");
    let task = training(&config, data.path(), out.path());
    let error = train(&task).unwrap_err();
    let TrainError::Diverged { saved, .. } = error else {
        panic!("{error}");
    };
    let path = out.path().join(FILE_NAME);
    match saved {
        0 => assert!(!path.exists()),
        step => assert_eq!(TrainingCheckpoint::read(path).unwrap().step, step),
    }
}

#[test]
fn a_transform_coder_starts_far_better_than_random_weights() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let loss = |init: &str| {
        let config = format!("{CONFIG}init = \"{init}\"\n")
            .replace("codebook_weight = 0.1", "codebook_weight = 0.0");
        let mut task = training(&config, data.path(), &out.path().join(init));
        task.steps = Some(1);
        train(&task).unwrap().loss.unwrap()
    };
    let (random, coder) = (loss("random"), loss("transform-coder"));
    assert!(
        coder < 0.2 * random,
        "{coder}, with random weights {random}"
    );
}

#[test]
fn frozen_parameters_keep_their_values() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let config = format!("{CONFIG}freeze = [\"encoder.\", \"quant_embed.\"]\n");
    let task = training(&config, data.path(), out.path());
    train(&task).unwrap();
    let saved = TrainingCheckpoint::read(out.path().join(FILE_NAME)).unwrap();
    let start = bsq::tokenizer::Tokenizer::new(&task.config.model).unwrap();
    let start = start.init(task.config.train.seed).unwrap();
    for (name, tensor) in saved.parameters(Weights::Raw) {
        let frozen = name.starts_with("encoder.") || name.starts_with("quant_embed.");
        assert_eq!(tensor == start[&name], frozen, "{name}");
    }
}
