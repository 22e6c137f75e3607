//! `bsq train`: from photos to a tokenizer.

use super::Verdict;
use super::error::CliError;
use super::interrupt;
use super::output::Output;
use bsq::config::Config;
use bsq::train::{self, Bar, Progress, Silent, TrainRun};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Trains a tokenizer on a folder of pictures.
#[derive(Args)]
#[command(long_about = "\
Trains a tokenizer on a folder of pictures.

A configuration is a .toml file, or a .yaml file of the reference implementation. The folder of \
the training gets the complete configuration, a log (JSON lines, and TensorBoard events) and \
checkpoint.safetensors, which `bsq reconstruct --model` reads and --resume goes on from. A \
training that is killed at any moment and resumed gives the same bits as one that is not; Ctrl-C \
finishes the step and saves first.")]
#[command(after_long_help = "\
Examples:
  bsq train config.toml --data photos --out run
  bsq train config.toml --data photos --out run --resume
  bsq train config.toml --data photos --out trial --steps 100")]
pub struct Arguments {
    /// What to train and how
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Folder of PNG and JPEG pictures, searched to the bottom [default: data.train_root]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of the training, made if need be
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on with the training in the folder
    #[arg(long)]
    resume: bool,
    /// Stop when N steps are done, counted from the very first; schedules stay as they are
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let (config, notices) = Config::load(&arguments.config)?;
    for notice in notices {
        output.note(format_args!("{}: {notice}", arguments.config.display()));
    }
    let data = arguments.data.or_else(|| config.data.train_root.clone());
    let Some(data) = data else {
        let message =
            "no pictures to train on: give --data, or data.train_root in the configuration";
        return Err(CliError::new(message));
    };
    let task = TrainRun {
        config,
        data,
        out: arguments.out,
        resume: arguments.resume,
        steps: arguments.steps,
        threads: output.threads,
        stop: interrupt::finish_first(),
    };
    let mut progress: Box<dyn Progress> = match output.is_json() {
        true => Box::new(Silent),
        false => Box::new(Bar::default()),
    };
    let outcome = train::run(&task, &mut *progress)?;
    output.say(format_args!(
        "{}: step {}",
        outcome.checkpoint.display(),
        outcome.step
    ))?;
    output.value(&json!({
        "checkpoint": outcome.checkpoint,
        "step": outcome.step,
        "loss": outcome.loss,
        "interrupted": task.was_stopped(),
    }))?;
    Ok(match task.was_stopped() {
        true => Verdict::Interrupted,
        false => Verdict::Good,
    })
}
