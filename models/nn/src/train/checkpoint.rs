//! The file that a training goes on from: parameters, optimizer state, averages, and the step.

use super::TrainError;
use crate::data::DataFingerprint;
use crate::optimizer::{ADVERSARY_PREFIX, AVERAGE_PREFIX, is_state};
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::{Checkpoint, Weights, load, safetensors};
use bsq_runtime::executor::Tensors;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The checkpoint's name in the folder of a training.
pub const FILE_NAME: &str = "checkpoint.safetensors";

/// The name of the checkpoint that did best in an evaluation, in the same folder.
pub const BEST_NAME: &str = "best.safetensors";

/// What a file of this kind calls itself.
const FORMAT: &str = "bsq training";

/// Which definition of training made a file. It changes when the same configuration and pictures
/// would give other bits.
const NUMERICS: &str = "1";

/// Entries of the metadata that files of former versions lack: which data, the first loss, and the
/// size of the largest parameter before it.
pub(super) const DATA: &str = "data";
pub(super) const FIRST_LOSS: &str = "first_loss";
pub(super) const FIRST_SIZE: &str = "first_size";

/// A training as it was saved.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingCheckpoint {
    /// Steps that are done.
    pub step: u64,
    /// What [`Identity::settings`] was.
    pub settings: String,
    /// Parameters as named by the model, optimizer state, and averages as `ema.NAME`.
    pub tensors: Tensors,
}

/// What a training is, beside its tensors and its data.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The complete configuration, in text.
    pub settings: String,
    pub seed: u64,
    /// More entries of the metadata, which must be as they were to resume: what the trained weights
    /// belong to.
    pub metadata: Vec<(&'static str, String)>,
}

/// How far a training is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Position {
    /// Steps that are done.
    pub done: u64,
    /// The loss of the very first step.
    pub first_loss: Option<f32>,
    /// The size of the largest parameter before it.
    pub first_size: Option<f32>,
}

/// The state of a training on disk that does not stand for the training yet: what its last update
/// is worth is still to be seen. Removed if it never comes to [`replace`](Candidate::replace).
#[derive(Debug)]
pub(super) struct Candidate {
    /// The file, and which one it takes the place of; none where another rank saves.
    files: Option<(PathBuf, PathBuf)>,
    /// Steps that are done.
    pub done: u64,
}

impl Candidate {
    /// Where another rank saves: nothing on disk, to be judged all the same.
    pub fn elsewhere(position: Position) -> Candidate {
        Candidate {
            files: None,
            done: position.done,
        }
    }

    /// Writes the state of a training beside the checkpoint at `path`.
    pub fn write(
        path: &Path,
        position: Position,
        identity: &Identity,
        fingerprint: DataFingerprint,
        tensors: &BTreeMap<&str, &HostTensor>,
    ) -> Result<Candidate, TrainError> {
        let mut metadata = BTreeMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("numerics".to_string(), NUMERICS.to_string()),
            ("step".to_string(), position.done.to_string()),
            ("seed".to_string(), identity.seed.to_string()),
            ("config".to_string(), identity.settings.clone()),
            (DATA.to_string(), fingerprint.to_string()),
        ]);
        let first = [
            (FIRST_LOSS, position.first_loss),
            (FIRST_SIZE, position.first_size),
        ];
        for (key, value) in first {
            metadata.extend(value.map(|value| (key.to_string(), value.to_string())));
        }
        let more = identity.metadata.iter();
        metadata.extend(more.map(|(key, value)| (key.to_string(), value.clone())));
        let file = candidate_of(path);
        let candidate = Candidate {
            files: Some((file.clone(), path.to_path_buf())),
            done: position.done,
        };
        let tensors = tensors.iter().map(|(name, tensor)| (*name, *tensor));
        safetensors::save(&file, tensors, &metadata)?;
        Ok(candidate)
    }

    /// Makes it the checkpoint; at every moment the file is either the old or the new one.
    pub fn replace(self) -> Result<(), TrainError> {
        let Some((file, takes_the_place_of)) = &self.files else {
            return Ok(());
        };
        let renamed = fs::rename(file, takes_the_place_of);
        let renamed = renamed.and_then(|()| sync_folder(takes_the_place_of));
        renamed.map_err(|reason| TrainError::Unwritable {
            path: takes_the_place_of.clone(),
            reason,
        })
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if let Some((file, _)) = &self.files {
            // There is none where it has taken its place; one that cannot be removed is replaced by
            // the next.
            let _ = fs::remove_file(file);
        }
    }
}

fn candidate_of(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{FILE_NAME}.next"))
}

/// Makes the renaming itself survive a power cut, where folders can be opened and flushed.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => {
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
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
            (Some(step), Some(settings)) => Ok(TrainingCheckpoint {
                step,
                settings,
                tensors: tensors.clone(),
            }),
            _ => Err(foreign("its metadata lack the step or the configuration")),
        }
    }

    /// The weights of a checkpoint that has been read from `path`: of a training's those of its
    /// model, with their averages as [`parameters`](Self::parameters) says.
    pub fn weights_of(path: &Path, checkpoint: Checkpoint, weights: Weights) -> Checkpoint {
        match TrainingCheckpoint::of(path, &checkpoint) {
            Ok(training) => Checkpoint {
                tensors: training.parameters(weights),
                ..checkpoint
            },
            Err(_) => checkpoint,
        }
    }

    /// The model's parameters: their averages where there are some and `weights` asks for them.
    pub fn parameters(&self, weights: Weights) -> Tensors {
        TrainingCheckpoint::model_of(&self.tensors, weights)
    }

    /// Of all tensors of a training's program those of its model.
    pub(crate) fn model_of(tensors: &Tensors, weights: Weights) -> Tensors {
        let others = [AVERAGE_PREFIX, ADVERSARY_PREFIX];
        let is_other = |name: &str| others.iter().any(|prefix| name.starts_with(prefix));
        let of_model = |name: &str| !is_other(name) && !is_state(name);
        let chosen = |(name, tensor): (&String, &HostTensor)| {
            let average = tensors.get(&format!("{AVERAGE_PREFIX}{name}"));
            let tensor = match weights {
                Weights::Ema => average.unwrap_or(tensor),
                Weights::Raw => tensor,
            };
            (name.clone(), tensor.clone())
        };
        let model = tensors.iter().filter(|(name, _)| of_model(name));
        model.map(chosen).collect()
    }
}
