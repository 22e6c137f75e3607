//! `bsq inspect`: what a file is.

use super::error::CliError;
use super::failures::Failures;
use super::output::Output;
use super::{Verdict, stream};
use bsq::config::{Config, PriorConfig, PriorModelConfig, QuantizerConfig};
use bsq::pipeline::{ModelFile, TokenFile, fingerprint};
use bsq::pretrained;
use bsq::prior::{PriorFile, PriorModel, parameter_specs};
use bsq::tokenizer::Tokenizer;
use bsq::train::TrainingCheckpoint;
use bsq_runtime::checkpoint::{self, Checkpoint, Selection, Weights};
use bsq_runtime::tensor_data::HostTensor;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Says what a stream, checkpoint, token file, model or configuration is.
#[derive(Args)]
#[command(long_about = "\
Says what a stream, checkpoint, token file, model or configuration is.

Of a stream (.bsq) it prints the picture's size, the models that it was coded with, and each \
tile with its size and whether its checksum is right; exit code 1 if one is not. It also reads safetensors files, PyTorch checkpoints (as data: nothing in them is run) and configurations \
(.toml, or .yaml of the reference implementation), whatever the file is called, and prints the kind, \
the number of parameters, every tensor with type and shape, and the metadata.")]
#[command(after_long_help = "\
Examples:
  bsq inspect photo.bsq
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
        return stream::inspect(path, output);
    }
    let value = match is_config {
        true => inspect_config(path, output),
        false if pretrained::names().any(|name| path.as_os_str() == name) => {
            let model = super::model::open(&path.to_string_lossy(), None)?;
            let checkpoint = Checkpoint {
                metadata: [("config".to_string(), model.config.to_toml())].into(),
                tensors: model.parameters,
                ..Checkpoint::default()
            };
            inspect_checkpoint(path, &checkpoint, output)
        }
        false => {
            let weights = match arguments.raw {
                true => Weights::Raw,
                false => Weights::Ema,
            };
            let path = &pretrained::weights_file(path);
            let checkpoint = checkpoint::load(path, Selection { weights, key })?;
            inspect_checkpoint(path, &checkpoint, output)
        }
    };
    Ok((value?, true))
}

fn inspect_config(path: &Path, output: &Output) -> Result<Value, CliError> {
    // A file that cannot be read is reported by whoever reads it in earnest.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (specs, architecture) = if PriorConfig::is_prior(&text) {
        let config = super::prior::prior_config(path, output)?;
        let model = PriorModel::new(&config.prior);
        (parameter_specs(&model), prior_architecture(&config.prior))
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
    output: &Output,
) -> Result<Value, CliError> {
    let Checkpoint {
        tensors,
        skipped,
        metadata,
        source,
    } = checkpoint;
    let Kind { name, details } = kind(path, checkpoint);
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

/// What a checkpoint was recognised as, and what more there is to say of it.
struct Kind {
    name: &'static str,
    details: Vec<String>,
}

fn kind(path: &Path, checkpoint: &Checkpoint) -> Kind {
    if TokenFile::is_token_file(checkpoint) {
        let text = |key: &str| {
            checkpoint
                .metadata
                .get(key)
                .map_or("unknown", String::as_str)
        };
        let pictures = (0..).map_while(|n| checkpoint.metadata.get(&format!("pictures.{n}")));
        let details = vec![
            format!(
                "made by the model {} ({})",
                text("model_name"),
                text("model")
            ),
            format!("{} pictures", pictures.count()),
        ];
        return Kind {
            name: "token file",
            details,
        };
    }
    if let Ok(training) = TrainingCheckpoint::of(path, checkpoint) {
        let mut details = vec![format!("{} steps done", training.step)];
        if let Ok(config) = Config::from_toml(&training.settings) {
            details.push(architecture(&config));
        } else if let Ok(config) = PriorConfig::from_toml(&training.settings) {
            details.push(prior_architecture(&config.prior));
        }
        return Kind {
            name: "checkpoint of a training",
            details,
        };
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    if let Ok(prior) = PriorFile::from_checkpoint(&name.to_string_lossy(), path, checkpoint) {
        let details = vec![
            prior_architecture(&prior.config.prior),
            format!("{} parameters", prior.parameter_count()),
            format!(
                "fingerprint {:016x}, for tokens of {}",
                prior.fingerprint(),
                prior.tokenizer
            ),
        ];
        return Kind {
            name: "prior",
            details,
        };
    }
    match ModelFile::from_checkpoint(&name.to_string_lossy(), path, checkpoint) {
        Ok(model) => {
            let fingerprint = fingerprint(model.tokenizer.config(), &model.parameters);
            let details = vec![
                architecture(&model.config),
                format!("{} parameters", model.parameter_count()),
                format!("fingerprint {fingerprint}"),
            ];
            return Kind {
                name: "tokenizer model",
                details,
            };
        }
        Err(error) if checkpoint.metadata.contains_key("config") => {
            return Kind {
                name: "tokenizer model that cannot be used",
                details: vec![error.to_string()],
            };
        }
        Err(_) => {}
    }
    match guess(checkpoint) {
        Some(details) => Kind {
            name: "tokenizer weights without a configuration",
            details: vec![details],
        },
        None => Kind {
            name: "tensors of no known kind",
            details: Vec::new(),
        },
    }
}

/// The architecture that the shapes of a tokenizer's weights tell.
fn guess(checkpoint: &Checkpoint) -> Option<String> {
    let shape = |name: &str| checkpoint.tensors.get(name).map(|tensor| tensor.shape());
    let [width, pixels] = *shape("encoder.conv1.weight")? else {
        return None;
    };
    let [bits, _] = *shape("quant_embed.weight")? else {
        return None;
    };
    let [tokens, _] = *shape("encoder.positional_embedding")? else {
        return None;
    };
    let blocks = |half: &str| {
        let block = |n: usize| format!("{half}.transformer.resblocks.{n}.ln_1.weight");
        (0..).take_while(|&n| shape(&block(n)).is_some()).count()
    };
    let patch = ((pixels / 3) as f64).sqrt().round();
    Some(format!(
        "by its shapes: patch {patch}, width {width}, {}+{} layers, {tokens} tokens of {bits} features",
        blocks("encoder"),
        blocks("decoder")
    ))
}

/// A prior in one line.
fn prior_architecture(prior: &PriorModelConfig) -> String {
    format!(
        "prior of tokens of {} bits in {} sub-tokens; tiles of {side}x{side}, slope {}; width {}, {} layers, {} heads",
        prior.bits,
        prior.sub_tokens(),
        prior.slope,
        prior.width,
        prior.layers,
        prior.heads,
        side = prior.side,
    )
}

/// A tokenizer in one line.
fn architecture(config: &Config) -> String {
    let model = &config.model;
    let vit = &model.encoder;
    let quantizer = match &model.quantizer {
        QuantizerConfig::Bsq(bsq) => {
            format!("BSQ of {} bits in {} groups", bsq.embed_dim, bsq.groups())
        }
        QuantizerConfig::Vq(vq) => {
            format!("VQ of {} codes in {} dimensions", vq.n_embed, vq.embed_dim)
        }
    };
    let bits = model.quantizer.bits_per_token() as f64;
    let size = vit.image_size;
    format!(
        "{quantizer}; {}x{} windows, patch {}, {} tokens, {:.4} bits per pixel; width {}, {}+{} layers, {} heads",
        size.width,
        size.height,
        vit.patch_size,
        vit.tokens(),
        bits / (vit.patch_size * vit.patch_size) as f64,
        vit.width,
        vit.layers,
        model.decoder.layers,
        vit.heads
    )
}
