//! The bits of a prior as a loss.

use crate::{CONFIG, Heard, pictures, training};
use bsq::config::{Config, PriorConfig};
use bsq::image_io::load;
use bsq::pipeline::{CompileOptions, TokenizerSession};
use bsq::pretrained;
use bsq::prior::{PriorFile, PriorSession, PriorSessionError, TileTokens};
use bsq::train::{FILE_NAME, Silent, TrainOptions, TrainRun, run_with};
use bsq_ir::DType;
use bsq_runtime::checkpoint::Weights;
use std::fs;
use std::path::Path;

/// A prior of the tokens of `CONFIG`, of which it thinks some much likelier than others.
fn prior(path: &Path, seed: u64) -> TrainOptions {
    let mut config = PriorConfig::from_toml(
        "
        [prior]
        bits = 8
        side = 4
        width = 16
        layers = 1
        heads = 2
        head_width = 16
        ",
    )
    .unwrap();
    config.train.seed = seed;
    let mut prior = PriorFile::untrained("prior", config, "another tokenizer").unwrap();
    for tensor in prior.parameters.values_mut() {
        let values = tensor.as_mut_slice::<f32>().unwrap();
        values.iter_mut().for_each(|x| *x *= 4.0);
    }
    prior.save(path, DType::F32).unwrap();
    TrainOptions {
        rate_prior: Some(path.display().to_string()),
        ..TrainOptions::default()
    }
}

fn weighted(weight: f64) -> String {
    CONFIG
        .replace("[loss]\n", &format!("[loss]\nrate_weight = {weight}\n"))
        .replace("lr = 1e-3\nmax_iter = 6", "lr = 3e-3\nmax_iter = 40")
        .replace("max_decay_steps = 6", "max_decay_steps = 40")
}

/// Bits per token of the pictures in a folder.
fn bits_per_token(task: &TrainRun, options: &TrainOptions) -> f64 {
    let model = pretrained::open_at(&task.out, Weights::Raw).unwrap();
    let prior = pretrained::open_prior(options.rate_prior.as_ref().unwrap()).unwrap();
    let mut tokenizer = TokenizerSession::new(&model, CompileOptions::default());
    let mut session = PriorSession::new(&prior, &CompileOptions::default()).unwrap();
    let (mut bits, mut tokens) = (0.0, 0);
    for number in 0..4 {
        let picture = load(task.data.join(format!("{number}.png")))
            .unwrap()
            .picture;
        let seen = tokenizer.encode_picture(&picture, &mut |_| {}).unwrap();
        let tile = seen.grid.cut(0, 0, 4, 4).indices;
        let tile = TileTokens::new(&prior.model, 4, 4, &tile, 2);
        let mut visit = |place: bsq::prior::SubTokenPosition, probabilities: &[f32]| {
            let value = tile.token(place.row, place.column)[place.index];
            bits -= f64::from(probabilities[value as usize]).log2();
            Ok::<_, PriorSessionError>(())
        };
        let given = [tile.clone()];
        session.teacher_forced(&given, 2, &mut visit).unwrap();
        tokens += 16;
    }
    bits / f64::from(tokens)
}

#[test]
fn its_weight_makes_tokens_likelier() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let options = prior(&out.path().join("prior.safetensors"), 1);
    let trained = |weight: f64, name: &str| {
        let task = training(&weighted(weight), data.path(), &out.path().join(name));
        run_with(&task, &options, &mut Silent).unwrap();
        bits_per_token(&task, &options)
    };
    let (with, without) = (trained(1.0, "with"), trained(0.0, "without"));
    assert!(with < 0.7 * without, "{with} and {without} bits");
    let log = |name: &str| fs::read_to_string(out.path().join(name).join("log.jsonl")).unwrap();
    assert!(
        log("with")
            .lines()
            .all(|line| line.contains("train/rate\""))
    );
    assert!(!log("without").contains("train/rate\""));
}

#[test]
fn a_resumed_training_has_the_bits_of_one_that_was_not_and_the_same_prior() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let options = prior(&out.path().join("prior.safetensors"), 1);
    let task = |name: &str, steps: u64| {
        let mut task = training(&weighted(0.1), data.path(), &out.path().join(name));
        task.steps = Some(steps);
        task
    };
    let (straight, mut parts) = (task("straight", 4), task("parts", 3));
    let mut heard = Heard::default();
    run_with(&straight, &options, &mut heard).unwrap();
    let said = heard.0.join("\n");
    assert!(said.contains("tokens of another tokenizer"), "{said}");
    run_with(&parts, &options, &mut Silent).unwrap();
    (parts.resume, parts.steps) = (true, Some(4));
    run_with(&parts, &options, &mut Silent).unwrap();
    let bytes = |task: &TrainRun| fs::read(task.out.join(FILE_NAME)).unwrap();
    assert!(bytes(&straight) == bytes(&parts));

    let other = prior(&out.path().join("other.safetensors"), 2);
    parts.steps = Some(5);
    let error = run_with(&parts, &other, &mut Silent).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("another rate_prior"), "{error}");
}

#[test]
fn a_prior_that_is_missing_or_of_other_tokens_is_said() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let options = prior(&out.path().join("prior.safetensors"), 1);
    let said = |weight: f64, options: &TrainOptions, name: &str| {
        let mut task = training(&weighted(weight), data.path(), &out.path().join(name));
        task.steps = Some(1);
        let mut heard = Heard::default();
        run_with(&task, options, &mut heard).unwrap();
        heard.0.join("\n")
    };
    let without = said(0.5, &TrainOptions::default(), "missing");
    let expected = "no prior (--rate-prior NAME|PATH): this term is left out";
    assert!(without.contains(expected), "{without}");
    let useless = said(0.0, &options, "useless");
    assert!(useless.contains("loss.rate_weight is 0"), "{useless}");

    let fails = |config: &str, name: &str| {
        let task = training(config, data.path(), &out.path().join("none"));
        let options = TrainOptions {
            rate_prior: Some(name.into()),
            ..TrainOptions::default()
        };
        run_with(&task, &options, &mut Silent)
            .unwrap_err()
            .to_string()
    };
    let error = fails(&weighted(0.5), "bsq18");
    assert!(error.contains("is for tokens of 18 bits"), "{error}");
    let of_levels = weighted(0.5).replace(
        "embed_dim = 8\nembed_group_size = 4\nl2_norm = true\npost_q_l2_norm = true",
        "quantizer = \"fsq\"\nlevels = [4, 4]",
    );
    let error = Config::from_toml(&of_levels).unwrap_err().to_string();
    assert!(error.contains("loss.rate_weight"), "{error}");
    let missing = out.path().join("nothing.safetensors");
    let error = fails(&weighted(0.5), missing.to_str().unwrap());
    assert!(error.contains("nothing.safetensors"), "{error}");
}
