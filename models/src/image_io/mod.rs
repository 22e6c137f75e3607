//! Photographs in and out: decoding, PIL-exact resizing, cropping, windows, planar f32, atomic PNG.
//!
//! Everything in this project that looks at a picture looks at a [`Picture`]: 8-bit RGB, rows top
//! to bottom, three bytes per pixel. [`load`] turns a PNG, JPEG, WebP, TIFF, GIF or JPEG XL file
//! into one and says, as [`Notice`]s, what it had to change on the way; [`to_planar`] and [`from_planar`] go
//! between pictures and the `[3, height, width]` f32 arrays in -1..1 that models consume.

mod color;
mod crop;
mod decode;
mod grid;
mod guard;
mod jpeg;
mod jpeg_xl;
mod load;
mod notice;
mod planar;
mod png_rows;
mod reader;
mod refused;
pub mod resize;
mod rows;
mod save;
mod whole;
mod windows;

pub use crop::{center_crop, crop, pad_by_replication, pad_with_black};
pub use grid::{picture_grid, save_gif};
pub use load::{LoadLimits, Loaded, load, load_from_bytes, load_within, to_eight_bits};
pub use notice::Notice;
pub use planar::{PixelRange, append_planar, append_window, from_planar, to_planar};
pub use reader::{PictureReader, check_picture};
pub use save::{PngWriter, encode_png, save_png, write_atomically};
pub use windows::{PictureCutter, PictureJoiner, Windows};

use std::io;
use std::path::{Path, PathBuf};

/// Rows and columns of a picture.
///
/// Named, so that height and width cannot change places unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSize {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl ImageSize {
    /// A square picture.
    pub fn square(side: usize) -> ImageSize {
        ImageSize {
            height: side,
            width: side,
        }
    }
}

/// An 8-bit RGB picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns; at least 1.
    pub width: usize,
    /// Rows; at least 1.
    pub height: usize,
    /// Samples `[height, width, 3]`, red first; exactly `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// A picture over the given samples.
    ///
    /// # Panics
    /// When a side is zero or the number of samples is not `3 * width * height`.
    #[track_caller]
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Picture {
        assert!(
            width > 0 && height > 0,
            "a picture of {width}x{height} pixels has no pixels"
        );
        assert_eq!(
            rgb.len(),
            3 * width * height,
            "a {width}x{height} RGB picture has {} samples, not {}",
            3 * width * height,
            rgb.len()
        );
        Picture { width, height, rgb }
    }

    /// The red, green and blue samples of the pixel in column `x` of row `y`.
    ///
    /// # Panics
    /// If the picture has no such pixel.
    #[track_caller]
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        assert!(x < self.width && y < self.height);
        let at = 3 * (y * self.width + x);
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// Rows and columns.
    pub fn size(&self) -> ImageSize {
        ImageSize {
            height: self.height,
            width: self.width,
        }
    }

    /// Writes one row as samples of 16 bits: 255 becomes 65,535.
    ///
    /// # Panics
    /// When `row` has not `3 * width` samples.
    #[track_caller]
    pub fn write_row(&self, y: usize, row: &mut [u16]) {
        assert_eq!(row.len(), 3 * self.width, "samples of a row");
        for (wide, &sample) in row.iter_mut().zip(self.row(y)) {
            *wide = 257 * u16::from(sample);
        }
    }

    /// One row of samples, `3 * width` bytes.
    ///
    /// # Panics
    /// If the picture has no such row.
    #[track_caller]
    pub fn row(&self, y: usize) -> &[u8] {
        &self.rgb[3 * self.width * y..3 * self.width * (y + 1)]
    }
}

/// A picture that comes row by row, from top to bottom.
pub trait PixelRows {
    /// Rows and columns.
    fn size(&self) -> ImageSize;

    /// The next row: red, green and blue of every pixel, 0 to 65,535. It is asked for once for every
    /// row.
    ///
    /// # Errors
    /// If the file that the rows are read from is not whole.
    fn read_row(&mut self, row: &mut [u16]) -> Result<(), ImageError>;
}

/// The rows of a picture in memory.
pub struct PictureRows<'a> {
    picture: &'a Picture,
    next: usize,
}

impl Picture {
    /// The rows one after the other, as samples of 16 bits.
    pub fn rows(&self) -> PictureRows<'_> {
        PictureRows {
            picture: self,
            next: 0,
        }
    }
}

impl PixelRows for PictureRows<'_> {
    fn size(&self) -> ImageSize {
        self.picture.size()
    }

    fn read_row(&mut self, row: &mut [u16]) -> Result<(), ImageError> {
        self.picture.write_row(self.next, row);
        self.next += 1;
        Ok(())
    }
}

/// What can be wrong with a picture file; each message is one line naming the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is nothing at this path.
    #[error("{path}: no such file", path = path.display())]
    NotFound {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The path names a folder.
    #[error("{path}: is a folder, not an image file", path = path.display())]
    IsFolder {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The operating system refused to read the file.
    #[error("{path}: cannot be read: {reason}", path = path.display())]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system says.
        reason: std::io::Error,
    },
    /// The file's first bytes are those of no picture.
    #[error("{path}: not a PNG or JPEG image, nor WebP, TIFF, GIF or JPEG XL", path = path.display())]
    NotAnImage {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A picture of a format that is not read.
    #[error(
        "{path}: in the format {format}, which is not read: convert it to PNG first",
        path = path.display()
    )]
    OtherFormat {
        /// The path as it was given.
        path: PathBuf,
        /// The format's name.
        format: &'static str,
    },
    /// The file ends before the picture does.
    #[error("{path}: truncated: the file ends before the picture does", path = path.display())]
    Truncated {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The decoder found something that no valid file contains.
    #[error("{path}: damaged or unsupported image: {reason}", path = path.display())]
    Damaged {
        /// The path as it was given.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
    /// The header announces more pixels than [`LoadLimits`] allow; nothing was allocated.
    #[error(
        "{path}: {width}x{height} is too large: at most {max_side} pixels a side and {max_pixels} in all; scale the picture down first",
        path = path.display()
    )]
    TooLarge {
        /// The path as it was given.
        path: PathBuf,
        /// Announced columns.
        width: u32,
        /// Announced rows.
        height: u32,
        /// The limit for each side.
        max_side: u32,
        /// The limit for the product of both sides.
        max_pixels: u64,
    },
    /// The file could not be written; nothing was left behind.
    #[error("{path}: cannot be written: {reason}", path = path.display())]
    Unwritable {
        /// The path as it was given.
        path: PathBuf,
        /// Why, in words.
        reason: String,
    },
}

impl ImageError {
    fn damaged(reason: impl Into<String>, path: &Path) -> ImageError {
        ImageError::Damaged {
            path: path.into(),
            reason: reason.into(),
        }
    }

    fn no_memory(path: &Path) -> ImageError {
        ImageError::damaged("not enough memory for its pixels", path)
    }

    /// The system does not give the file.
    fn of_system(reason: io::Error, path: &Path) -> ImageError {
        match reason.kind() {
            io::ErrorKind::NotFound => ImageError::NotFound { path: path.into() },
            io::ErrorKind::IsADirectory => ImageError::IsFolder { path: path.into() },
            _ => ImageError::Unreadable {
                path: path.into(),
                reason,
            },
        }
    }

    /// A decoder fails; `ended` if it says that it has read to the end of the file.
    fn of_decoder(ended: bool, text: &str, path: &Path) -> ImageError {
        let lower = text.to_lowercase();
        let phrases = ["unexpected end", "unexpectedeof", "exhausted data", "eof"];
        match ended || phrases.iter().any(|phrase| lower.contains(phrase)) {
            true => ImageError::Truncated { path: path.into() },
            false => ImageError::damaged(text.replace('\n', " "), path),
        }
    }
}
