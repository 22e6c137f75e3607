//! Training a transform codec: it begins as its transform, and goes on to the same bits.

use crate::pictures;
use bsq::config::TransformCodecConfig;
use bsq::train::{
    FILE_NAME, Silent, TrainError, TrainOptions, TrainOutcome, TrainRun, TrainingCheckpoint,
    TransformCodecEvaluator, run_transform_codec,
};
use bsq_runtime::Device;
use bsq_runtime::checkpoint::Weights;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const CONFIG: &str = r#"
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
    let mut config = TransformCodecConfig::from_toml(CONFIG).unwrap();
    config.data.val_root = Some(data.into());
    TrainRun {
        config,
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
    let evaluator = TransformCodecEvaluator::new(&task.config, data.path(), (1, Device::Cpu));
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
