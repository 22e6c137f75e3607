//! Picture files as 8-bit RGB, upright and in sRGB, with notices of what was changed.

use super::decode::{Decoded, decode};
use super::guard::without_panic;
use super::{ImageError, Notice, Picture, color};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageBuffer};
use std::{fs, io, path::Path};

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
    /// Largest number of pixels; one pixel takes 3 to 11 bytes while a file is decoded.
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

/// Reads a PNG, JPEG, WebP, TIFF or GIF file under the default [`LoadLimits`].
///
/// The format is recognised by content, not by name. EXIF orientation is applied, and colours are
/// converted to sRGB if the file says that they are others.
pub fn load(path: impl AsRef<Path>) -> Result<Loaded, ImageError> {
    load_within(path, LoadLimits::default())
}

/// [`load`] under limits of the caller's own.
pub fn load_within(path: impl AsRef<Path>, limits: LoadLimits) -> Result<Loaded, ImageError> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|reason| match reason.kind() {
        io::ErrorKind::NotFound => ImageError::NotFound { path: path.into() },
        io::ErrorKind::IsADirectory => ImageError::IsFolder { path: path.into() },
        _ => ImageError::Unreadable {
            path: path.into(),
            reason,
        },
    })?;
    load_from_bytes(&bytes, path, limits)
}

/// Decodes a file that is already in memory; `path` only names it in errors.
pub fn load_from_bytes(
    bytes: &[u8],
    path: &Path,
    limits: LoadLimits,
) -> Result<Loaded, ImageError> {
    let damaged = |reason| ImageError::Damaged {
        path: path.into(),
        reason,
    };
    let loaded = without_panic(|| {
        let decoded = decode(bytes, path, limits);
        finish(decoded?).map_err(damaged)
    });
    loaded.unwrap_or_else(|| Err(damaged("its decoder gave up".into())))
}

/// From samples as the file has them to an upright picture in sRGB.
fn finish(file: Decoded) -> Result<Loaded, String> {
    let Decoded { color, is_cmyk, .. } = file;
    let mut notices = Vec::new();
    let is_grey = matches!(
        color,
        ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16
    );
    if is_grey {
        notices.push(Notice::Greyscale);
    }
    if color.bytes_per_pixel() / color.channel_count() > 1 {
        notices.push(Notice::SixteenBit);
    }
    let mut decoded = dynamic(file.width, file.height, color, file.samples)
        .ok_or_else(|| format!("{color:?} samples, which are not read"))?;
    decoded.apply_orientation(file.orientation);
    let change = color::to_srgb(&mut decoded, is_grey, file.described);

    let picture = if color.has_alpha() {
        let (picture, any_transparent) = over_white(decoded);
        if any_transparent {
            notices.push(Notice::TransparencyOverWhite);
        }
        picture
    } else {
        let rgb = decoded.into_rgb8();
        let (width, height) = rgb.dimensions();
        Picture::new(width as usize, height as usize, rgb.into_raw())
    };
    notices.extend(change);
    if is_cmyk {
        notices.push(Notice::Cmyk);
    }
    if file.orientation != Orientation::NoTransforms {
        notices.push(Notice::Orientation);
    }
    if file.is_animated {
        notices.push(Notice::Animation);
    }
    Ok(Loaded { picture, notices })
}

/// The samples as a picture of their type.
fn dynamic(width: u32, height: u32, color: ColorType, samples: Vec<u8>) -> Option<DynamicImage> {
    let words = |samples: &[u8]| -> Vec<u16> {
        let pairs = samples.as_chunks::<2>().0.iter();
        pairs.map(|&pair| u16::from_ne_bytes(pair)).collect()
    };
    Some(match color {
        ColorType::L8 => DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, samples)?),
        ColorType::La8 => DynamicImage::ImageLumaA8(ImageBuffer::from_raw(width, height, samples)?),
        ColorType::Rgb8 => DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, samples)?),
        ColorType::Rgba8 => {
            DynamicImage::ImageRgba8(ImageBuffer::from_raw(width, height, samples)?)
        }
        ColorType::L16 => {
            DynamicImage::ImageLuma16(ImageBuffer::from_raw(width, height, words(&samples))?)
        }
        ColorType::La16 => {
            DynamicImage::ImageLumaA16(ImageBuffer::from_raw(width, height, words(&samples))?)
        }
        ColorType::Rgb16 => {
            DynamicImage::ImageRgb16(ImageBuffer::from_raw(width, height, words(&samples))?)
        }
        ColorType::Rgba16 => {
            DynamicImage::ImageRgba16(ImageBuffer::from_raw(width, height, words(&samples))?)
        }
        _ => return None,
    })
}

/// Lays a picture over white, as a page shows it; also says whether any pixel let it through.
///
/// Dropping alpha instead would show whatever colours a drawing program left under it.
fn over_white(image: DynamicImage) -> (Picture, bool) {
    let rgba = image.into_rgba8();
    let (width, height) = rgba.dimensions();
    let mut any_transparent = false;
    let mut rgb = Vec::with_capacity(3 * width as usize * height as usize);
    for pixel in rgba.as_raw().as_chunks::<4>().0 {
        let [color @ .., alpha] = *pixel;
        any_transparent |= alpha != 255;
        let alpha = u32::from(alpha);
        rgb.extend(
            color.map(|sample| {
                ((u32::from(sample) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
            }),
        );
    }
    (
        Picture::new(width as usize, height as usize, rgb),
        any_transparent,
    )
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
