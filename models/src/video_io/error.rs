//! What can be wrong with a clip.

use crate::image_io::ImageError;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Why a clip cannot be read or written: one line that names the file.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// The file is wrong, or cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Clip { path: PathBuf, reason: String },
    /// A frame of a folder cannot be read or written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A program that is needed is not there.
    #[error("{}: {program} is not installed (Debian: apt install ffmpeg); .y4m files and folders of pictures need none", path.display())]
    NoProgram {
        path: PathBuf,
        program: &'static str,
    },
}

impl VideoError {
    pub(super) fn of(path: &Path, reason: impl Display) -> VideoError {
        VideoError::Clip {
            path: path.into(),
            reason: reason.to_string(),
        }
    }
}
