//! `bsq train`: from photos to a tokenizer, or to a prior of one.

use super::Verdict;
use super::device::DeviceArgument;
use super::error::CliError;
use super::interrupt;
use super::model::ModelArgument;
use super::output::Output;
use bsq::config::{Config, PriorConfig};
use bsq::prior::token_bits;
use bsq::train::{self, Bar, Progress, Silent, TokenSource, TrainOutcome, TrainRun};
use bsq_runtime::Device;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Trains a tokenizer on a folder of pictures, or a prior on a tokenizer's tokens.
#[derive(Args)]
#[command(long_about = "\
Trains a tokenizer on a folder of pictures, or a prior on a tokenizer's tokens.

A configuration is a .toml file, or a .yaml file of the reference implementation. One with a \
section [prior] is that of a prior, which `bsq encode` codes tokens with. It learns from the \
tokens of random crops of the pictures, or from files of tokens; --model says whose tokens.

The folder of the training gets the complete configuration, a log (JSON lines, and TensorBoard events) and \
checkpoint.safetensors, which `bsq reconstruct --model` or `bsq encode --prior` reads and --resume goes on from. A \
training that is killed at any moment and resumed gives the same bits as one that is not; Ctrl-C \
finishes the step and saves first.")]
#[command(after_long_help = "\
Examples:
  bsq train config.toml --data photos --out run
  bsq train config.toml --data photos --out run --resume
  bsq train config.toml --data photos --out trial --steps 100
  bsq train config.toml --data photos --out run --device cuda
  bsq train prior.toml --data photos --out run
  bsq train prior.toml --tokens all.safetensors --model my.safetensors --out run")]
pub struct Arguments {
    /// What to train and how
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Folder of PNG and JPEG pictures, searched to the bottom [default: data.train_root]
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
    /// Stop when N steps are done, counted from the very first; schedules stay as they are
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    #[command(flatten)]
    device: DeviceArgument,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    // A file that cannot be read is reported by whoever reads it in earnest.
    let text = std::fs::read_to_string(&arguments.config).unwrap_or_default();
    let mut progress: Box<dyn Progress> = match output.is_json() {
        true => Box::new(Silent),
        false => Box::new(Bar::default()),
    };
    let at = (arguments.device.open(output)?, output);
    let stop = interrupt::finish_first();
    let outcome = match PriorConfig::is_prior(&text) {
        true => train_prior(&arguments, at, &mut *progress)?,
        false => train_tokenizer(&arguments, at, &mut *progress)?,
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
        "interrupted": interrupted,
    }))?;
    Ok(match interrupted {
        true => Verdict::Interrupted,
        false => Verdict::Good,
    })
}

fn train_tokenizer(
    arguments: &Arguments,
    at: (Device, &Output),
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let (config, notices) = Config::load(&arguments.config)?;
    for notice in notices {
        at.1.note(format_args!("{}: {notice}", arguments.config.display()));
    }
    if !arguments.tokens.is_empty() {
        let message = "--tokens is for priors: a configuration with a section [prior]";
        return Err(CliError::new(message));
    }
    let Some(data) = arguments
        .data
        .clone()
        .or_else(|| config.data.train_root.clone())
    else {
        let message =
            "no pictures to train on: give --data, or data.train_root in the configuration";
        return Err(CliError::new(message));
    };
    Ok(train::run(&task(config, data, arguments, at), progress)?)
}

fn train_prior(
    arguments: &Arguments,
    at: (Device, &Output),
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let tokenizer = arguments.model.open(at.1)?;
    let bits = token_bits(tokenizer.tokenizer.config());
    let config = PriorConfig::load_for(&arguments.config, bits)?;
    let data = arguments
        .data
        .clone()
        .or_else(|| config.data.train_root.clone());
    let source = match (arguments.tokens.is_empty(), data) {
        (false, _) => TokenSource::Files(arguments.tokens.clone()),
        (true, Some(folder)) => TokenSource::Pictures(folder),
        (true, None) => {
            let message = "nothing to train on: give --data or --tokens, or data.train_root in the configuration";
            return Err(CliError::new(message));
        }
    };
    let task = task(config, PathBuf::new(), arguments, at);
    Ok(train::run_prior(&task, &tokenizer, &source, progress)?)
}

fn task<C>(
    config: C,
    data: PathBuf,
    arguments: &Arguments,
    (device, output): (Device, &Output),
) -> TrainRun<C> {
    TrainRun {
        config,
        data,
        out: arguments.out.clone(),
        resume: arguments.resume,
        steps: arguments.steps,
        threads: output.threads,
        device,
        stop: interrupt::finish_first(),
    }
}
