//! A file for encoders that keep their writer to themselves.

use super::VideoError;
use bsq_runtime::atomic_file::AtomicFile;
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A file that takes its place when it is finished.
pub(super) struct SharedFile {
    file: Rc<RefCell<AtomicFile>>,
    path: PathBuf,
}

/// What an encoder writes to.
pub(super) struct Writer(Rc<RefCell<AtomicFile>>);

impl SharedFile {
    pub fn create(path: &Path) -> Result<(SharedFile, Writer), VideoError> {
        let file = AtomicFile::create(path).map_err(|error| VideoError::of(path, error))?;
        let file = Rc::new(RefCell::new(file));
        let writer = Writer(file.clone());
        let path = path.into();
        Ok((SharedFile { file, path }, writer))
    }

    /// What is wrong with the file.
    pub fn fail(&self, reason: impl std::fmt::Display) -> VideoError {
        VideoError::of(&self.path, reason)
    }

    /// Puts it in its place, when the encoder is gone.
    pub fn finish(self) -> Result<(), VideoError> {
        let file = Rc::into_inner(self.file).expect("the encoder is gone");
        let committed = file.into_inner().commit();
        committed.map_err(|error| VideoError::of(&self.path, error))
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}
