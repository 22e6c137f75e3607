//! Configurations of trainings: files, or those that ship.

use crate::command::error::CliError;
use bsq::config::{Config, reference, reference_names, shipped, shipped_names};
use std::path::Path;

/// The text of a configuration, by the name of one that ships or by path; none of a file that
/// whoever reads it in earnest will refuse.
pub fn config_text(config: &Path) -> Result<String, CliError> {
    let name = config.to_string_lossy();
    if config.exists() {
        return Ok(std::fs::read_to_string(config).unwrap_or_default());
    }
    let text = shipped(&name).or_else(|| reference(&name));
    text.map(String::from).ok_or_else(|| {
        let names: Vec<&str> = shipped_names().chain(reference_names()).collect();
        CliError::new(format_args!(
            "{name}: neither a file nor a configuration that ships ({})",
            names.join(", ")
        ))
    })
}

/// The configuration that ships under a name, unless there is a file of that name.
pub fn shipped_here(config: &Path) -> Option<&'static str> {
    match config.exists() {
        true => None,
        false => shipped(&config.to_string_lossy()),
    }
}

/// A tokenizer's configuration, with what the user should know of it.
pub fn tokenizer_config(config: &Path) -> Result<(Config, Vec<String>), CliError> {
    if !config.exists()
        && let Some(named) = Config::named(&config.to_string_lossy())?
    {
        return Ok(named);
    }
    Ok(Config::load(config)?)
}
