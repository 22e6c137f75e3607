//! Decoding PNG and JPEG files of every kind into 8-bit RGB, with notices of what was changed.

use super::{ImageError, Picture, jpeg_markers::jpeg_facts};
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, metadata};
use std::{fmt, fs, io, io::Cursor, path::Path};

/// Something about a file that a user may want to know because the picture is not quite the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// One channel was copied to red, green and blue.
    Greyscale,
    /// 16-bit samples were rounded to 8 bits.
    SixteenBit,
    /// Pixels that are not opaque were laid over white.
    TransparencyOverWhite,
    /// Four ink channels were converted to RGB without a colour profile.
    Cmyk,
    /// The picture was turned or mirrored as its EXIF orientation says.
    Orientation,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Notice::Greyscale => "greyscale: copied to red, green and blue",
            Notice::SixteenBit => "16-bit samples: rounded to 8 bits",
            Notice::TransparencyOverWhite => {
                "transparent pixels: laid over white, alpha is not kept"
            }
            Notice::Cmyk => "CMYK: converted to RGB without its colour profile",
            Notice::Orientation => "turned upright as its EXIF orientation says",
        })
    }
}

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

/// Reads a PNG or JPEG file under the default [`LoadLimits`].
///
/// The format is recognised by content, not by name. EXIF orientation is applied; colour profiles
/// are not.
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
    let damaged = |error: image::ImageError| explain_decoding_error(error, path);
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        _ => return Err(ImageError::NotAnImage { path: path.into() }),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // The sizes are checked below with a message of our own; the decoder's limit guards its
    // working memory (at most 8 bytes a pixel for the samples, as much again for the rest).
    let mut decoder_limits = image::Limits::no_limits();
    decoder_limits.max_alloc = Some(limits.max_pixels.saturating_mul(16));
    reader.limits(decoder_limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;

    let (width, height) = decoder.dimensions();
    if width > limits.max_side
        || height > limits.max_side
        || u64::from(width) * u64::from(height) > limits.max_pixels
    {
        return Err(ImageError::TooLarge {
            path: path.into(),
            width,
            height,
            max_side: limits.max_side,
            max_pixels: limits.max_pixels,
        });
    }
    let color = decoder.color_type();
    let mut notices = Vec::new();
    if matches!(
        color,
        ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16
    ) {
        notices.push(Notice::Greyscale);
    }
    if color.bytes_per_pixel() / color.channel_count() > 1 {
        notices.push(Notice::SixteenBit);
    }
    let mut is_cmyk = false;
    if format == ImageFormat::Jpeg {
        let facts = jpeg_facts(bytes);
        if !facts.complete {
            return Err(ImageError::Truncated { path: path.into() });
        }
        is_cmyk = facts.components == 4;
    }
    let orientation = decoder
        .orientation()
        .unwrap_or(metadata::Orientation::NoTransforms);
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    decoded.apply_orientation(orientation);

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
    if is_cmyk {
        notices.push(Notice::Cmyk);
    }
    if orientation != metadata::Orientation::NoTransforms {
        notices.push(Notice::Orientation);
    }
    Ok(Loaded { picture, notices })
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

fn explain_decoding_error(error: image::ImageError, path: &Path) -> ImageError {
    let ended_early = match &error {
        image::ImageError::IoError(io) => io.kind() == io::ErrorKind::UnexpectedEof,
        image::ImageError::Decoding(_) => {
            let text = error.to_string().to_lowercase();
            ["unexpected end", "unexpectedeof", "exhausted data", "eof"]
                .iter()
                .any(|phrase| text.contains(phrase))
        }
        _ => false,
    };
    if ended_early {
        return ImageError::Truncated { path: path.into() };
    }
    ImageError::Damaged {
        path: path.into(),
        reason: error.to_string().replace('\n', " "),
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
