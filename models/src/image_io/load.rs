//! Picture files as 8-bit RGB, upright and in sRGB, with notices of what was changed.

use super::{ImageError, ImageSize, Notice, Picture, PictureReader, PixelRows};
use std::path::Path;

/// A decoded file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The picture, upright, 8-bit RGB.
    pub picture: Picture,
    /// What was changed on the way, in the order of [`Notice`]'s variants; empty for plain RGB.
    pub notices: Vec<Notice>,
}

/// The largest picture that is decoded; checked against the header, before anything is allocated.
#[derive(Clone, Copy, Debug)]
pub struct LoadLimits {
    /// Largest number of columns or rows.
    pub max_side: u32,
    /// Largest number of pixels; see [`PictureReader`] for what one takes.
    pub max_pixels: u64,
}

impl Default for LoadLimits {
    /// 65,535 pixels a side (what JPEG can express) and 2^27 pixels in all (a 384 MiB picture).
    fn default() -> Self {
        LoadLimits {
            max_side: 65_535,
            max_pixels: 1 << 27,
        }
    }
}

/// Reads a PNG, JPEG, WebP, TIFF, GIF or JPEG XL file under the default [`LoadLimits`].
///
/// The format is recognised by content, not by name. Orientation is applied, and colours are
/// converted to sRGB if the file says that they are others. [`PictureReader`] reads larger files row
/// by row, and keeps 16 bits.
pub fn load(path: impl AsRef<Path>) -> Result<Loaded, ImageError> {
    load_within(path, LoadLimits::default())
}

/// [`load`] under limits of the caller's own.
pub fn load_within(path: impl AsRef<Path>, limits: LoadLimits) -> Result<Loaded, ImageError> {
    finish(PictureReader::open(&path, limits)?, path.as_ref())
}

/// Decodes a file that is already in memory; `path` only names it in errors.
pub fn load_from_bytes(
    bytes: &[u8],
    path: &Path,
    limits: LoadLimits,
) -> Result<Loaded, ImageError> {
    finish(PictureReader::of_bytes(bytes, path, limits)?, path)
}

/// The nearest sample of 8 bits. One that was of 8 bits is itself again.
pub fn to_eight_bits(sample: u16) -> u8 {
    ((u32::from(sample) + 128) / 257) as u8
}

fn finish(mut reader: PictureReader<'_>, path: &Path) -> Result<Loaded, ImageError> {
    let ImageSize { height, width } = reader.size();
    if let Some(rgb) = reader.take_samples() {
        return Ok(Loaded {
            picture: Picture::new(width, height, rgb),
            notices: reader.notices(),
        });
    }
    let (mut rgb, mut row) = (Vec::new(), vec![0; 3 * width]);
    rgb.try_reserve_exact(3 * width * height)
        .map_err(|_| ImageError::no_memory(path))?;
    for _ in 0..height {
        reader.read_row(&mut row)?;
        rgb.extend(row.iter().map(|&sample| to_eight_bits(sample)));
    }
    let mut notices = reader.notices();
    notices.extend(reader.is_deep().then_some(Notice::SixteenBit));
    notices.sort();
    let picture = Picture::new(width, height, rgb);
    Ok(Loaded { picture, notices })
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "color_tests.rs"]
mod color_tests;

#[cfg(test)]
#[path = "animation_tests.rs"]
mod animation_tests;
