//! `bsq export`: a program for GPUs as files that any loader can run.

use super::Verdict;
use super::device::TargetArgument;
use super::error::{CliError, Context};
use super::functions::{Named, Subject};
use super::interrupt::uninterrupted;
use super::output::Output;
use super::precision::RoundingArguments;
use bsq_runtime::cuda::{Manifest, PtxOptions, compile_ptx};
use clap::Args;
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Writes a model as PTX, with weights and a manifest, for other programs to run.
#[derive(Args)]
#[command(long_about = "\
Writes a model as PTX, with weights and a manifest, for other programs to run.

The folder gets one .ptx file for each kernel, weights.safetensors with parameters and constants, and \
manifest.json, which says what memory to take and what to launch on it in which order. docs/export.md \
describes the manifest, and docs/run_export.py is a small loader in Python. No GPU and no driver is \
needed to export; a configuration without weights is exported with those that a training starts from.

The program reconstructs pictures, or of a prior evaluates whole tiles; with --train it is a whole \
training step.")]
#[command(after_long_help = "\
Examples:
  bsq export default -o folder
  bsq export default -o folder --batch 16 --precision bf16 --target sm_89
  bsq export config.toml -o folder --train --force")]
pub struct Arguments {
    /// A model that ships (default), a file of weights, the folder of a training, or a configuration; of a
    /// tokenizer or a prior
    #[arg(value_name = "MODEL")]
    model: String,
    /// The folder to write, made if need be
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    target: TargetArgument,
    /// A training step instead of a reconstruction
    #[arg(long)]
    train: bool,
    /// Windows, or tiles, in the batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    rounding: RoundingArguments,
    /// Replace files in a folder that is not empty
    #[arg(long)]
    force: bool,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let target = arguments.target.options(arguments.rounding.tf32)?;
    let folder = &arguments.output;
    check_folder(folder, arguments.force)?;
    let model = Subject::open(&arguments.model, output)?;
    let weights = match model.weights(&arguments.model)? {
        Some(weights) => weights,
        None => {
            output.note(format_args!(
                "{}: no weights: exported with those that a training starts from",
                arguments.model
            ));
            model.init()?
        }
    };
    let batch = usize::from(arguments.batch);
    let (program, parameters) = match arguments.train {
        true => (
            Named {
                name: "training step",
                function: model.training_step(batch),
                exact: model.trains_exactly(),
            },
            model.start_of_training(batch, weights)?,
        ),
        false => (model.forward(batch), weights),
    };
    let given = arguments.rounding.precision;
    let options = PtxOptions {
        exact: program.exact,
        precision: match arguments.train {
            true => given.of_training(model.train_precision()),
            false => given.get(),
        },
        target,
        memory: None,
    };
    let compiled = compile_ptx(&program.function, &options)?;
    output.detail(&compiled.report);
    let manifest = Manifest {
        model: &arguments.model,
        function: program.name,
        batch,
        precision: arguments.rounding.precision.name(),
        options: &options,
        compiled: &compiled,
    };
    uninterrupted(|| manifest.write(folder, &parameters))?;
    output.say(format_args!(
        "{}: {} kernels, {} launches for {}, {:.1} MB of memory",
        folder.display(),
        compiled.entries.len(),
        compiled.program.launches.len(),
        format_args!("sm_{}", target.sm),
        compiled.report.peak_bytes as f64 / 1e6
    ))?;
    output.value(&json!({
        "model": arguments.model,
        "output": folder.display().to_string(),
        "program": program.name,
        "target": format!("sm_{}", target.sm),
        "kernels": compiled.entries.len(),
        "launches": compiled.program.launches.len(),
        "peak_bytes": compiled.report.peak_bytes,
        "compile_seconds": compiled.report.total().as_secs_f64(),
    }))?;
    Ok(Verdict::Good)
}

/// Nothing of somebody else's is replaced by accident, and it is said before the work.
fn check_folder(folder: &Path, force: bool) -> Result<(), CliError> {
    let mut entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        result => result.in_(folder.display())?,
    };
    match entries.next().is_some() && !force {
        false => Ok(()),
        true => Err(CliError::new(format_args!(
            "{}: not empty: name another folder, or replace what is in it with --force",
            folder.display()
        ))),
    }
}
