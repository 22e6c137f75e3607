//! What a training begins with: other weights, a transform coder, frozen parameters.

use crate::{CONFIG, Heard, pictures, train, training};
use bsq::image_io::{Picture, save_png};
use bsq::train::{FILE_NAME, TrainOptions, TrainingCheckpoint, run_with};
use bsq_runtime::checkpoint::Weights;
use std::fs;
use std::path::Path;

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
    let start = bsq::tokenizer::Tokenizer::new(&task.config.model);
    let start = start.init(task.config.train.seed).unwrap();
    for (name, tensor) in saved.parameters(Weights::Raw) {
        let frozen = name.starts_with("encoder.") || name.starts_with("quant_embed.");
        assert_eq!(tensor == start[&name], frozen, "{name}");
    }
}
