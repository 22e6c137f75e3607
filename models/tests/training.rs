//! Training from end to end, with a tiny model on pictures that are made here.

use bsq::config::Config;
use bsq::image_io::{Picture, save_png};
use bsq::train::{
    FILE_NAME, Progress, Sign, Silent, TrainError, TrainOptions, TrainOutcome, TrainRun,
    TrainingCheckpoint, run, run_with,
};
use bsq_runtime::checkpoint::{self, Checkpoint, Weights, safetensors};
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
    task.resume = true;
    task.config.model.encoder.heads = 4;
    let error = train(&task).unwrap_err().to_string();
    let expected = "cannot be resumed: model.vitconfig.heads: 2 -> 4: this makes another model";
    assert!(error.contains(expected), "{error}");
}

/// Keeps what a training says.
#[derive(Default)]
struct Heard(Vec<String>);

impl Progress for Heard {
    fn note(&mut self, line: &str) {
        self.0.push(line.to_string());
    }
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
    let TrainError::OtherData { before, now, .. } = error else {
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

#[test]
fn a_new_training_begins_with_the_weights_of_another() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let first = training(CONFIG, data.path(), &out.path().join("first"));
    train(&first).unwrap();
    let kept = TrainingCheckpoint::read(first.out.join(FILE_NAME)).unwrap();
    let begin = |name: &str, from: &Path, config: &str| {
        let mut task = training(config, data.path(), &out.path().join(name));
        task.steps = Some(1);
        let options = TrainOptions {
            init_from: Some(from.to_str().unwrap().to_string()),
            ..TrainOptions::default()
        };
        let mut heard = Heard::default();
        run_with(&task, &options, &mut heard).map(|outcome| (outcome, heard.0))
    };
    // A rate of zero leaves what it began with: here the averages of the first training.
    let still = CONFIG.replace("lr = 1e-3", "lr = 0.0");
    let (outcome, _) = begin("folder", &first.out, &still).unwrap();
    assert_eq!(outcome.step, 1);
    let begun = TrainingCheckpoint::read(&outcome.checkpoint).unwrap();
    assert_eq!(
        begun.parameters(Weights::Raw),
        kept.parameters(Weights::Ema)
    );
    let moment = |saved: &TrainingCheckpoint| {
        let moments = &saved.tensors["adamw.correction1"];
        moments.as_slice::<f32>().unwrap()[0]
    };
    assert!(moment(&begun) < moment(&kept));

    // Where it diverges at once, what it began with is there to go on from.
    let wild = still.replace("lr = 0.0", "lr = 1e39");
    let error = begin("wild", &first.out, &wild).unwrap_err().to_string();
    assert!(
        error.contains("the checkpoint of step 0 was kept"),
        "{error}"
    );
    let mut gentler = training(CONFIG, data.path(), &out.path().join("wild"));
    (gentler.resume, gentler.steps) = (true, Some(1));
    assert_eq!(train(&gentler).unwrap().step, 1);

    let other_heads = still.replacen("heads = 2", "heads = 3", 1);
    let (_, heard) = begin("heads", &first.out.join(FILE_NAME), &other_heads).unwrap();
    let line = "it was trained otherwise: model.vitconfig.heads: 2 -> 3";
    assert!(heard.iter().any(|heard| heard.ends_with(line)), "{heard:?}");

    let wider = CONFIG.replace("width = 48", "width = 64");
    let error = begin("wider", &first.out, &wider).unwrap_err().to_string();
    assert!(error.contains("cannot be started from"), "{error}");
    assert!(error.contains("[64]") && error.contains("[48]"), "{error}");
    assert!(!out.path().join("wider").exists());
}

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
    assert!(matches!(error, TrainError::Busy { .. }), "{error}");
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
        let TrainError::Diverged {
            saved, sign, step, ..
        } = error
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
        assert_eq!(files, 5, "configuration, checkpoint, lock and two logs");
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
    let line = "train.eval_freq = 2, but data.val_root is not set";
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

#[test]
fn what_is_to_be_frozen_has_to_be_there() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    for (keys, words) in [
        ("\"encodr.\"", "no parameter's name begins with \"encodr.\""),
        ("\"\"", "nothing is left to train"),
    ] {
        let config = format!("{CONFIG}freeze = [{keys}]\n");
        let error = train(&training(&config, data.path(), out.path())).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("train.freeze: ") && error.contains(words),
            "{error}"
        );
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
fn a_transform_coder_starts_on_pictures_that_do_not_vary() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{CONFIG}init = \"transform-coder\"\n");
    let black: fn(usize) -> [u8; 3] = |_| [0; 3];
    for (name, side, pixel) in [
        ("black", 20, black),
        ("white", 20, |_| [255; 3]),
        ("one pixel", 1, |_| [10, 200, 30]),
        ("ramp", 20, |i| [(12 * (i % 20)) as u8; 3]),
        ("dot", 20, |i| if i == 99 { [255; 3] } else { [0; 3] }),
    ] {
        let data = folder.path().join(name);
        fs::create_dir(&data).unwrap();
        let picture = Picture::new(side, side, (0..side * side).flat_map(pixel).collect());
        save_png(&picture, data.join("a.png")).unwrap();
        let mut task = training(&config, &data, &folder.path().join("out").join(name));
        task.config.loss.codebook_weight = 0.0;
        task.steps = Some(1);
        let loss = train(&task).unwrap().loss.unwrap();
        assert!(loss < 0.05, "{name}: {loss}");
        let trained = TrainingCheckpoint::read(task.out.join(FILE_NAME)).unwrap();
        for (parameter, tensor) in trained.parameters(Weights::Raw) {
            let values = tensor.as_slice::<f32>().unwrap();
            let largest = values.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            assert!(largest < 3e3, "{name}: {parameter} holds {largest}");
        }
    }
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
