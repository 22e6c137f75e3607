//! Clips in and out, frame by frame: no more than a few frames are in memory, however long a clip is.
//!
//! | a path that is | is read and written by |
//! |---|---|
//! | `.y4m` | this program |
//! | `.yuv`, planes of I420 | this program; the size is in the name (`clip_640x360_25fps.yuv`) or given |
//! | a folder | PNG and other pictures, in the order of their names |
//! | anything else: `.mp4`, `.mkv`, `.webm`, `.avi`, `.mov` ... | the program `ffmpeg`, through a pipe |
//! | `.gif` | written only: a preview of 256 colours |
//!
//! Frames are [`Picture`]s, RGB of 8 bits. How they come from Y'CbCr is told in [`color`].
//!
//! ```
//! use bsq::image_io::{ImageSize, Picture};
//! use bsq::video_io::{ClipFormat, ClipOptions, FrameRate, create, open};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("clip.y4m");
//! let size = ImageSize { height: 6, width: 8 };
//! let format = ClipFormat { size, rate: FrameRate::new(30_000, 1001).unwrap(), frames: Some(3) };
//! let mut writer = create(&path, &format)?;
//! for level in [0, 100, 200] {
//!     writer.write(&Picture::new(8, 6, vec![level; 144]))?;
//! }
//! writer.finish()?;
//!
//! let mut clip = open(&path, &ClipOptions::default())?;
//! assert_eq!((clip.format().size, clip.format().rate.to_string()), (size, "30000/1001".into()));
//! let mut count = 0;
//! while let Some(frame) = clip.next_frame()? {
//!     assert_eq!(frame.size(), size);
//!     count += 1;
//! }
//! assert_eq!(count, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod color;
mod error;
mod ffmpeg;
mod folder;
mod format;
mod gif;
mod raw;
mod shared_file;
#[cfg(test)]
mod tests;
mod y4m;

pub use error::VideoError;
pub use format::{ClipFormat, ClipOptions, FrameRate};

use crate::image_io::Picture;
use std::path::Path;

/// A clip that is read.
pub trait ReadFrames {
    fn format(&self) -> &ClipFormat;

    /// The next frame; `None` after the last.
    ///
    /// # Errors
    /// If the file cannot be read, or ends inside a frame.
    fn next_frame(&mut self) -> Result<Option<Picture>, VideoError>;

    /// What a user should know of this clip: sound that is left out, colours that are guessed. Complete
    /// after the last frame.
    fn notices(&self) -> Vec<String>;
}

/// A clip that is written. One that is dropped before it is finished leaves nothing behind, but for
/// the frames of a folder.
pub trait WriteFrames {
    /// Writes the next frame.
    ///
    /// # Errors
    /// If it cannot be written.
    ///
    /// # Panics
    /// If the frame has another size.
    fn write(&mut self, frame: &Picture) -> Result<(), VideoError>;

    /// Completes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    fn finish(self: Box<Self>) -> Result<(), VideoError>;
}

/// Endings of files that are clips, and no pictures.
const ENDINGS: [&str; 16] = [
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "ogv", "flv", "wmv", "264",
    "265", "y4m", "yuv",
];

/// Whether a path is that of a clip: a folder, or a file with the ending of one.
pub fn is_clip(path: &Path) -> bool {
    path.is_dir() || has_clip_name(path)
}

/// Whether a name ends as those of clips do.
pub fn has_clip_name(path: &Path) -> bool {
    ENDINGS.iter().any(|ending| has_ending(path, ending))
}

/// Opens a clip.
///
/// # Errors
/// If there is none, or it cannot be read; without `ffmpeg` those are refused that need it.
pub fn open(path: &Path, options: &ClipOptions) -> Result<Box<dyn ReadFrames>, VideoError> {
    if !path.exists() {
        return Err(VideoError::of(path, "no such file"));
    }
    Ok(match path {
        _ if path.is_dir() => Box::new(folder::FolderReader::open(path, options)?),
        _ if has_ending(path, "y4m") => Box::new(y4m::open(path, options)?),
        _ if has_ending(path, "yuv") => Box::new(raw::RawReader::open(path, options)?),
        _ => Box::new(ffmpeg::FfmpegReader::open(path, options)?),
    })
}

/// Creates a clip. A path without an ending, or with a `/` at its end, is a folder of PNG files.
///
/// # Errors
/// If it cannot be written, or needs `ffmpeg` and there is none.
pub fn create(path: &Path, format: &ClipFormat) -> Result<Box<dyn WriteFrames>, VideoError> {
    Ok(match path {
        _ if path.is_dir() || path.extension().is_none() => {
            Box::new(folder::FolderWriter::create(path)?)
        }
        _ if has_ending(path, "y4m") => Box::new(y4m::Y4mWriter::create(path, format)?),
        _ if has_ending(path, "gif") => Box::new(gif::GifWriter::create(path, format)?),
        _ => Box::new(ffmpeg::FfmpegWriter::create(path, format)?),
    })
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|its| its.eq_ignore_ascii_case(ending))
}
