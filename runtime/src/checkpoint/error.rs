//! What can be wrong with a checkpoint file.

use std::io;
use std::path::{Path, PathBuf};

use super::pickle::PickleError;
use crate::tensor_data::TensorError;

/// A checkpoint could not be read or written: the file, the tensor where one is concerned, and
/// the cause.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}{cause}", path.display(), of_tensor(tensor))]
pub struct CheckpointError {
    /// The file.
    pub path: PathBuf,
    /// The tensor, by the name that it has in the file.
    pub tensor: Option<String>,
    /// What is wrong.
    pub cause: Cause,
}

fn of_tensor(tensor: &Option<String>) -> String {
    match tensor {
        Some(name) => format!("tensor `{name}`: "),
        None => String::new(),
    }
}

/// What is wrong with a checkpoint file, or with one tensor in it.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The system cannot open or read it.
    #[error("cannot read the file: {0}")]
    Read(#[source] io::Error),
    /// The system cannot write it.
    #[error("cannot write the file: {0}")]
    Write(#[source] io::Error),
    /// The content is of no known format.
    #[error("neither a safetensors file nor a PyTorch checkpoint")]
    UnknownFormat,
    /// The file ends too early.
    #[error("the file is truncated: {needed} bytes are needed and {available} are there")]
    Truncated {
        /// The length that the file would have to have.
        needed: u64,
        /// The length that it has.
        available: u64,
    },
    /// The header of a safetensors file is longer than the format allows.
    #[error("the header is too large: {bytes} bytes, and at most {limit} are allowed")]
    HeaderTooLarge {
        /// Its length.
        bytes: u64,
        /// The greatest length.
        limit: u64,
    },
    /// The header of a safetensors file is not what the format prescribes.
    #[error("invalid header: {0}")]
    Header(String),
    /// Two tensors share bytes of the file.
    #[error("its bytes {start}..{end} overlap those of `{other}`")]
    Overlap {
        /// First byte, from the start of the data.
        start: u64,
        /// Last byte + 1.
        end: u64,
        /// The tensor before it.
        other: String,
    },
    /// Some bytes belong to no tensor.
    #[error("{bytes} bytes before its data belong to no tensor")]
    Gap {
        /// How many.
        bytes: u64,
    },
    /// The file goes on behind the last tensor.
    #[error("{bytes} bytes behind the last tensor belong to no tensor")]
    Trailing {
        /// How many.
        bytes: u64,
    },
    /// The range of bytes does not have the length that type and shape need.
    #[error("{found} bytes of data, but its type and shape need {expected}")]
    DataLength {
        /// What type and shape need.
        expected: u64,
        /// What the header says.
        found: u64,
    },
    /// The element type is unknown or not supported.
    #[error("the element type {dtype} is not supported; these are: {supported}")]
    UnsupportedType {
        /// The type, as the file names it.
        dtype: String,
        /// Those that can be read.
        supported: String,
    },
    /// Two tensors have the same name, perhaps only once prefixes are removed.
    #[error("two tensors have this name")]
    DuplicateName,
    /// The name cannot be written.
    #[error("the name is reserved")]
    ReservedName,
    /// What a name stands for is no tensor.
    #[error("it is not a tensor but {0}")]
    NotATensor(String),
    /// A tensor of a kind that cannot be read.
    #[error("{0}")]
    UnsupportedTensor(String),
    /// Compressed data are far larger than the file.
    #[error(
        "its data unpack to {bytes} bytes, far more than a file of {available} bytes justifies"
    )]
    Unpacked {
        /// Bytes in memory.
        bytes: u64,
        /// Bytes of the file.
        available: u64,
    },
    /// The archive around a PyTorch checkpoint is damaged or unusual.
    #[error("the zip archive is damaged: {0}")]
    Archive(String),
    /// The pickle in a PyTorch checkpoint cannot be read.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// The objects in a PyTorch checkpoint are not those that are expected.
    #[error("{0}")]
    Content(String),
    /// A tensor reaches beyond the data that it is a view of.
    #[error(
        "its shape, strides and offset need {needed} bytes of its storage, which has {available}"
    )]
    BeyondStorage {
        /// Bytes from the start of the storage to the tensor's last element.
        needed: u64,
        /// Bytes of the storage.
        available: u64,
    },
    /// A tensor, or all of them together, would take far more memory than the file has bytes.
    #[error(
        "it repeats the same data too often: {bytes} bytes in memory of {available} in the file"
    )]
    Inflated {
        /// Bytes in memory.
        bytes: u64,
        /// Bytes in the file.
        available: u64,
    },
    /// The data are not those that were written.
    #[error("its data are damaged: the checksum does not match")]
    Checksum,
    /// The data do not make a tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl Cause {
    /// The same, with the shape behind an unsupported type.
    pub(crate) fn with_shape(self, shape: &[u64]) -> Self {
        match self {
            Cause::UnsupportedType { dtype, supported } => Cause::UnsupportedType {
                dtype: format!("{dtype}{shape:?}"),
                supported,
            },
            other => other,
        }
    }

    /// Whether it says that an entry is of a kind that cannot be read, rather than that something
    /// is wrong: nothing that matters unless a parameter has this name.
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(
            self,
            Cause::UnsupportedType { .. } | Cause::NotATensor(_) | Cause::UnsupportedTensor(_)
        )
    }
}

/// A cause, and the tensor it concerns: an error before the file's name is added.
#[derive(Debug)]
pub(crate) struct Failure {
    tensor: Option<String>,
    cause: Cause,
}

impl<C: Into<Cause>> From<C> for Failure {
    fn from(cause: C) -> Self {
        Failure {
            tensor: None,
            cause: cause.into(),
        }
    }
}

impl Failure {
    /// The failure, as one of a tensor.
    pub(crate) fn of(name: &str, cause: impl Into<Cause>) -> Self {
        Failure {
            tensor: Some(name.to_string()),
            cause: cause.into(),
        }
    }

    /// The error for the user.
    pub(crate) fn at(self, path: &Path) -> CheckpointError {
        CheckpointError {
            path: path.to_path_buf(),
            tensor: self.tensor,
            cause: self.cause,
        }
    }
}
