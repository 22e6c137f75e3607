//! `bsq init`: a configuration to edit.

use super::Verdict;
use super::error::{CliError, Context};
use super::output::Output;
use super::train::config_text;
use bsq::config::{Config, MaskedLmConfig, PriorConfig, TransformCodecConfig, reference};
use clap::Args;
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Writes a configuration of a training, to be changed and given to `bsq train`.
#[derive(Args)]
#[command(long_about = "\
Writes a configuration of a training, to be changed and given to `bsq train`.

It begins as one that ships: default, a codec for photos; bsq36 or bsq18, tokenizers; prior, ... (see \
`bsq train --list`). --full writes every key, each below what it means; otherwise only those that \
differ from their defaults.")]
#[command(after_long_help = "\
Examples:
  bsq init                            default.toml: a codec for photos
  bsq init bsq36 -o mine.toml         a tokenizer of 36 bits a patch
  bsq init bsq36 --full -o mine.toml  with every key and its meaning
  bsq train mine.toml --data photos --out run")]
pub struct Arguments {
    /// The configuration to begin with: one that ships, or a file
    #[arg(value_name = "NAME|PATH", default_value = "default")]
    config: PathBuf,
    /// The file to write [default: NAME.toml here]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write every key, each below its documentation
    #[arg(long)]
    full: bool,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let text = config_text(&arguments.config)?;
    let name = arguments.config.to_string_lossy();
    let is_yaml = reference(&name).is_some() || name.ends_with(".yaml") || name.ends_with(".yml");
    let text = match (is_yaml, arguments.full) {
        (true, _) => Config::from_reference_yaml(&text).in_(&name)?.0.to_toml(),
        (false, true) => full(&text).in_(&name)?,
        (false, false) => text,
    };
    let path = match &arguments.output {
        Some(path) => path.clone(),
        None => Path::new(arguments.config.file_stem().unwrap_or_default()).with_extension("toml"),
    };
    if !arguments.force && path.exists() {
        return Err(CliError::new(format_args!(
            "{}: is there already: name another with -o, or give --force",
            path.display()
        )));
    }
    super::paths::make_folder(&path)?;
    std::fs::write(&path, text).map_err(|error| match error.kind() {
        ErrorKind::IsADirectory => {
            CliError::new(format_args!("{}: is a folder: name a file", path.display()))
        }
        _ => CliError::new(format_args!("{}: {error}", path.display())),
    })?;
    output.say(format_args!(
        "{path}: edit it, then: bsq train {path} --data PICTURES --out RUN",
        path = path.display()
    ))?;
    output.value(&json!({ "output": path.display().to_string() }))?;
    Ok(Verdict::Good)
}

/// The same configuration with every key.
fn full(text: &str) -> Result<String, CliError> {
    if PriorConfig::is_prior(text) {
        return Ok(PriorConfig::from_toml(text)?.to_toml());
    }
    if MaskedLmConfig::is_masked_lm(text) {
        return Ok(MaskedLmConfig::from_toml(text)?.to_toml());
    }
    if TransformCodecConfig::is_transform_codec(text) {
        return Ok(TransformCodecConfig::from_toml(text)?.to_toml());
    }
    Ok(Config::from_toml(text)?.to_toml())
}
