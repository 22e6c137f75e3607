//! Checkpoint files: named tensors on disk.
//!
//! [`load`] reads a safetensors file into a [`Checkpoint`], whatever wrapped the model that it
//! was saved from; [`match_parameters`] holds that against the parameters that a model expects;
//! [`safetensors::save`] writes.

mod error;
mod matching;
pub mod safetensors;
mod storage;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

pub use error::{Cause, CheckpointError};
pub use matching::{Mismatch, match_parameters};

use crate::tensor_data::HostTensor;
use error::Failure;

/// The tensors of a file, by the names that a model gives its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// By dotted name, such as `encoder.ln_pre.weight`.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Text that a safetensors file carries beside the tensors.
    pub metadata: BTreeMap<String, String>,
    /// What the tensors come from.
    pub source: Source,
}

/// The format of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A safetensors file.
    Safetensors,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Safetensors => f.write_str("safetensors"),
        }
    }
}

/// Which of the weights in a training checkpoint to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Weights {
    /// The exponential moving average, where the file has one; otherwise the raw weights.
    #[default]
    Ema,
    /// The weights that the optimizer works on.
    Raw,
}

/// Reads a checkpoint. The format is recognised by the content, not by the file's name.
///
/// Any sequence of `module.` and `_orig_mod.` at the start of a name is removed: wrappers for
/// data-parallel training, averaging and compilation put them there.
///
/// # Errors
/// [`CheckpointError`] names the file, the tensor and what is wrong.
pub fn load(path: impl AsRef<Path>, weights: Weights) -> Result<Checkpoint, CheckpointError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| Failure::from(Cause::Read(error)).at(path))?;
    read(BufReader::new(file), path, weights)
}

/// Like [`load`], from any source of bytes; `name` is for the error messages.
///
/// # Errors
/// As for [`load`].
pub fn read(
    mut file: impl Read + Seek,
    name: impl AsRef<Path>,
    _weights: Weights,
) -> Result<Checkpoint, CheckpointError> {
    read_any(&mut file).map_err(|failure| failure.at(name.as_ref()))
}

fn read_any(file: &mut (impl Read + Seek)) -> Result<Checkpoint, Failure> {
    let mut start = [0; 9];
    let length = read_start(file, &mut start).map_err(Cause::Read)?;
    // The header of a safetensors file is a JSON object behind its length.
    if length < 9 || start[8] != b'{' {
        return Err(Cause::UnknownFormat.into());
    }
    let (tensors, metadata) = safetensors::read(file)?;
    Ok(Checkpoint {
        tensors: without_prefixes(tensors)?,
        metadata,
        source: Source::Safetensors,
    })
}

/// Fills `start` from the beginning of the file as far as the file reaches; returns how far.
fn read_start(file: &mut impl Read, start: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < start.len() {
        match file.read(&mut start[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

/// Removes from each name what wrappers have put before it.
fn without_prefixes(
    tensors: BTreeMap<String, HostTensor>,
) -> Result<BTreeMap<String, HostTensor>, Failure> {
    let mut result = BTreeMap::new();
    for (name, tensor) in tensors {
        let mut bare = name.as_str();
        while let Some(rest) =
            (bare.strip_prefix("module.")).or_else(|| bare.strip_prefix("_orig_mod."))
        {
            bare = rest;
        }
        if result.insert(bare.to_string(), tensor).is_some() {
            return Err(Failure::of(&name, Cause::DuplicateName));
        }
    }
    Ok(result)
}
