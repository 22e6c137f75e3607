//! What goes wrong: two in one folder, divergence, broken pictures.

use crate::{CONFIG, Heard, pictures, train, training};
use bsq::train::{FILE_NAME, Progress, Sign, TrainError, TrainRun, run};
use bsq_nn::train::TrainError as LoopError;
use std::fs;

#[test]
fn two_trainings_in_one_folder_are_one_too_many() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    /// Tries to train in the same folder before the first step.
    struct Intruder(TrainRun, Option<TrainError>);
    impl Progress for Intruder {
        fn begin(&mut self, _: u64, _: u64, _: &str) {
            self.1 = train(&self.0).err();
        }
    }
    let mut task = training(CONFIG, data.path(), out.path());
    task.steps = Some(1);
    let mut intruder = Intruder(task.clone(), None);
    run(&task, &mut intruder).unwrap();
    let error = intruder.1.unwrap();
    assert!(
        matches!(error, TrainError::Loop(LoopError::Busy { .. })),
        "{error}"
    );
    // The lock has ended with the training.
    (task.resume, task.steps) = (true, Some(2));
    train(&task).unwrap();
}

#[test]
fn a_diverged_training_leaves_the_last_checkpoint() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let config = CONFIG.replace("save_freq = 2", "save_freq = 1");
    let mut task = training(&config, data.path(), out.path());
    task.steps = Some(2);
    train(&task).unwrap();
    let path = out.path().join(FILE_NAME);
    let good = fs::read(&path).unwrap();
    for (lr, max_iter) in [(1e4, 3), (1e4, 6), (1e38, 6), (1e39, 3), (1e39, 6)] {
        (task.resume, task.steps) = (true, None);
        task.config.optimizer.lr = Some(lr);
        task.config.optimizer.max_iter = max_iter;
        task.config.schedule = None;
        let error = train(&task).unwrap_err();
        let message = error.to_string();
        let TrainError::Loop(LoopError::Diverged {
            saved, sign, step, ..
        }) = error
        else {
            panic!("{error}");
        };
        assert_eq!(saved, 2, "{message}");
        assert!(
            message.contains("checkpoint of step 2 was kept"),
            "{message}"
        );
        match lr < 1e38 {
            true => assert!(matches!(sign, Sign::Grown { .. }) && step == 2, "{message}"),
            false => assert!(!matches!(sign, Sign::Hopeless { .. }), "{message}"),
        }
        assert!(
            fs::read(&path).unwrap() == good,
            "the checkpoint has changed"
        );
        let files = fs::read_dir(out.path()).unwrap().count();
        assert_eq!(
            files, 6,
            "configuration, checkpoint, lock, two logs and a page"
        );
    }
    // What the message advises can be done.
    task.config.optimizer.lr = Some(1e-4);
    task.config.optimizer.grad_clip_norm = Some(1.0);
    assert_eq!(train(&task).unwrap().step, 6);
}

#[test]
fn where_nothing_was_saved_nothing_is_claimed_to_be() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    for lr in ["1e4", "1e39"] {
        let config = CONFIG.replace("lr = 1e-3", &format!("lr = {lr}"));
        let mut task = training(&config, data.path(), &out.path().join(lr));
        (task.config.schedule, task.steps) = (None, Some(1));
        let error = train(&task).unwrap_err().to_string();
        assert!(error.contains("no checkpoint was saved"), "{error}");
        assert!(!task.out.join(FILE_NAME).exists());
        // "Start again": in the same folder, with or without a word.
        task.config.optimizer.lr = Some(1e-4);
        task.resume = lr == "1e4";
        let mut heard = Heard::default();
        run(&task, &mut heard).unwrap();
        let begins = heard.0.iter().any(|line| line.contains("begins at step 0"));
        assert_eq!(begins, task.resume);
    }
}

#[test]
fn a_broken_picture_is_left_out_and_the_training_is_that_of_the_others() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let without = training(CONFIG, data.path(), &out.path().join("without"));
    assert_eq!(train(&without).unwrap().broken, 0);
    let good = fs::read(data.path().join("1.png")).unwrap();
    fs::write(data.path().join("2b.png"), &good[..good.len() - 40]).unwrap();
    let with = training(CONFIG, data.path(), &out.path().join("with"));
    let mut heard = Heard::default();
    assert_eq!(run(&with, &mut heard).unwrap().broken, 1);
    let named = heard.0.iter().filter(|line| line.contains("2b.png"));
    assert_eq!(named.count(), 1, "{:?}", heard.0);
    let file = |task: &TrainRun| fs::read(task.out.join(FILE_NAME)).unwrap();
    assert!(file(&without) == file(&with));
}

#[test]
fn that_nothing_is_evaluated_is_said() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let config = CONFIG.replace("eval_freq = 0", "eval_freq = 2");
    let mut task = training(&config, data.path(), &out.path().join("none"));
    let mut heard = Heard::default();
    run(&task, &mut heard).unwrap();
    let line = "train.eval_freq = 2, but there are no pictures to evaluate on";
    assert!(
        heard.0.iter().any(|heard| heard.starts_with(line)),
        "{:?}",
        heard.0
    );
    task.out = out.path().join("some");
    task.config.data.val_root = Some(data.path().into());
    let mut heard = Heard::default();
    run(&task, &mut heard).unwrap();
    assert!(
        heard.0.iter().any(|heard| heard.starts_with("step 2: ")),
        "{:?}",
        heard.0
    );
}
