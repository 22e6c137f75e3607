//! Files that are replaced whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file such that at every moment, a crash or power cut included, `path` holds either
/// what it held before or all of the new content: the content goes to a temporary file in the
/// same folder, is flushed to the disk, and takes the place of `path` by renaming.
///
/// A failed write leaves no temporary file; a killed process may leave one, named
/// `.NAME.PROCESS-NUMBER.tmp`.
///
/// ```
/// use std::io::Write;
/// use bsq_runtime::atomic_file::write_atomically;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("step.txt");
/// write_atomically(&path, |file| writeln!(file, "step 1000"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "step 1000\n");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Those of the system and of `write`; `path` is then as it was.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    write(&mut file.writer)?;
    file.commit()
}

/// The same for content that comes bit by bit: it takes the place of `path` when it is
/// [committed](AtomicFile::commit), and is gone if it is dropped before.
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    writer: BufWriter<File>,
    committed: bool,
}

impl AtomicFile {
    /// Opens a temporary file beside `path`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn create(path: &Path) -> io::Result<AtomicFile> {
        let (temporary, file) = create_beside(path)?;
        Ok(AtomicFile {
            path: path.into(),
            temporary,
            writer: BufWriter::with_capacity(1 << 20, file),
            committed: false,
        })
    }

    /// Where the content is meanwhile: what a process that is about to be ended has to remove.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Puts the content in the place of `path`.
    ///
    /// # Errors
    /// Those of the system; `path` is then as it was.
    pub fn commit(mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.committed = true;
        sync_folder(&self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.committed {
            // The write has failed already, with an error that says more than this one would.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Creates a file of a new name in the folder of `path`.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path does not end in a file name",
        ));
    };
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}-{number}.tmp", process::id()));
        let temporary = path.with_file_name(temporary);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
        {
            // Left by a killed process that had the same id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            result => return result.map(|file| (temporary, file)),
        }
    }
}

/// Makes the renaming itself survive a power cut, where folders can be opened and flushed.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(&[0; 3_000_000])?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(error.unwrap_err().to_string(), "the disk is full");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_atomically(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn content_that_is_not_committed_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert!(file.temporary().exists() && !path.exists());
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn impossible_paths_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &Path| write_atomically(path, |_| Ok(())).unwrap_err().kind();
        let missing = folder.path().join("missing").join("file");
        assert_eq!(write(&missing), io::ErrorKind::NotFound);
        assert_eq!(write(Path::new("..")), io::ErrorKind::InvalidInput);
        // A folder cannot be replaced by a file.
        let target = folder.path().join("folder");
        fs::create_dir(&target).unwrap();
        write_atomically(&target, |_| Ok(())).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
