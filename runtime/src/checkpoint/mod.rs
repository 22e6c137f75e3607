//! Checkpoint files: named tensors on disk.
//!
//! [`load`] reads a safetensors file or a PyTorch checkpoint into a [`Checkpoint`], whatever
//! wrapped the model that it was saved from; [`match_parameters`] holds that against the
//! parameters that a model expects; [`safetensors::save`] writes.
//!
//! Files may come from anywhere, so they are not trusted: nothing in them is run, and no memory is
//! allocated for what they merely claim to contain.

mod blob;
mod error;
mod matching;
mod names;
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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// By dotted name, such as `encoder.ln_pre.weight`.
    pub tensors: BTreeMap<String, HostTensor>,
    /// What else there is under such names, and why it is not among the tensors: it is no tensor,
    /// or one of a type or kind that cannot be read. It matters only if a parameter has the name.
    pub skipped: BTreeMap<String, String>,
    /// Text that a safetensors file carries beside the tensors.
    pub metadata: BTreeMap<String, String>,
    /// What the tensors come from.
    pub source: Source,
}

/// The format of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Source {
    /// A safetensors file.
    #[default]
    Safetensors,
    /// A file of PyTorch's `torch.save`.
    PyTorch {
        /// The keys that lead to the state dict in the saved dictionary, joined by dots, such as
        /// `ema_state_dict` or `model.state_dict`; `None` where the state dict itself was saved.
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

/// Which tensors of a file to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection<'a> {
    /// Averaged weights or raw ones, where a file has both.
    pub weights: Weights,
    /// The keys that lead to the state dict, joined by dots, such as `model.state_dict`; `None`
    /// looks for it. What the path ends with may also be what the names of the tensors start with,
    /// as all of it is in a safetensors file.
    pub key: Option<&'a str>,
}

impl From<Weights> for Selection<'_> {
    fn from(weights: Weights) -> Self {
        Selection { weights, key: None }
    }
}

/// Tensors, and what is no tensor, by the names that they have in a file.
#[derive(Default)]
struct Tensors {
    tensors: BTreeMap<String, HostTensor>,
    skipped: BTreeMap<String, String>,
}

/// Reads a checkpoint. The format is recognised by the content, not by the file's name.
///
/// Of a PyTorch file, the state dict is found under the keys that are usual, such as `state_dict`,
/// `model` or `ema`, or where [`Selection::key`] says. Any sequence of `module.`, `model.` and the
/// like at the start of a name is removed: wrappers for data-parallel training, averaging and
/// compilation put them there.
///
/// What is not a tensor, or one of a type that tensors do not have here, is listed as
/// [`skipped`](Checkpoint::skipped).
///
/// ```no_run
/// use bsq_runtime::checkpoint::{Selection, Weights, load};
///
/// let averaged = load("checkpoint.pt", Weights::Ema)?;
/// let key = Some("generator.state_dict");
/// let generator = load("gan.pt", Selection { key, ..Selection::default() })?;
/// # Ok::<(), bsq_runtime::checkpoint::CheckpointError>(())
/// ```
///
/// # Errors
/// [`CheckpointError`] names the file, the tensor and what is wrong.
pub fn load<'a>(
    path: impl AsRef<Path>,
    selection: impl Into<Selection<'a>>,
) -> Result<Checkpoint, CheckpointError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| Failure::from(Cause::Read(error)).at(path))?;
    read(BufReader::new(file), path, selection)
}

/// Like [`load`], from any source of bytes; `name` is for the error messages.
///
/// # Errors
/// As for [`load`].
pub fn read<'a>(
    mut file: impl Read + Seek,
    name: impl AsRef<Path>,
    selection: impl Into<Selection<'a>>,
) -> Result<Checkpoint, CheckpointError> {
    let (name, selection) = (name.as_ref(), selection.into());
    let mut start = [0; pytorch::legacy::START];
    let length = (file.rewind())
        .and_then(|()| read_start(&mut file, &mut start))
        .map_err(|error| Failure::from(Cause::Read(error)).at(name))?;
    let start = &start[..length];

    let contents = if start.starts_with(zip::MAGIC) || pytorch::legacy::is_legacy(start) {
        let torch = TorchFile::new(file, name)?;
        torch.read_weights(selection).map(|(key, tensors)| {
            let source = Source::PyTorch { key };
            (tensors, BTreeMap::new(), source)
        })
    } else if start.get(8) == Some(&b'{') {
        // The header of a safetensors file is a JSON object behind its length.
        safetensors::read(&mut file, selection.key)
            .map(|(tensors, metadata)| (tensors, metadata, Source::Safetensors))
    } else {
        Err(Cause::UnknownFormat.into())
    };
    contents
        .and_then(|(tensors, metadata, source)| {
            let Tensors { tensors, skipped } = names::without_wrappers(tensors)?;
            Ok(Checkpoint {
                tensors,
                skipped,
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
