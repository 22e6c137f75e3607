//! The folder of a training before the work begins: what is there, and who else is.

use super::lock::FolderLock;
use super::{FILE_NAME, TrainError};
use bsq_collectives::Ranks;
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
    /// Another rank holds it.
    is_elsewhere: bool,
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
                is_elsewhere: false,
            }),
        }
    }

    /// The same for several ranks: rank 0 looks, and the others learn of it what there is. Only rank 0
    /// holds the folder and writes into it; the others need not see it.
    ///
    /// # Errors
    /// As [`of`](TrainingFolder::of), on rank 0 alone.
    pub fn of_ranks(
        folder: &Path,
        resume: bool,
        ranks: &Ranks,
    ) -> Result<TrainingFolder, TrainError> {
        if ranks.is_first() {
            let folder = TrainingFolder::of(folder, resume)?;
            ranks.word_of_first(u64::from(folder.has_checkpoint))?;
            return Ok(folder);
        }
        Ok(TrainingFolder {
            folder: folder.to_path_buf(),
            checkpoint: folder.join(FILE_NAME),
            has_checkpoint: ranks.word_of_first(0)? == 1,
            lock: None,
            is_elsewhere: true,
        })
    }

    /// Whether there is a training to go on with.
    pub fn has_checkpoint(&self) -> bool {
        self.has_checkpoint
    }

    /// Makes the folder if need be and holds it, unless another rank does; the checkpoint's path.
    pub(super) fn enter(self) -> Result<(PathBuf, Option<FolderLock>), TrainError> {
        let path = self.checkpoint;
        if self.is_elsewhere {
            return Ok((path, None));
        }
        let lock = match self.lock {
            Some(lock) => lock,
            None => FolderLock::take(&self.folder)?,
        };
        // Another training may have been here in between.
        match path.exists() == self.has_checkpoint {
            true => Ok((path, Some(lock))),
            false => Err(TrainError::Busy { path: self.folder }),
        }
    }
}
