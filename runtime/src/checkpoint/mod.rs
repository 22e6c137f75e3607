//! Checkpoint files: named tensors on disk.
//!
//! [`load`] reads a safetensors file or a PyTorch checkpoint into a [`Checkpoint`], whatever
//! wrapped the model that it was saved from; [`match_parameters`] holds that against the
//! parameters that a model expects; [`safetensors::save`] writes.
//!
//! Files may come from anywhere, so they are not trusted: nothing in them is run, and no memory is
//! allocated for what they merely claim to contain.

mod error;
mod matching;
pub mod pickle;
pub mod pytorch;
pub mod safetensors;
mod storage;
mod view;
mod zip;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

pub use error::{Cause, CheckpointError};
pub use matching::{Mismatch, match_parameters};

use crate::tensor_data::HostTensor;
use error::Failure;
use pytorch::TorchFile;

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
    /// A file of PyTorch's `torch.save`.
    PyTorch {
        /// The key of the state dict in the saved dictionary, such as `ema_state_dict`; `None`
        /// where the state dict itself was saved.
        key: Option<String>,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Safetensors => f.write_str("safetensors"),
            Source::PyTorch { key: None } => f.write_str("PyTorch state dict"),
            Source::PyTorch { key: Some(key) } => write!(f, "PyTorch checkpoint, {key}"),
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
    weights: Weights,
) -> Result<Checkpoint, CheckpointError> {
    let name = name.as_ref();
    let mut start = [0; 14];
    let length = (file.rewind())
        .and_then(|()| read_start(&mut file, &mut start))
        .map_err(|error| Failure::from(Cause::Read(error)).at(name))?;
    let start = &start[..length];

    let contents = if start.starts_with(zip::MAGIC) {
        let torch = TorchFile::new(file, name)?;
        torch.read_weights(weights).map(|(key, tensors)| {
            let key = key.map(str::to_string);
            (tensors, BTreeMap::new(), Source::PyTorch { key })
        })
    } else if start == pytorch::LEGACY_MAGIC {
        Err(Cause::LegacyPyTorch.into())
    } else if start.get(8) == Some(&b'{') {
        // The header of a safetensors file is a JSON object behind its length.
        safetensors::read(&mut file)
            .map(|(tensors, metadata)| (tensors, metadata, Source::Safetensors))
    } else {
        Err(Cause::UnknownFormat.into())
    };
    contents
        .and_then(|(tensors, metadata, source)| {
            Ok(Checkpoint {
                tensors: without_prefixes(tensors)?,
                metadata,
                source,
            })
        })
        .map_err(|failure| failure.at(name))
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
