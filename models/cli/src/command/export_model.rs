//! `bsq export-model`: a training's checkpoint as a file of weights to use or to give away.

use super::Verdict;
use super::error::CliError;
use super::interrupt::uninterrupted;
use super::model::OpenModel;
use super::output::Output;
use super::paths;
use bsq::any_model::AnyModel;
use bsq::prior::Storage;
use bsq_ir::DType;
use bsq_runtime::checkpoint::pytorch;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;

/// Writes the weights of a training, or of any model, as one file.
#[derive(Args)]
#[command(long_about = "\
Writes the weights of a training, or of any model, as one file.

A checkpoint holds the optimizer's state and averages beside the weights. What is written is the \
model alone: the averaged weights where there are any, with their configuration but without the names \
of folders. --model, --prior and the like take the file.

A name that ends in .pt or .pth gives a PyTorch state dict, which torch.load reads; any other a \
safetensors file. A PyTorch checkpoint can be the model, too: so it becomes safetensors with its \
configuration inside.

--format f16 halves the file. The rounded model is another one: its tokens and streams are not those of \
the exact weights.")]
#[command(after_long_help = "\
Examples:
  bsq export-model run -o mine.safetensors
  bsq export-model run -o mine.safetensors --format f16
  bsq export-model bsq36 -o bsq36.pt                           for PyTorch
  bsq export-model authors.pt --config bsq_256_b36g36 -o authors.safetensors
  bsq export-model run/prior -o prior.safetensors --keep u8    a prior of which matrices stay bytes")]
pub struct Arguments {
    #[command(flatten)]
    model: OpenModel,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How numbers are written; they are f32 again when they are read
    #[arg(long, value_enum, default_value_t = Format::F32)]
    format: Format,
    /// Of a prior, keep weight matrices in this format in memory, too: large ones decode faster
    #[arg(long, value_enum, value_name = "FORMAT")]
    keep: Option<Keep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    F32,
    F16,
    Bf16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Keep {
    Bf16,
    U8,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let path = &arguments.output;
    let dtype = match arguments.format {
        Format::F32 => DType::F32,
        Format::F16 => DType::F16,
        Format::Bf16 => DType::BF16,
    };
    let mut model = arguments.model.open(output)?;
    if let Some(keep) = arguments.keep {
        let AnyModel::Prior(prior) = &model else {
            return Err(CliError::new(format_args!(
                "--keep is for priors, and this is a {}",
                model.kind()
            )));
        };
        let storage = match keep {
            Keep::Bf16 => Storage::Bf16,
            Keep::U8 => Storage::U8,
        };
        model = AnyModel::Prior(prior.stored_as(storage)?);
    }
    paths::make_folder(path)?;
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    let is_torch = extension.is_some_and(|e| e == "pt" || e == "pth");
    uninterrupted(|| -> Result<(), CliError> {
        match is_torch {
            false => Ok(model.save(path, dtype)?),
            true => {
                let mut rounded = model.parameters().clone();
                for tensor in rounded.values_mut().filter(|x| x.dtype() == DType::F32) {
                    *tensor = tensor.to_dtype(dtype)?;
                }
                Ok(pytorch::save(path, &rounded)?)
            }
        }
    })?;
    let (bytes, kind) = (std::fs::metadata(path)?.len(), model.kind());
    let count: usize = model.parameters().values().map(|x| x.element_count()).sum();
    output.say(format_args!(
        "{}: {kind}, {count} parameters, {bytes} bytes{}",
        path.display(),
        match is_torch {
            true => ", a PyTorch state dict",
            false => "",
        }
    ))?;
    output.value(&json!({
        "output": path.display().to_string(),
        "kind": kind,
        "parameters": count,
        "bytes": bytes,
        "format": if is_torch { "pytorch" } else { "safetensors" },
    }))?;
    Ok(Verdict::Good)
}
