//! Writing PNG files so that a reader sees the whole file or none of it.

use super::{ImageError, Picture};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use std::{
    ffi::OsString,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// Writes a picture as a PNG file, replacing what is there; see [`write_atomically`].
pub fn save_png(picture: &Picture, path: impl AsRef<Path>) -> Result<(), ImageError> {
    write_atomically(path.as_ref(), &encode_png(picture))
}

/// The bytes of a picture's PNG file (RGB, 8 bits).
pub fn encode_png(picture: &Picture) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(
            &picture.rgb,
            picture.width as u32,
            picture.height as u32,
            ExtendedColorType::Rgb8,
        )
        .expect("encoding to memory fails only for a wrong number of samples");
    bytes
}

/// Writes a file by way of a hidden temporary one beside it, which is renamed when it is complete.
///
/// Whatever goes wrong, `path` keeps its old content and the temporary file is removed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let unwritable = |error: io::Error| ImageError::Unwritable {
        path: path.into(),
        reason: explain_write_error(&error, path),
    };
    if path.is_dir() {
        return Err(unwritable(io::ErrorKind::IsADirectory.into()));
    }
    let temporary = temporary_beside(path)
        .ok_or_else(|| unwritable(io::Error::other("it does not name a file")))?;
    let written = fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    written.map_err(|error| {
        // The error to report is the first one; a temporary file that cannot be removed either
        // is hidden and named after its owner.
        let _ = fs::remove_file(&temporary);
        unwritable(error)
    })
}

/// `folder/.name.PID.tmp` for `folder/name`; unique among running processes.
fn temporary_beside(path: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name()?);
    name.push(format!(".{}.tmp", std::process::id()));
    Some(path.with_file_name(name))
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
