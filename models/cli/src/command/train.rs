//! `bsq train`: from photos to a tokenizer, a prior or a masked language model of one, or a transform codec.

use super::Verdict;
use super::device::DeviceArgument;
use super::error::CliError;
use super::interrupt;
use super::model::ModelArgument;
use super::output::Output;
use super::train_bar::Bar;
use bsq::config::{
    Config, DataConfig, MaskedLmConfig, MaskedLmDefaults, PriorConfig, TransformCodecConfig,
    shipped, shipped_names,
};
use bsq::data::LabelledPictures;
use bsq::prior::token_bits;
use bsq::train::{
    self, Notes, Progress, TokenSource, TrainError, TrainOptions, TrainOutcome, TrainRun,
};
use bsq_nn::train::TrainError as Loop;
use bsq_runtime::Device;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Trains a tokenizer or a transform codec on pictures, or a prior or a masked language model on tokens.
#[derive(Args)]
#[command(long_about = "\
Trains a tokenizer or a transform codec on pictures, or a prior or a masked language model on tokens.

A configuration is a .toml file, a .yaml file of the reference implementation, or the name of \
one that ships: default, bsq36, bsq18, video36, prior, prior_paper, transform_codec, \
transform_codec_ms_ssim, fashion, fashion_masked_lm. One with a section [transform_codec] is that of \
a transform codec, transform and probabilities in one model; one with a section [prior] is that of a prior, which `bsq encode` codes tokens with. It learns from the \
tokens of random crops of the pictures, or from files of tokens; --model says whose tokens. One with a \
section [masked_lm] is that of a masked language model, which `bsq generate` makes pictures with: it \
learns from the tokens of whole pictures with classes, a folder for each class or IDX files.

Pictures that cannot be read are left out and named. Links in the folder are followed, and every \
picture is taken once, whatever leads to it.

The folder of the training gets the complete configuration, a log (JSON lines, and TensorBoard events) and \
checkpoint.safetensors, which `bsq reconstruct --model` or `bsq encode --prior` reads and --resume goes on from. A \
training that is killed at any moment and resumed gives the same bits as one that is not; Ctrl-C \
finishes the step and saves first.

--resume takes a configuration whose rates, schedule, clipping, steps, intervals or loss weights \
have changed, and says what has; so a training that is done goes on with a higher max_iter. Another \
model, or other data, is refused. --init-from begins a new training with the weights of another.")]
#[command(after_long_help = "\
Examples:
  bsq train config.toml --data photos --out run
  bsq train config.toml --data photos --out run --resume
  bsq train config.toml --data photos --out trial --steps 100
  bsq train config.toml --data photos --out run --device cuda
  bsq train default --data photos --out run --val more_photos
  bsq train config.toml --data photos --out finer --init-from run
  bsq train transform_codec --data photos --out run --val more_photos
  bsq train transform_codec_ms_ssim --data photos --out run2 --init-from run
  bsq train prior.toml --data photos --out run
  bsq train fashion --data /usr/share/datasets/fashion-mnist --out tokenizer
  bsq train fashion_masked_lm --data pictures_by_class --model tokenizer --out run
  bsq train prior.toml --tokens all.safetensors --model my.safetensors --out run")]
pub struct Arguments {
    /// What to train and how: a file, or the name of a configuration that ships
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Folder of pictures, searched to the bottom, or IDX files (MNIST's format) [default:
    /// data.train_root]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Files that `bsq tokens` wrote: what a prior learns from instead of pictures
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "data")]
    tokens: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgument,
    /// Folder of the training, made if need be
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on with the training in the folder
    #[arg(long)]
    resume: bool,
    /// Resume although the data is not what it was; the result is that of neither alone
    #[arg(long, requires = "resume")]
    other_data: bool,
    /// Begin with these weights, at step 0: a file of weights, the folder of a training, or a name
    /// that ships (default)
    #[arg(long, value_name = "NAME|PATH", conflicts_with = "resume")]
    init_from: Option<String>,
    /// Weights of LPIPS's VGG16, for loss.perceptual_weight: what lpips.LPIPS(net='vgg') saves, or
    /// torchvision's network and the heads
    #[arg(long, value_name = "FILE", num_args = 1..)]
    lpips: Vec<PathBuf>,
    /// Folder of pictures to evaluate on while training [default: data.val_root]
    #[arg(long, value_name = "DIR")]
    val: Option<PathBuf>,
    /// Stop when N steps are done, counted from the very first, whatever optimizer.max_iter says;
    /// schedules stay as they are
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    #[command(flatten)]
    device: DeviceArgument,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let text = config_text(&arguments.config)?;
    let mut progress: Box<dyn Progress> = match output.is_json() {
        true => Box::new(Notes),
        false => Box::new(Bar::default()),
    };
    let at = (arguments.device.open(output)?, output);
    let stop = interrupt::finish_first();
    let outcome = if PriorConfig::is_prior(&text) {
        train_prior(&arguments, at, &mut *progress)?
    } else if MaskedLmConfig::is_masked_lm(&text) {
        train_masked_lm(&arguments, at, &mut *progress)?
    } else if TransformCodecConfig::is_transform_codec(&text) {
        train_transform_codec(&arguments, at, &mut *progress)?
    } else {
        train_tokenizer(&arguments, at, &mut *progress)?
    };
    let interrupted = stop.load(std::sync::atomic::Ordering::Relaxed);
    output.say(format_args!(
        "{}: step {}",
        outcome.checkpoint.display(),
        outcome.step
    ))?;
    output.value(&json!({
        "checkpoint": outcome.checkpoint,
        "step": outcome.step,
        "loss": outcome.loss,
        "broken_pictures": outcome.broken,
        "interrupted": interrupted,
    }))?;
    Ok(match interrupted {
        true => Verdict::Interrupted,
        false => Verdict::Good,
    })
}

/// The text of a configuration file; none of one that whoever reads it in earnest will refuse.
fn config_text(config: &Path) -> Result<String, CliError> {
    let name = config.to_string_lossy();
    match shipped_here(config) {
        Some(text) => Ok(text.to_string()),
        None if config.exists() => Ok(std::fs::read_to_string(config).unwrap_or_default()),
        None => {
            let names: Vec<&str> = shipped_names().collect();
            Err(CliError::new(format_args!(
                "{name}: neither a file nor a configuration that ships ({})",
                names.join(", ")
            )))
        }
    }
}

impl Arguments {
    /// The folder of pictures to train on; that to evaluate on goes into the configuration.
    fn pictures(&self, config: &mut DataConfig) -> Result<PathBuf, CliError> {
        if let Some(folder) = &self.val {
            config.val_root = Some(folder.clone());
        }
        self.folder(config).ok_or_else(|| {
            CliError::new(
                "no pictures to train on: give --data, or data.train_root in the configuration",
            )
        })
    }

    fn folder(&self, config: &DataConfig) -> Option<PathBuf> {
        self.data.clone().or_else(|| config.train_root.clone())
    }
}

fn train_tokenizer(
    arguments: &Arguments,
    at: (Device, &Output),
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let (mut config, notices) = match shipped_here(&arguments.config) {
        Some(text) => (Config::from_toml(text)?, Vec::new()),
        None => Config::load(&arguments.config)?,
    };
    // What makes it impossible is said before what is of no effect.
    train::check_supported(&config)?;
    for notice in notices {
        at.1.note(format_args!("{}: {notice}", arguments.config.display()));
    }
    if let Some(name) = arguments.model.given() {
        return Err(CliError::new(format_args!(
            "--model says whose tokens a prior learns, and {} is the configuration of a tokenizer: to begin with the weights of {name} give --init-from {name}",
            arguments.config.display()
        )));
    }
    if !arguments.tokens.is_empty() {
        let message = "--tokens is for priors: a configuration with a section [prior]";
        return Err(CliError::new(message));
    }
    let data = arguments.pictures(&mut config.data)?;
    let (task, options) = task(config, data, arguments, at);
    train::run_with(&task, &options, progress).map_err(with_option)
}

fn train_prior(
    arguments: &Arguments,
    at: (Device, &Output),
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let tokenizer = arguments.model.open(at.1)?;
    let bits = token_bits(tokenizer.tokenizer.config());
    let config = match shipped_here(&arguments.config) {
        Some(text) => PriorConfig::from_toml(text)?,
        None => PriorConfig::load_for(&arguments.config, bits)?,
    };
    if arguments.val.is_some() {
        let message = "--val is for tokenizers: a prior is not evaluated while it trains";
        return Err(CliError::new(message));
    }
    let source = match (arguments.tokens.is_empty(), arguments.folder(&config.data)) {
        (false, _) => TokenSource::Files(arguments.tokens.clone()),
        (true, Some(folder)) => TokenSource::Pictures(folder),
        (true, None) => {
            let message = "nothing to train on: give --data or --tokens, or data.train_root in the configuration";
            return Err(CliError::new(message));
        }
    };
    let (task, options) = task(config, PathBuf::new(), arguments, at);
    train::run_prior_with(&task, &options, &tokenizer, &source, progress).map_err(with_option)
}

fn train_masked_lm(
    arguments: &Arguments,
    at: (Device, &Output),
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    if arguments.val.is_some() || !arguments.tokens.is_empty() {
        let message = "--val and --tokens are not for a masked language model: it learns from pictures with classes (--data), and is not evaluated while it trains";
        return Err(CliError::new(message));
    }
    let tokenizer = arguments.model.open(at.1)?;
    let folder = arguments.data.clone();
    let folder = folder.ok_or_else(|| CliError::new("no pictures to train on: give --data"))?;
    let pictures = LabelledPictures::open(&folder)?;
    let defaults = MaskedLmDefaults {
        bits: token_bits(tokenizer.tokenizer.config()),
        tokens: tokenizer.tokenizer.config().encoder.tokens(),
        classes: pictures.classes.clone(),
    };
    let config = match shipped_here(&arguments.config) {
        Some(text) => MaskedLmConfig::from_toml_for(text, &defaults)?,
        None => MaskedLmConfig::load_for(&arguments.config, &defaults)?,
    };
    let (task, options) = task(config, folder, arguments, at);
    train::run_masked_lm(&task, &options, &tokenizer, &pictures, progress).map_err(with_option)
}

fn train_transform_codec(
    arguments: &Arguments,
    at: (Device, &Output),
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let mut config = match shipped_here(&arguments.config) {
        Some(text) => TransformCodecConfig::from_toml(text)?,
        None => TransformCodecConfig::load(&arguments.config)?,
    };
    if arguments.model.given().is_some() || !arguments.tokens.is_empty() {
        let message = "--model and --tokens are for priors: a configuration with a section [prior]";
        return Err(CliError::new(message));
    }
    let data = arguments.pictures(&mut config.data)?;
    let (task, options) = task(config, data, arguments, at);
    train::run_transform_codec(&task, &options, progress).map_err(with_option)
}

/// The configuration that ships under a name, unless there is a file of that name.
fn shipped_here(config: &Path) -> Option<&'static str> {
    match config.exists() {
        true => None,
        false => shipped(&config.to_string_lossy()),
    }
}

/// What stopped a training, with the option that answers it.
fn with_option(error: TrainError) -> CliError {
    let option = match &error {
        TrainError::Loop(Loop::Exists { .. }) => "--resume",
        TrainError::Loop(Loop::OtherData { .. }) => "--other-data",
        TrainError::Loop(Loop::AnotherModel { .. }) => "--init-from",
        _ => return error.into(),
    };
    CliError::new(format_args!("{error} ({option})"))
}

fn task<C>(
    config: C,
    data: PathBuf,
    arguments: &Arguments,
    (device, output): (Device, &Output),
) -> (TrainRun<C>, TrainOptions) {
    let run = TrainRun {
        config,
        data,
        out: arguments.out.clone(),
        resume: arguments.resume,
        steps: arguments.steps,
        threads: output.threads,
        device,
        stop: interrupt::finish_first(),
    };
    let options = TrainOptions {
        init_from: arguments.init_from.clone(),
        other_data: arguments.other_data,
        lpips: arguments.lpips.clone(),
    };
    (run, options)
}
