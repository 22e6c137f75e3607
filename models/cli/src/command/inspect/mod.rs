//! `bsq inspect`: what a file is.

mod kinds;

use super::error::{CliError, Context};
use super::failures::Failures;
use super::output::Output;
use super::{Verdict, stream};
use bsq::any_model::AnyModel;
use bsq::config::{Config, MaskedLmConfig, PriorConfig, TransformCodecConfig};
use bsq::masked_lm::{self, MaskedLm};
use bsq::pretrained;
use bsq::prior::{self, PriorModel};
use bsq::tokenizer::Tokenizer;
use bsq::transform_codec::{self, TransformCodec};
use bsq_runtime::checkpoint::{self, Checkpoint, Selection, Weights};
use bsq_runtime::tensor_data::HostTensor;
use clap::Args;
use kinds::{
    Kind, architecture, codec_architecture, kind, lm_architecture, of_model, prior_architecture,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Says what a stream, checkpoint, token file, model or configuration is.
#[derive(Args)]
#[command(long_about = "\
Says what a stream, checkpoint, token file, model or configuration is.

Of a stream (.bsq) it prints the picture's size, the models that it was coded with, and each \
tile with its size and whether its checksum is right; exit code 1 if one is not. With --bits it finds the levels of \
a transform codec's picture, which takes about as long as decoding it, and prints how many bits each group of \
coordinates takes: minus the logarithm of the probability of each decision, as a range coder gives none bits of its own. \
It also reads safetensors files, PyTorch checkpoints (as data: nothing in them is run) and configurations \
(.toml, or .yaml of the reference implementation), whatever the file is called, and prints the kind, \
the number of parameters, every tensor with type and shape, and the metadata.")]
#[command(after_long_help = "\
Examples:
  bsq inspect photo.bsq
  bsq inspect photo.bsq --bits                    what its bits go to
  bsq inspect model.safetensors
  bsq inspect *.bsq
  bsq inspect checkpoint.pt --json
  bsq inspect config.toml")]
pub struct Arguments {
    /// Streams, safetensors files, PyTorch checkpoints or configurations, folders of trainings, or a model that ships (default)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Of a PyTorch checkpoint, take the raw weights even if it has averaged ones
    #[arg(long)]
    raw: bool,
    /// Where the tensors are in the file: keys joined by dots, such as model.state_dict
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Of a picture's stream of levels, say how many bits each group of coordinates takes
    #[arg(long)]
    bits: bool,
    /// The codec of streams for --bits [default: default]
    #[arg(long, value_name = "NAME|PATH", requires = "bits")]
    model: Option<String>,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let (mut values, mut verdict) = (Vec::new(), Verdict::Good);
    let mut failures = Failures::default();
    for path in &arguments.files {
        let found = inspect(path, &arguments, output);
        if let Some((value, good)) = failures.keep(path, found)? {
            values.push(value);
            if !good {
                verdict = Verdict::CheckFailed;
            }
        }
    }
    let value = match arguments.files.len() {
        1 => values.pop().unwrap_or_else(|| json!({})),
        _ => json!({ "files": values }),
    };
    failures.finish(output, value, verdict)
}

/// What a file is, said and as a value, and whether it is good.
fn inspect(path: &Path, arguments: &Arguments, output: &Output) -> Result<(Value, bool), CliError> {
    let key = arguments.key.as_deref();
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    let is_config = extension.is_some_and(|e| ["toml", "yaml", "yml"].iter().any(|x| e == *x));
    if stream::is_stream(path) {
        let model = arguments.model.as_deref().unwrap_or("default");
        return stream::inspect(path, arguments.bits.then_some(model), output);
    }
    let value = match is_config {
        true => inspect_config(path, output),
        false if AnyModel::ships(&path.to_string_lossy()) => {
            let selection = Selection::from(Weights::Ema);
            let model = AnyModel::open(&path.to_string_lossy(), selection, None)?;
            let checkpoint = Checkpoint {
                metadata: [("config".to_string(), model.config())].into(),
                tensors: model.parameters().clone(),
                ..Checkpoint::default()
            };
            inspect_checkpoint(path, &checkpoint, of_model(&model), output)
        }
        false => {
            let weights = match arguments.raw {
                true => Weights::Raw,
                false => Weights::Ema,
            };
            let path = &pretrained::weights_file(path);
            let checkpoint = checkpoint::load(path, Selection { weights, key })?;
            inspect_checkpoint(path, &checkpoint, kind(path, &checkpoint), output)
        }
    };
    Ok((value?, true))
}

fn inspect_config(path: &Path, output: &Output) -> Result<Value, CliError> {
    // A file that cannot be read is reported by whoever reads it in earnest.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (specs, architecture) = if PriorConfig::is_prior(&text) {
        let config = super::prior::prior_config(&path.to_string_lossy(), output)?;
        let model = PriorModel::new(&config.prior);
        (
            prior::parameter_specs(&model),
            prior_architecture(&config.prior),
        )
    } else if TransformCodecConfig::is_transform_codec(&text) {
        let config = TransformCodecConfig::load(path)?;
        let codec = TransformCodec::new(&config.model);
        let specs = transform_codec::parameter_specs(&codec);
        (specs, codec_architecture(&config.model))
    } else if MaskedLmConfig::is_masked_lm(&text) {
        let config = MaskedLmConfig::from_toml(&text).in_(path.display())?;
        let specs = masked_lm::parameter_specs(&MaskedLm::new(&config.masked_lm));
        (specs, lm_architecture(&config.masked_lm))
    } else {
        let (config, notices) = Config::load(path)?;
        for notice in notices {
            output.note(format_args!("{}: {notice}", path.display()));
        }
        let tokenizer = Tokenizer::new(&config.model);
        (tokenizer.parameters(), architecture(&config))
    };
    let count: usize = specs.iter().map(|spec| spec.ty.shape.elements()).sum();
    output.say(format_args!("{}: configuration", path.display()))?;
    output.say(&architecture)?;
    output.say(format_args!(
        "{count} parameters in {} tensors",
        specs.len()
    ))?;
    let tensors = specs.iter().map(|spec| {
        json!({ "name": spec.name, "dtype": spec.ty.dtype.to_string(), "shape": spec.ty.shape.to_vec() })
    });
    let tensors: Vec<Value> = tensors.collect();
    if output.is_verbose() {
        say_tensors(&tensors, output)?;
    }
    Ok(json!({
        "file": path.display().to_string(),
        "kind": "configuration",
        "architecture": architecture,
        "parameters": count,
        "tensors": tensors,
    }))
}

fn inspect_checkpoint(
    path: &Path,
    checkpoint: &Checkpoint,
    Kind { name, details }: Kind,
    output: &Output,
) -> Result<Value, CliError> {
    let Checkpoint {
        tensors,
        skipped,
        metadata,
        source,
    } = checkpoint;
    let elements: usize = tensors.values().map(HostTensor::element_count).sum();
    let bytes: usize = tensors.values().map(|tensor| tensor.bytes().len()).sum();
    let non_finite: Vec<&String> = tensors
        .iter()
        .filter(|(_, tensor)| tensor.first_non_finite().is_some())
        .map(|(name, _)| name)
        .collect();
    output.say(format_args!("{}: {name} ({source})", path.display()))?;
    for line in &details {
        output.say(line)?;
    }
    output.say(format_args!(
        "{elements} elements in {} tensors, {:.1} MB",
        tensors.len(),
        bytes as f64 / 1e6
    ))?;
    if !non_finite.is_empty() {
        output.say(format_args!(
            "not finite: {} tensors, the first is {}",
            non_finite.len(),
            non_finite[0]
        ))?;
    }
    let listed = tensors.iter().map(|(name, tensor)| {
        json!({ "name": name, "dtype": tensor.dtype().to_string(), "shape": tensor.shape() })
    });
    let listed: Vec<Value> = listed.collect();
    say_tensors(&listed, output)?;
    for (name, why) in skipped {
        output.say(format_args!("  skipped {name}: {why}"))?;
    }
    for (key, text) in metadata {
        // A configuration is long; its gist has been printed.
        match text.lines().count() > 1 && !output.is_verbose() {
            true => output.say(format_args!(
                "metadata {key}: {} lines (-v prints them)",
                text.lines().count()
            ))?,
            false => output.say(format_args!("metadata {key}: {text}"))?,
        }
    }
    Ok(json!({
        "file": path.display().to_string(),
        "kind": name,
        "source": source.to_string(),
        "details": details,
        "elements": elements,
        "bytes": bytes,
        "not_finite": non_finite,
        "tensors": listed,
        "skipped": skipped,
        "metadata": metadata,
    }))
}

fn say_tensors(tensors: &[Value], output: &Output) -> Result<(), CliError> {
    let name = |tensor: &Value| tensor["name"].as_str().unwrap_or_default().to_string();
    let width = tensors.iter().map(|t| name(t).len()).max().unwrap_or(0);
    for tensor in tensors {
        output.say(format_args!(
            "  {:width$}  {}{}",
            name(tensor),
            tensor["dtype"].as_str().unwrap_or_default(),
            tensor["shape"]
        ))?;
    }
    Ok(())
}
