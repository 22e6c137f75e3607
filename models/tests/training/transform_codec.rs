//! Training a transform codec: it begins as its transform, and goes on to the same bits.

use crate::pictures;
use bsq::config::{Config, TransformCodecConfig};
use bsq::data::list_folder;
use bsq::image_io::{Picture, save_png};
use bsq::train::{
    FILE_NAME, Silent, TrainError, TrainOptions, TrainOutcome, TrainRun, TrainingCheckpoint,
    TransformCodecEvaluator, run_transform_codec,
};
use bsq_collectives::Ranks;
use bsq_ir::DType;
use bsq_runtime::checkpoint::{self, Checkpoint, Weights, safetensors};
use bsq_runtime::{Device, HostTensor};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub const CONFIG: &str = r#"
[transform_codec]
encoder_width = 8
encoder_blocks = 1
decoder_width = 8
decoder_blocks = 1
context_width = 12
coarse_context_width = 12
detail_context_width = 8
level_width = 2
[loss]
encoder_start = 4
[data]
image_size = 64
batch_size = 2
resize_min = 64
resize_max = 80
[optimizer]
lr = 1e-3
max_iter = 6
weight_decay = 0.0
[train]
use_ema = true
ema_decay = 0.5
print_freq = 1
save_freq = 2
eval_freq = 3
"#;

fn training(data: &Path, out: &Path) -> TrainRun<TransformCodecConfig> {
    let mut task = task(CONFIG, data, out);
    task.config.data.val_root = Some(data.into());
    task
}

/// A training of one thread.
pub fn task(config: &str, data: &Path, out: &Path) -> TrainRun<TransformCodecConfig> {
    TrainRun {
        config: TransformCodecConfig::from_toml(config).unwrap(),
        data: data.into(),
        out: out.into(),
        resume: false,
        steps: None,
        threads: 1,
        device: Device::Cpu,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn train(task: &TrainRun<TransformCodecConfig>) -> Result<TrainOutcome, TrainError> {
    run_transform_codec(task, &TrainOptions::default(), &mut Silent)
}

#[test]
fn a_resumed_codec_and_one_on_two_threads_have_the_bits_of_one_that_was_not() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let straight = training(data.path(), &out.path().join("straight"));
    assert_eq!(train(&straight).unwrap().step, 6);

    // Killed after the checkpoint of step 2: what happened afterwards is lost and done again.
    let mut killed = training(data.path(), &out.path().join("killed"));
    killed.steps = Some(3);
    train(&killed).unwrap();
    (killed.resume, killed.steps) = (true, None);
    train(&killed).unwrap();

    let mut threads = training(data.path(), &out.path().join("threads"));
    threads.threads = 2;
    train(&threads).unwrap();
    let file = |task: &TrainRun<_>| fs::read(task.out.join(FILE_NAME)).unwrap();
    assert!(file(&straight) == file(&killed), "resumed");
    assert!(file(&straight) == file(&threads), "two threads");
    let log = fs::read_to_string(straight.out.join("log.jsonl")).unwrap();
    for name in ["eval/psnr.85", "eval/bits_per_pixel.120", "train/psnr.1"] {
        assert!(log.contains(name), "{log}");
    }
}

#[test]
fn the_encoder_is_trained_from_its_step_on() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut task = training(data.path(), out.path());
    let mut after = |steps: u64| {
        (task.resume, task.steps) = (steps > 1, Some(steps));
        let outcome = train(&task).unwrap();
        TrainingCheckpoint::read(outcome.checkpoint)
            .unwrap()
            .tensors
    };
    let [first, before, trained] = [1, 4, 5].map(&mut after);
    for (name, is_still) in [
        ("transform.analysis", true),
        ("coarse_transform.analysis", true),
        ("encoder.output.weight", true),
        ("transform.synthesis", false),
        ("decoder.output.weight", false),
        ("context.output.weight", false),
    ] {
        assert_eq!(first[name] == before[name], is_still, "{name}");
        assert_ne!(before[name], trained[name], "{name}");
    }
}

#[test]
fn it_begins_as_a_codec_and_another_model_is_refused() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut task = training(data.path(), out.path());
    task.steps = Some(1);
    let outcome = train(&task).unwrap();
    let saved = TrainingCheckpoint::read(&outcome.checkpoint).unwrap();
    let evaluator = TransformCodecEvaluator::new(
        &task.config,
        list_folder(data.path()).unwrap(),
        (1, Device::Cpu),
        &Ranks::default(),
    );
    let parameters = saved.parameters(Weights::Ema);
    let points = evaluator.unwrap().evaluate(&parameters).unwrap();
    assert_eq!(points[0].step, 42.0);
    assert!(points[0].psnr > 28.0, "{points:?}");
    for pair in points.windows(2) {
        assert!(pair[0].psnr > pair[1].psnr, "{points:?}");
    }

    (task.resume, task.steps) = (true, Some(2));
    task.config.model.level_width = 3;
    let error = train(&task).unwrap_err().to_string();
    let expected = "transform_codec.level_width: 2 -> 3: this makes another model";
    assert!(error.contains(expected), "{error}");
    task.config.model.level_width = 2;
    task.config.optimizer.lr = Some(2e-3);
    assert_eq!(train(&task).unwrap().step, 2);
}

#[test]
fn an_evaluation_has_the_ms_ssim_of_pictures_that_are_large_enough() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut task = training(data.path(), &out.path().join("small"));
    (task.config.train.eval_freq, task.steps) = (1, Some(1));
    let log_of = |task: &TrainRun<TransformCodecConfig>| {
        train(task).unwrap();
        fs::read_to_string(task.out.join("log.jsonl")).unwrap()
    };
    let log = log_of(&task);
    assert!(log.contains("eval/psnr.170") && !log.contains("ms_ssim"));

    let large = tempfile::tempdir().unwrap();
    let pixel = |i: usize| [i % 256, i / 256, i % 7 * 30].map(|sample| sample as u8);
    let picture = Picture::new(256, 256, (0..256 * 256).flat_map(pixel).collect());
    save_png(&picture, large.path().join("large.png")).unwrap();
    task.config.data.val_root = Some(large.path().into());
    task.out = out.path().join("large");
    let log = log_of(&task);
    let line = log.lines().find(|line| line.contains("ms_ssim")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let of = |step: u32| line[format!("eval/ms_ssim.{step}")].as_f64().unwrap();
    assert!(of(42) > 0.9 && of(42) < 1.0, "{line}");
    assert!(of(42) > of(85) && of(85) > of(170), "{line}");
}

/// Begins a training with the weights of `from`.
fn train_from(
    from: &Path,
    task: &TrainRun<TransformCodecConfig>,
) -> Result<TrainingCheckpoint, TrainError> {
    let options = TrainOptions {
        init_from: Some(from.to_str().unwrap().to_string()),
        ..TrainOptions::default()
    };
    let outcome = run_transform_codec(task, &options, &mut Silent)?;
    Ok(TrainingCheckpoint::read(outcome.checkpoint).unwrap())
}

#[test]
fn a_second_stage_begins_with_the_averages_of_the_first() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let first = training(data.path(), &out.path().join("first"));
    train(&first).unwrap();
    let first = TrainingCheckpoint::read(first.out.join(FILE_NAME)).unwrap();
    let averages = first.parameters(Weights::Ema);
    assert!(averages != first.parameters(Weights::Raw));

    // Another rate and another loss, on other pictures.
    let other = tempfile::tempdir().unwrap();
    fs::copy(data.path().join("2.png"), other.path().join("2.png")).unwrap();
    let mut second = training(other.path(), &out.path().join("second"));
    second.config.optimizer.lr = Some(3e-4);
    (second.config.loss.encoder_start, second.steps) = (0, Some(0));
    let from = out.path().join("first");
    let begun = train_from(&from, &second).unwrap();
    for weights in [Weights::Raw, Weights::Ema] {
        assert!(begun.parameters(weights) == averages, "{weights:?}");
    }
    let moment = |saved: &TrainingCheckpoint| {
        let moments = &saved.tensors["adamw.correction1"];
        moments.as_slice::<f32>().unwrap()[0]
    };
    assert!(moment(&begun) < moment(&first));

    // Its encoder waits as its own configuration says.
    second.out = out.path().join("trained");
    second.steps = Some(1);
    let trained = train_from(&from.join(FILE_NAME), &second).unwrap();
    let encoder = "transform.analysis";
    assert_ne!(trained.tensors[encoder], averages[encoder]);
    second.out = out.path().join("waiting");
    second.config.loss.encoder_start = 1;
    let waiting = train_from(&from, &second).unwrap();
    assert_eq!(waiting.tensors[encoder], averages[encoder]);
}

#[test]
fn a_second_stage_of_another_model_is_refused_in_one_line() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let mut first = training(data.path(), &out.path().join("first"));
    first.steps = Some(1);
    let path = train(&first).unwrap().checkpoint;
    let refused = |from: &Path, change: &dyn Fn(&mut TransformCodecConfig), words: &str| {
        let mut task = training(data.path(), &out.path().join("second"));
        change(&mut task.config);
        let error = train_from(from, &task).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.lines().count() == 1,
            "{error}"
        );
        assert!(error.starts_with(from.to_str().unwrap()), "{error}");
        assert!(!task.out.exists());
    };
    let words = "transform_codec.level_width: 2 -> 3: this makes another model";
    refused(&path, &|config| config.model.level_width = 3, words);
    // No shape shows this one.
    let words = "transform_codec.rounding: 0.4 -> 0.5: this makes another model";
    refused(&path, &|config| config.model.rounding = 0.5, words);

    let Checkpoint {
        mut tensors,
        mut metadata,
        ..
    } = checkpoint::load(&path, Weights::Raw).unwrap();
    let tokenizer = Config::from_toml(crate::CONFIG).unwrap().to_toml();
    let other = out.path().join("other.safetensors");
    let kept = metadata.insert("config".into(), tokenizer).unwrap();
    safetensors::save(&other, &tensors, &metadata).unwrap();
    let words = "not a transform codec";
    refused(&other, &|_| {}, words);

    metadata.insert("config".into(), kept);
    let name = "ema.coarse_transform.analysis";
    tensors.insert(name.into(), HostTensor::zeros(DType::F32, [48, 3]).unwrap());
    safetensors::save(&other, &tensors, &metadata).unwrap();
    let words = "`coarse_transform.analysis` is [48, 3], not [48, 48]";
    refused(&other, &|_| {}, words);
    tensors.remove(name);
    tensors.remove("coarse_transform.analysis");
    safetensors::save(&other, &tensors, &metadata).unwrap();
    let words = "`coarse_transform.analysis` is absent, not [48, 48]";
    refused(&other, &|_| {}, words);
}
