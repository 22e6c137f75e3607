//! Writing PNG files so that a reader sees the whole file or none of it.

use super::png_rows::PngEncoder;
use super::{ImageError, ImageSize, Picture};
use bsq_runtime::atomic_file::{self, AtomicFile};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a picture as a PNG file, replacing what is there; see [`write_atomically`].
///
/// # Errors
/// If it cannot be written.
pub fn save_png(picture: &Picture, path: impl AsRef<Path>) -> Result<(), ImageError> {
    let mut writer = PngWriter::create(path.as_ref(), picture.size())?;
    writer.write_row(&picture.rgb)?;
    writer.finish()
}

/// The bytes of a picture's PNG file (RGB, 8 bits).
///
/// # Panics
/// If the picture does not have the samples of its size.
pub fn encode_png(picture: &Picture) -> Vec<u8> {
    let encode = || {
        let mut encoder = PngEncoder::new(Vec::new(), picture.size())?;
        encoder.write(&picture.rgb)?;
        encoder.finish()
    };
    encode().expect("encoding to memory fails only for a wrong number of samples")
}

/// A PNG file (RGB, 8 bits) that is written row by row, and takes the place of what is there when it
/// is [finished](PngWriter::finish). One that is dropped before leaves nothing behind.
pub struct PngWriter {
    encoder: PngEncoder<AtomicFile>,
    path: PathBuf,
    temporary: PathBuf,
}

impl PngWriter {
    /// Opens a temporary file beside `path`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(path: &Path, size: ImageSize) -> Result<PngWriter, ImageError> {
        let create = || {
            if path.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            let file = AtomicFile::create(path)?;
            let temporary = file.temporary().to_path_buf();
            Ok((PngEncoder::new(file, size)?, temporary))
        };
        let (encoder, temporary) = create().map_err(|error| unwritable(error, path))?;
        Ok(PngWriter {
            encoder,
            path: path.into(),
            temporary,
        })
    }

    /// Where the file is until it is finished.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Writes red, green and blue of every pixel of the next row.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_row(&mut self, row: &[u8]) -> Result<(), ImageError> {
        let written = self.encoder.write(row);
        written.map_err(|error| unwritable(error, &self.path))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// If it cannot be written, or rows are missing.
    pub fn finish(self) -> Result<(), ImageError> {
        let finished = self.encoder.finish().and_then(AtomicFile::commit);
        finished.map_err(|error| unwritable(error, &self.path))
    }
}

/// Writes a file by way of a hidden temporary one beside it, which is renamed when it is complete.
///
/// Whatever goes wrong, `path` keeps its old content and the temporary file is removed.
///
/// # Errors
/// If it cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let written = match path.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => atomic_file::write_atomically(path, |file| file.write_all(bytes)),
    };
    written.map_err(|error| unwritable(error, path))
}

fn unwritable(error: io::Error, path: &Path) -> ImageError {
    ImageError::Unwritable {
        path: path.into(),
        reason: explain_write_error(&error, path),
    }
}

fn explain_write_error(error: &io::Error, path: &Path) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "no space left on the disk".into()
        }
        io::ErrorKind::PermissionDenied => "permission denied in its folder".into(),
        io::ErrorKind::ReadOnlyFilesystem => "its file system is read-only".into(),
        io::ErrorKind::IsADirectory => "there is a folder of that name".into(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => match path.parent() {
            Some(folder) => format!("there is no folder {}", folder.display()),
            None => error.to_string(),
        },
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_io::{LoadLimits, load_from_bytes};
    use std::fs;

    fn picture() -> Picture {
        Picture::new(3, 2, (0..18).map(|x| x * 13).collect())
    }

    #[test]
    fn a_saved_picture_loads_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.png");
        fs::write(&path, "old content").unwrap();
        save_png(&picture(), &path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let loaded = load_from_bytes(&bytes, &path, LoadLimits::default()).unwrap();
        assert_eq!(loaded.picture, picture());
        assert!(loaded.notices.is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unfinished_picture_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.png");
        let mut writer = PngWriter::create(&path, picture().size()).unwrap();
        writer.write_row(picture().row(0)).unwrap();
        assert!(writer.temporary().exists());
        assert!(writer.finish().is_err(), "a row is missing");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nowhere").join("out.png");
        let message = save_png(&picture(), &path).unwrap_err().to_string();
        assert!(
            message.contains("cannot be written: there is no folder"),
            "{message}"
        );
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        let message = save_png(&picture(), &path).unwrap_err().to_string();
        assert!(
            message.contains("there is a folder of that name"),
            "{message}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(path.is_dir());
    }

    #[test]
    fn a_full_disk_is_said_in_words() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(
            explain_write_error(&full, Path::new("x.png")),
            "no space left on the disk"
        );
    }

    /// The device that is always full exercises the same path as a full disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn writing_to_a_full_device_reports_it() {
        let error = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .and_then(|mut file| file.write_all(&encode_png(&picture())))
            .unwrap_err();
        assert_eq!(
            explain_write_error(&error, Path::new("x.png")),
            "no space left on the disk"
        );
    }
}
