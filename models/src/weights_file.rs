//! Files of weights with the configuration that they were trained with: what priors and transform
//! codecs have in common.

use crate::config::{ConfigError, has_section};
use bsq_ir::DType;
use bsq_runtime::checkpoint::{Checkpoint, CheckpointError, Mismatch};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::path::{Path, PathBuf};

/// The key of the configuration in a file's metadata, as TOML.
pub(crate) const CONFIG: &str = "config";

/// Why a file is not a usable prior or transform codec.
#[derive(Debug, thiserror::Error)]
pub enum WeightsFileError {
    /// The weights cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It is some other file of weights.
    #[error("{path}: not a {what}: `bsq train` makes one from a configuration with a section [{section}]", path = path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What its configuration would have.
        section: &'static str,
    },
    /// It keeps its weights in a way that this program does not know.
    #[error("{path}: weights stored in a format that this version does not know", path = path.display())]
    Storage {
        /// The file.
        path: PathBuf,
    },
    /// The configuration in it cannot be used.
    #[error("{path}: the configuration in its metadata: {error}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<ConfigError>,
    },
    /// Weights and configuration are not of one model.
    #[error("{path}: {error}", path = path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        error: Box<Mismatch>,
    },
    /// Memory runs out.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// What a file is called in messages.
pub(crate) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The configuration in a file of `what`, which has `section`.
pub(crate) fn config_in<C>(
    path: &Path,
    checkpoint: &Checkpoint,
    (what, section): (&'static str, &'static str),
    read: impl FnOnce(&str) -> Result<C, ConfigError>,
) -> Result<C, WeightsFileError> {
    let text = checkpoint.metadata.get(CONFIG);
    let Some(text) = text.filter(|text| has_section(text, section)) else {
        let path = path.into();
        return Err(WeightsFileError::Other {
            path,
            what,
            section,
        });
    };
    read(text).map_err(|error| WeightsFileError::Config {
        path: path.into(),
        error: Box::new(error),
    })
}

/// Numbers in all parameters.
pub(crate) fn count(parameters: &Tensors) -> usize {
    parameters.values().map(HostTensor::element_count).sum()
}

/// Parameters with what is `f32` rounded to `dtype`.
pub(crate) fn rounded(parameters: &Tensors, dtype: DType) -> Result<Tensors, TensorError> {
    let mut rounded = Tensors::new();
    for (name, tensor) in parameters {
        let written = match tensor.dtype() {
            DType::F32 => tensor.to_dtype(dtype)?,
            _ => tensor.clone(),
        };
        rounded.insert(name.clone(), written);
    }
    Ok(rounded)
}
