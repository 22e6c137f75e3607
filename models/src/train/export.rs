//! From a training to a model that ships.

use super::{TrainError, TrainingCheckpoint};
use crate::config::Config;
use bsq_ir::DType;
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::{Weights, safetensors};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the weights of a training's checkpoint, rounded to `dtype`, with its configuration, but
/// for the pictures' folders, in the metadata: a file that [`ModelFile::open`](crate::pipeline::ModelFile::open) reads, whole or
/// not at all.
///
/// # Errors
/// If the checkpoint cannot be read, `dtype` is not a floating-point format, or `out` cannot be
/// written.
pub fn export_model(
    checkpoint: &Path,
    weights: Weights,
    dtype: DType,
    out: &Path,
) -> Result<(), TrainError> {
    let training = TrainingCheckpoint::read(checkpoint)?;
    let mut config = Config::from_toml(&training.settings)?;
    // Folders are this machine's.
    (config.data.train_root, config.data.val_root) = (None, None);
    let mut parameters = BTreeMap::new();
    for (name, tensor) in training.parameters(weights) {
        let tensor: HostTensor = tensor.to_dtype(dtype)?;
        parameters.insert(name, tensor);
    }
    let metadata = BTreeMap::from([
        ("format".to_string(), "bsq model".to_string()),
        ("config".to_string(), config.to_toml()),
        ("step".to_string(), training.step.to_string()),
    ]);
    Ok(safetensors::save(out, &parameters, &metadata)?)
}
