//! The folder of a training before the work begins: what is there, and who else is.

use super::lock::FolderLock;
use super::{FILE_NAME, TrainError};
use std::path::{Path, PathBuf};

/// The configuration's name in the folder of a training.
pub(super) const CONFIG_NAME: &str = "config.toml";

/// The folder of a training, before the work begins.
pub struct TrainingFolder {
    folder: PathBuf,
    checkpoint: PathBuf,
    /// Whether there is something to go on from. A training that was to go on before it had saved
    /// anything begins again, with the same bits.
    has_checkpoint: bool,
    /// None yet where there is no folder to hold.
    lock: Option<FolderLock>,
}

impl TrainingFolder {
    /// Finds what would be in vain before anything is read, and makes nothing.
    ///
    /// # Errors
    /// If there is another training, one that must not be replaced, or none to go on with.
    pub fn of(folder: &Path, resume: bool) -> Result<TrainingFolder, TrainError> {
        let lock = FolderLock::take_used(folder)?;
        let path = folder.join(FILE_NAME);
        match (resume, path.exists()) {
            (false, true) => Err(TrainError::Exists { path }),
            (true, false) if !folder.join(CONFIG_NAME).exists() => {
                Err(TrainError::NothingToResume { path })
            }
            (_, has_checkpoint) => Ok(TrainingFolder {
                folder: folder.to_path_buf(),
                checkpoint: path,
                has_checkpoint,
                lock,
            }),
        }
    }

    /// Whether there is a training to go on with.
    pub fn has_checkpoint(&self) -> bool {
        self.has_checkpoint
    }

    /// Makes the folder if need be and holds it; the checkpoint's path.
    pub(super) fn enter(self) -> Result<(PathBuf, FolderLock), TrainError> {
        let path = self.checkpoint;
        let lock = match self.lock {
            Some(lock) => lock,
            None => FolderLock::take(&self.folder)?,
        };
        // Another training may have been here in between.
        match path.exists() == self.has_checkpoint {
            true => Ok((path, lock)),
            false => Err(TrainError::Busy { path: self.folder }),
        }
    }
}
