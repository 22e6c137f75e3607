//! One training at a time in a folder: a lock that ends with the process that holds it.

use super::TrainError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// The file that is locked. It stays when the training ends: a lock on a file that others may
/// remove keeps nobody out.
const FILE_NAME: &str = ".lock";

/// Holds a folder until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(super) struct FolderLock {
    /// None where the file system has no locks.
    file: Option<File>,
}

impl FolderLock {
    /// Takes a folder in which there was a training before; none of any other.
    ///
    /// # Errors
    /// If another training holds it, or it cannot be written.
    pub fn take_used(folder: &Path) -> Result<Option<FolderLock>, TrainError> {
        match folder.join(FILE_NAME).exists() {
            true => FolderLock::take(folder).map(Some),
            false => Ok(None),
        }
    }

    /// Takes a folder, which is made if need be.
    ///
    /// # Errors
    /// If another training holds it, or it cannot be written.
    pub fn take(folder: &Path) -> Result<FolderLock, TrainError> {
        let unwritable = |reason| TrainError::Unwritable {
            path: folder.to_path_buf(),
            reason,
        };
        fs::create_dir_all(folder).map_err(unwritable)?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let file = options.open(folder.join(FILE_NAME)).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(TrainError::Busy {
                path: folder.to_path_buf(),
            }),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                Ok(FolderLock { file: None })
            }
            Err(TryLockError::Error(reason)) => Err(unwritable(reason)),
        }
    }

    /// Whether it keeps others out.
    pub fn is_held(&self) -> bool {
        self.file.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        assert!(FolderLock::take_used(&path).unwrap().is_none());
        assert!(!path.exists());
        let first = FolderLock::take(&path).unwrap();
        assert!(first.is_held());
        let error = FolderLock::take(&path).unwrap_err();
        assert!(matches!(error, TrainError::Busy { .. }), "{error}");
        FolderLock::take_used(&path).unwrap_err();
        drop(first);
        assert!(FolderLock::take_used(&path).unwrap().is_some());
    }
}
