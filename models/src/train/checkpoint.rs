//! The file that a training goes on from: parameters, optimizer state, averages, and the step.

use super::TrainError;
use super::program::AVERAGE_PREFIX;
use crate::executor::Tensors;
use bsq_runtime::checkpoint::{Checkpoint, Weights, load, safetensors};
use bsq_runtime::{HostTensor, Session};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The checkpoint's name in the folder of a training.
pub const FILE_NAME: &str = "checkpoint.safetensors";

/// What a file of this kind calls itself.
const FORMAT: &str = "bsq training";

/// Which definition of training made a file. It changes when the same configuration and pictures
/// would give other bits.
const NUMERICS: &str = "1";

/// Names before which this stands belong to the optimizer.
const OPTIMIZER_PREFIX: &str = "adamw.";

/// A training as it was saved.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingCheckpoint {
    /// Steps that are done.
    pub step: u64,
    /// The configuration, as [`Config::to_toml`] writes it.
    pub config_text: String,
    /// Parameters as named by the model, optimizer state, and averages as `ema.NAME`.
    pub tensors: Tensors,
}

/// What a training is, beside its tensors.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The complete configuration.
    pub config_text: String,
    pub seed: u64,
    /// More entries of the metadata: what the trained weights belong to.
    pub metadata: Vec<(&'static str, String)>,
}

/// Writes the state of a training; at every moment the file is either the old or the new one.
pub(super) fn save(
    path: &Path,
    step: u64,
    identity: &Identity,
    session: &Session,
) -> Result<(), TrainError> {
    let mut metadata = BTreeMap::from([
        ("format".to_string(), FORMAT.to_string()),
        ("numerics".to_string(), NUMERICS.to_string()),
        ("step".to_string(), step.to_string()),
        ("seed".to_string(), identity.seed.to_string()),
        ("config".to_string(), identity.config_text.clone()),
    ]);
    let more = identity.metadata.iter();
    metadata.extend(more.map(|(key, value)| (key.to_string(), value.clone())));
    Ok(safetensors::save(path, session.parameters()?, &metadata)?)
}

impl TrainingCheckpoint {
    /// Reads a file that a training has written.
    ///
    /// # Errors
    /// If the file is missing or damaged, or was not written by a training.
    pub fn read(path: impl AsRef<Path>) -> Result<TrainingCheckpoint, TrainError> {
        let path = path.as_ref();
        TrainingCheckpoint::of(path, &load(path, Weights::Raw)?)
    }

    /// The training in a checkpoint that has been read from `path`.
    ///
    /// # Errors
    /// If it was not written by a training.
    pub fn of(path: &Path, checkpoint: &Checkpoint) -> Result<TrainingCheckpoint, TrainError> {
        let Checkpoint {
            tensors, metadata, ..
        } = checkpoint;
        let foreign = |reason: &str| TrainError::Foreign {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        };
        let field = |name: &str| metadata.get(name).cloned();
        if field("format").as_deref() != Some(FORMAT) {
            return Err(foreign("it holds weights, but no state of a training"));
        }
        if field("numerics").as_deref() != Some(NUMERICS) {
            return Err(foreign("another version of this program has written it"));
        }
        let step = field("step").and_then(|step| step.parse().ok());
        match (step, field("config")) {
            (Some(step), Some(config_text)) => Ok(TrainingCheckpoint {
                step,
                config_text,
                tensors: tensors.clone(),
            }),
            _ => Err(foreign("its metadata lack the step or the configuration")),
        }
    }

    /// The model's parameters: their averages where there are some and `weights` asks for them.
    pub fn parameters(&self, weights: Weights) -> Tensors {
        let of_model =
            |name: &str| !name.starts_with(OPTIMIZER_PREFIX) && !name.starts_with(AVERAGE_PREFIX);
        let chosen = |(name, tensor): (&String, &HostTensor)| {
            let average = self.tensors.get(&format!("{AVERAGE_PREFIX}{name}"));
            let tensor = match weights {
                Weights::Ema => average.unwrap_or(tensor),
                Weights::Raw => tensor,
            };
            (name.clone(), tensor.clone())
        };
        let model = self.tensors.iter().filter(|(name, _)| of_model(name));
        model.map(chosen).collect()
    }
}

/// The state to go on from: that of `path`, if it is one of this configuration, whose tensors
/// have the names and shapes of `start`.
pub(super) fn resume(
    path: &Path,
    identity: &Identity,
    start: &Tensors,
) -> Result<TrainingCheckpoint, TrainError> {
    let foreign = |reason: String| TrainError::Foreign {
        path: PathBuf::from(path),
        reason,
    };
    if !path.exists() {
        let path = path.to_path_buf();
        return Err(TrainError::NothingToResume { path });
    }
    let checkpoint = load(path, Weights::Raw)?;
    let saved = TrainingCheckpoint::of(path, &checkpoint)?;
    let ours = identity.config_text.as_str();
    if saved.config_text != ours {
        let lines = saved.config_text.lines().zip(ours.lines());
        let differing = lines.filter(|(a, b)| a != b && !a.starts_with('#'));
        let first = differing.map(|(a, b)| format!("`{a}`, not `{b}`")).next();
        let first = first.unwrap_or_else(|| "other sections".to_string());
        let reason = format!("it was trained with another configuration: {first}");
        return Err(foreign(reason));
    }
    for (key, value) in &identity.metadata {
        if checkpoint.metadata.get(*key) != Some(value) {
            return Err(foreign(format!("it was trained with another {key}")));
        }
    }
    for (name, expected) in start {
        let Some(found) = saved.tensors.get(name) else {
            return Err(foreign(format!("it lacks `{name}`")));
        };
        if (found.dtype(), found.shape()) != (expected.dtype(), expected.shape()) {
            return Err(foreign(format!(
                "`{name}` is {}{:?}, not {}{:?}",
                found.dtype(),
                found.shape(),
                expected.dtype(),
                expected.shape()
            )));
        }
    }
    if let Some(name) = saved.tensors.keys().find(|name| !start.contains_key(*name)) {
        return Err(foreign(format!("it has a tensor `{name}` too many")));
    }
    Ok(saved)
}
