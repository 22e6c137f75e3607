//! Going on from a checkpoint: what has to be as it was, and what has changed.

use super::checkpoint::{DATA, FIRST_LOSS, FIRST_SIZE, Position};
use super::divergence::not_finite;
use super::task::Task;
use super::{Change, TrainError, TrainingCheckpoint};
use crate::data::DataFingerprint;
use bsq_runtime::checkpoint::{Weights, load};
use bsq_runtime::executor::Tensors;
use std::path::{Path, PathBuf};

/// What a training goes on from.
pub(super) struct Resumed {
    pub position: Position,
    pub tensors: Tensors,
    /// Settings that are not what they were.
    pub changes: Vec<Change>,
    /// Whether the data is not what it was.
    pub other_data: bool,
}

/// The state to go on from: that of `path`, if it is one of this model, whose tensors have the
/// names and shapes of `start`.
///
/// # Errors
/// If it is a checkpoint of another model, or of other data and that is not allowed.
pub(super) fn resume<T: Task>(
    path: &Path,
    task: &T,
    fingerprint: DataFingerprint,
    start: &Tensors,
    other_data_allowed: bool,
) -> Result<Resumed, TrainError> {
    let foreign = |reason: String| TrainError::Foreign {
        path: PathBuf::from(path),
        reason,
    };
    let checkpoint = load(path, Weights::Raw)?;
    let saved = TrainingCheckpoint::of(path, &checkpoint)?;
    let changes = task
        .changes(&saved.settings)
        .map_err(|error| foreign(format!("the configuration in its metadata: {error}")))?;
    if let Some(change) = changes.iter().find(|change| change.is_another_model) {
        return Err(TrainError::AnotherModel {
            path: path.to_path_buf(),
            change: change.clone(),
        });
    }
    for (key, value) in &task.identity().metadata {
        if checkpoint.metadata.get(*key) != Some(value) {
            return Err(foreign(format!("it was trained with another {key}")));
        }
    }
    let before = checkpoint.metadata.get(DATA);
    let before: Option<DataFingerprint> = before.and_then(|text| text.parse().ok());
    let other_data = before.is_some_and(|before| before != fingerprint);
    if let (Some(before), true, false) = (before, other_data, other_data_allowed) {
        return Err(TrainError::OtherData {
            path: path.to_path_buf(),
            before: before.samples,
            now: fingerprint.samples,
        });
    }
    check_tensors(&saved.tensors, start).map_err(foreign)?;
    let number = |key| checkpoint.metadata.get(key)?.parse().ok();
    Ok(Resumed {
        position: Position {
            done: saved.step,
            first_loss: number(FIRST_LOSS),
            first_size: number(FIRST_SIZE),
        },
        tensors: saved.tensors,
        changes,
        other_data,
    })
}

/// That a checkpoint has the tensors of `start` and no others, all of them finite.
fn check_tensors(found: &Tensors, start: &Tensors) -> Result<(), String> {
    for (name, expected) in start {
        let Some(found) = found.get(name) else {
            return Err(format!("it lacks `{name}`"));
        };
        if (found.dtype(), found.shape()) != (expected.dtype(), expected.shape()) {
            return Err(format!(
                "`{name}` is {}{:?}, not {}{:?}",
                found.dtype(),
                found.shape(),
                expected.dtype(),
                expected.shape()
            ));
        }
    }
    if let Some(name) = found.keys().find(|name| !start.contains_key(*name)) {
        return Err(format!("it has a tensor `{name}` too many"));
    }
    match not_finite(found.iter().map(|(name, tensor)| (name.as_str(), tensor))) {
        Some(what) => Err(format!("{what}, from which no training goes on")),
        None => Ok(()),
    }
}
