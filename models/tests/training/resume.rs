//! A training that goes on, and what may change when it does.

use crate::{CONFIG, Heard, pictures, train, training};
use bsq::config::Config;
use bsq::train::{
    FILE_NAME, TrainError, TrainOptions, TrainRun, TrainingCheckpoint, run, run_with,
};
use bsq_nn::train::TrainError as LoopError;
use bsq_runtime::checkpoint::{self, Checkpoint, Weights, safetensors};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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
    assert!(
        matches!(error, TrainError::Loop(LoopError::Exists { .. })),
        "{error}"
    );
    task.resume = true;
    task.config.model.encoder.heads = 4;
    let error = train(&task).unwrap_err().to_string();
    let expected = "cannot be resumed: model.vitconfig.heads: 2 -> 4: this makes another model";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_does_not_change_the_model_may_change_and_is_said() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut task = training(CONFIG, data.path(), out.path());
    train(&task).unwrap();
    task.resume = true;
    let mut heard = Heard::default();
    assert_eq!(run(&task, &mut heard).unwrap().step, 6);
    assert!(
        heard.0[0].starts_with("all 6 steps are done"),
        "{heard:?}",
        heard = heard.0
    );

    // A training that is done goes on, at another rate and with clipped gradients.
    let optimizer = &mut task.config.optimizer;
    optimizer.max_iter = 8;
    optimizer.lr = Some(1e-4);
    optimizer.grad_clip_norm = Some(1.0);
    task.config.schedule = None;
    task.config.loss.codebook_weight = 0.0;
    task.config.train.print_freq = 2;
    let mut heard = Heard::default();
    assert_eq!(run(&task, &mut heard).unwrap().step, 8);
    for line in [
        "changed: optimizer.max_iter: 6 -> 8",
        "changed: optimizer.lr: 0.001 -> 0.0001",
        "changed: optimizer.grad_clip_norm: not set -> 1.0",
        "changed: optimizer.schedule.warm_up_steps: 2 -> not set",
        "changed: loss.codebook_weight: 0.1 -> 0.0",
        "changed: train.print_freq: 1 -> 2",
    ] {
        assert!(
            heard.0.iter().any(|heard| heard == line),
            "{line}: {:?}",
            heard.0
        );
    }
    task.steps = Some(9);
    assert_eq!(train(&task).unwrap().step, 9);
    let written = fs::read_to_string(out.path().join("config.toml")).unwrap();
    assert_eq!(Config::from_toml(&written).unwrap(), task.config);
}

#[test]
fn other_data_is_noticed_and_taken_only_if_asked_for() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut task = training(CONFIG, data.path(), out.path());
    task.steps = Some(2);
    train(&task).unwrap();
    // The same pictures elsewhere are the same data.
    let moved = pictures();
    (task.data, task.resume, task.steps) = (moved.path().into(), true, Some(3));
    train(&task).unwrap();
    fs::remove_file(moved.path().join("2.png")).unwrap();
    task.steps = Some(4);
    let error = train(&task).unwrap_err();
    let TrainError::Loop(LoopError::OtherData { before, now, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!((before, now), (4, 3));
    let options = TrainOptions {
        other_data: true,
        ..TrainOptions::default()
    };
    let mut heard = Heard::default();
    assert_eq!(run_with(&task, &options, &mut heard).unwrap().step, 4);
    assert!(
        heard
            .0
            .iter()
            .any(|line| line.starts_with("changed: the data")),
        "{:?}",
        heard.0
    );
}

#[test]
fn a_checkpoint_that_does_not_know_its_data_still_resumes() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut task = training(CONFIG, data.path(), &out.path().join("old"));
    task.steps = Some(3);
    train(&task).unwrap();
    let path = task.out.join(FILE_NAME);
    let mut checkpoint = checkpoint::load(&path, Weights::Raw).unwrap();
    for key in ["data", "first_loss", "first_size"] {
        checkpoint.metadata.remove(key).unwrap();
    }
    let Checkpoint {
        tensors, metadata, ..
    } = checkpoint;
    safetensors::save(&path, &tensors, &metadata).unwrap();
    (task.resume, task.steps) = (true, None);
    train(&task).unwrap();
    let straight = training(CONFIG, data.path(), &out.path().join("straight"));
    train(&straight).unwrap();
    let tensors = |task: &TrainRun| {
        TrainingCheckpoint::read(task.out.join(FILE_NAME))
            .unwrap()
            .tensors
    };
    assert_eq!(tensors(&task), tensors(&straight));
}
