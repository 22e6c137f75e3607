//! Training a tiny prior on the tokens of a tiny tokenizer.

use bsq::config::{Config, PriorConfig};
use bsq::image_io::{ImageSize, Picture, save_png};
use bsq::pipeline::{
    ClipTokens, CompileOptions, ModelFile, NamedClip, NamedTokens, TokenFile, TokenizerSession,
    fingerprint,
};
use bsq::prior::{PriorFile, PriorSession, PriorSessionError, TileTokens};
use bsq::token_grid::{GridShape, TokenGrid};
use bsq::train::{
    Silent, TokenSource, TrainError, TrainOptions, TrainOutcome, TrainRun, run_prior,
    run_prior_with,
};
use bsq_ir::philox::random_word;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const TOKENIZER: &str = include_str!("../tiny.toml");

const PRIOR: &str = "
[prior]
bits = 12
sub_token_bits = 3
side = 4
width = 16
layers = 1
heads = 2
head_width = 8
truncation = 0.5
[data]
batch_size = 4
use_hflip = true
resize_min = 40
resize_max = 64
[optimizer]
lr = 1e-2
betas = [0.9, 0.96]
max_iter = 40
[train]
use_ema = true
ema_decay = 0.8
print_freq = 1
save_freq = 5
eval_freq = 0
";

/// Smooth pictures: their tokens have something to learn.
fn pictures() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..4_usize {
        let pixel = |i: usize| ((i % 192 + number * 40 + i / 192 * 2) % 256) as u8;
        let picture = Picture::new(64, 64, (0..3 * 64 * 64).map(pixel).collect());
        save_png(&picture, folder.path().join(format!("{number}.png"))).unwrap();
    }
    folder
}

fn tokenizer() -> ModelFile {
    ModelFile::untrained("tokenizer", Config::from_toml(TOKENIZER).unwrap(), 3).unwrap()
}

fn training(out: &Path, steps: Option<u64>, resume: bool) -> TrainRun<PriorConfig> {
    TrainRun {
        config: PriorConfig::from_toml(PRIOR).unwrap(),
        data: PathBuf::new(),
        out: out.to_path_buf(),
        resume,
        steps,
        threads: 1,
        device: bsq_runtime::Device::Cpu,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn train(run: &TrainRun<PriorConfig>, source: &TokenSource) -> Result<TrainOutcome, TrainError> {
    run_prior(run, &tokenizer(), source, &mut Silent)
}

/// The losses of the log.
fn losses(out: &Path) -> Vec<f64> {
    let log = fs::read_to_string(out.join("log.jsonl")).unwrap();
    let loss = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["train/loss"].as_f64().unwrap()
    };
    log.lines().map(loss).collect()
}

#[test]
fn a_resumed_training_has_the_bits_of_an_uninterrupted_one() {
    let (pictures, folder) = (pictures(), tempfile::tempdir().unwrap());
    let source = TokenSource::Pictures(pictures.path().to_path_buf());
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let outcome = train(&training(&whole, None, false), &source).unwrap();
    assert_eq!(outcome.step, 40);
    train(&training(&parts, Some(17), false), &source).unwrap();
    train(&training(&parts, None, true), &source).unwrap();
    let bytes = |out: &Path| fs::read(out.join("checkpoint.safetensors")).unwrap();
    assert!(bytes(&whole) == bytes(&parts));

    // It has learned: 12 bits are 8.3 nats.
    let losses = losses(&whole);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&losses[35..]) < 0.8 * mean(&losses[..3]), "{losses:?}");

    // What it wrote is a prior of that tokenizer.
    let prior = PriorFile::open(&outcome.checkpoint).unwrap();
    let tokenizer = tokenizer();
    let own = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
    assert_eq!(prior.tokenizer, own);
    let saved = folder.path().join("prior.safetensors");
    prior.save(&saved, bsq_ir::DType::F32).unwrap();
    assert_eq!(
        PriorFile::open(&saved).unwrap().fingerprint(),
        prior.fingerprint()
    );
}

#[test]
fn token_files_are_a_source_too() {
    let (pictures, folder) = (pictures(), tempfile::tempdir().unwrap());
    let tokenizer = tokenizer();
    let mut session = TokenizerSession::new(&tokenizer, CompileOptions::default());
    let named = (0..4).map(|number| {
        let path = pictures.path().join(format!("{number}.png"));
        let picture = bsq::image_io::load(path).unwrap().picture;
        NamedTokens {
            name: format!("{number}"),
            tokens: session.encode_picture(&picture, &mut |_| {}).unwrap(),
        }
    });
    let file = TokenFile::new(&tokenizer, named.collect(), Vec::new());
    let path = folder.path().join("tokens.safetensors");
    file.save(&tokenizer, &path).unwrap();
    let out = folder.path().join("run");
    train(
        &training(&out, None, false),
        &TokenSource::Files(vec![path]),
    )
    .unwrap();
    let losses = losses(&out);
    assert!(losses[39] < losses[0], "{losses:?}");
}

/// Random tokens that stand still: only the frame before says what they are.
#[test]
fn a_prior_of_clips_learns_what_stands_still() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = tokenizer();
    let clip = |seed: u64| {
        let word = |i: u64| u64::from(random_word(seed, 0, i)) >> 20;
        let frame: Vec<u64> = (0..8 * 8).map(word).collect();
        let size = ImageSize::square(64);
        let shape = GridShape {
            frames: 6,
            rows: 8,
            columns: 8,
        };
        NamedClip {
            name: "still".into(),
            rate: Default::default(),
            overlap: 0,
            tokens: ClipTokens {
                size,
                grid: TokenGrid::new(shape, frame.repeat(6)),
            },
        }
    };
    let file = TokenFile::new(&tokenizer, Vec::new(), (0..32).map(clip).collect());
    let path = folder.path().join("tokens.safetensors");
    file.save(&tokenizer, &path).unwrap();
    let after = |before: usize| {
        let out = folder.path().join(format!("{before}"));
        let mut run = training(&out, None, false);
        run.config.prior.frame_before = before;
        run.config.prior.truncation = 0.0;
        train(&run, &TokenSource::Files(vec![path.clone()])).unwrap();
        losses(&out)[30..].iter().sum::<f64>() / 10.0
    };
    let (with, without) = (after(1), after(0));
    assert!(with + 1.0 < without, "{with}, {without}");
}

/// A prior of pictures begins one of clips: what it says does not change until it is trained.
#[test]
fn a_prior_of_clips_begins_with_one_of_pictures() {
    let (pictures, folder) = (pictures(), tempfile::tempdir().unwrap());
    let source = TokenSource::Pictures(pictures.path().to_path_buf());
    let old = folder.path().join("pictures");
    train(&training(&old, Some(3), false), &source).unwrap();
    let begin = |out: &str, change: &dyn Fn(&mut PriorConfig)| {
        let mut run = training(&folder.path().join(out), Some(0), false);
        run.config.prior.frame_before = 5;
        change(&mut run.config);
        let options = TrainOptions {
            init_from: Some(old.to_str().unwrap().to_string()),
            ..TrainOptions::default()
        };
        run_prior_with(&run, &options, &tokenizer(), &source, &mut Silent)
    };
    let new = begin("clips", &|_| {}).unwrap().checkpoint;
    let old = PriorFile::open(&old.join("checkpoint.safetensors")).unwrap();
    let new = PriorFile::open(&new).unwrap();
    let said = |prior: &PriorFile| {
        let tokens: Vec<u64> = (0..6).map(|i| i * 677 % 4096).collect();
        let tile = |tokens: &[u64]| TileTokens::new(&prior.model, 2, 3, tokens, 4);
        let before: Vec<u64> = tokens.iter().rev().copied().collect();
        let tile = tile(&tokens).after(&tile(&before));
        let mut session = PriorSession::new(prior, &CompileOptions::default()).unwrap();
        let mut said = Vec::new();
        session
            .teacher_forced(&[tile], 4, &mut |_, probabilities| {
                said.extend(probabilities.iter().map(|p| p.to_bits()));
                Ok::<_, PriorSessionError>(())
            })
            .unwrap();
        said
    };
    assert!(said(&old) == said(&new));
    let error = begin("other", &|config| config.prior.neighbours = 3);
    assert!(error.unwrap_err().to_string().contains("stem.weight"));
}

#[test]
fn what_cannot_be_trained_on_is_refused() {
    let (pictures, folder) = (pictures(), tempfile::tempdir().unwrap());
    let source = TokenSource::Pictures(pictures.path().to_path_buf());
    let mut run = training(&folder.path().join("run"), None, false);
    run.config.data.resize_min = Some(20);
    let error = train(&run, &source).unwrap_err().to_string();
    assert!(
        error.contains("data.resize_min: 20 pixels is smaller"),
        "{error}"
    );
}
