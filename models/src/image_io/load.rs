//! Decoding picture files of every kind into 8-bit RGB, with notices of what was changed.

use super::color::{self, Described};
use super::guard::without_panic;
use super::jpeg::{self, JpegError};
use super::{ImageError, Picture};
use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{
    AnimationDecoder, ColorType, DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader,
};
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
    /// The colours were converted to sRGB from those that the file describes.
    ColorConverted,
    /// The file describes its colours in a way that is not understood; they were taken for sRGB.
    ColorIgnored,
    /// Four ink channels were converted to RGB without a colour profile.
    Cmyk,
    /// The picture was turned or mirrored as its EXIF orientation says.
    Orientation,
    /// The file is an animation, of which this is the first picture.
    Animation,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Notice::Greyscale => "greyscale: copied to red, green and blue",
            Notice::SixteenBit => "16-bit samples: rounded to 8 bits",
            Notice::TransparencyOverWhite => {
                "transparent pixels: laid over white, alpha is not kept"
            }
            Notice::ColorConverted => "converted to sRGB from its own colours",
            Notice::ColorIgnored => "its colour profile cannot be used: taken for sRGB",
            Notice::Cmyk => "CMYK: converted to RGB without its colour profile",
            Notice::Animation => "an animation: only its first picture is used",
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
        let decoded = match image::guess_format(bytes) {
            Ok(ImageFormat::Jpeg) => decode_jpeg(bytes, path, limits),
            Ok(
                format @ (ImageFormat::Png
                | ImageFormat::WebP
                | ImageFormat::Tiff
                | ImageFormat::Gif),
            ) => decode_other(bytes, format, path, limits),
            found => Err(match other_format(bytes, found.ok()) {
                Some(format) => ImageError::OtherFormat {
                    path: path.into(),
                    format,
                },
                None => ImageError::NotAnImage { path: path.into() },
            }),
        };
        finish(decoded?).map_err(damaged)
    });
    loaded.unwrap_or_else(|| Err(damaged("its decoder gave up".into())))
}

/// What a decoder makes of a file.
struct Decoded {
    width: u32,
    height: u32,
    color: ColorType,
    /// As [`ImageDecoder::read_image`] gives them.
    samples: Vec<u8>,
    orientation: Orientation,
    described: Described,
    is_cmyk: bool,
    is_animated: bool,
}

fn too_large(width: u32, height: u32, path: &Path, limits: LoadLimits) -> ImageError {
    ImageError::TooLarge {
        path: path.into(),
        width,
        height,
        max_side: limits.max_side,
        max_pixels: limits.max_pixels,
    }
}

fn decode_jpeg(bytes: &[u8], path: &Path, limits: LoadLimits) -> Result<Decoded, ImageError> {
    let damaged = |reason| ImageError::Damaged {
        path: path.into(),
        reason,
    };
    let survey = jpeg::survey(bytes, limits.max_side, limits.max_pixels);
    let survey = survey.map_err(|error| match error {
        JpegError::Truncated => ImageError::Truncated { path: path.into() },
        JpegError::TooLarge { width, height } => too_large(width, height, path, limits),
        JpegError::Refused(reason) => damaged(reason),
    })?;
    let (color, samples) = jpeg::decode(bytes, &survey).map_err(damaged)?;
    let is_cmyk = survey.components() == 4;
    Ok(Decoded {
        width: survey.frame.width,
        height: survey.frame.height,
        color,
        samples,
        orientation: survey
            .exif
            .and_then(Orientation::from_exif_chunk)
            .unwrap_or(Orientation::NoTransforms),
        described: match survey.icc {
            // A profile of inks is not one of what they became.
            Some(icc) if !is_cmyk => Described::Profile(icc),
            _ => Described::Srgb,
        },
        is_cmyk,
        is_animated: false,
    })
}

/// The name of a format that is recognised and not read.
fn other_format(bytes: &[u8], guess: Option<ImageFormat>) -> Option<&'static str> {
    if bytes.starts_with(&[0xFF, 0x0A]) || bytes.get(4..8) == Some(b"JXL ") {
        return Some("JPEG XL");
    }
    match (guess, bytes.get(4..8), bytes.get(8..12)) {
        (_, Some(b"ftyp"), Some(b"avif" | b"avis")) => Some("AVIF"),
        (_, Some(b"ftyp"), Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1")) => {
            Some("HEIC")
        }
        (Some(ImageFormat::Avif), ..) => Some("AVIF"),
        (Some(ImageFormat::Bmp), ..) => Some("BMP"),
        (Some(ImageFormat::Ico), ..) => Some("ICO"),
        (Some(ImageFormat::Hdr), ..) => Some("HDR"),
        (Some(ImageFormat::OpenExr), ..) => Some("OpenEXR"),
        (Some(ImageFormat::Pnm), ..) => Some("PNM"),
        (Some(ImageFormat::Qoi), ..) => Some("QOI"),
        _ => None,
    }
}

/// Whether a file has more pictures than the first.
fn is_animated(bytes: &[u8], format: ImageFormat) -> bool {
    let file = Cursor::new(bytes);
    match format {
        ImageFormat::Png => PngDecoder::new(file).is_ok_and(|its| its.is_apng().unwrap_or(false)),
        ImageFormat::WebP => WebPDecoder::new(file).is_ok_and(|its| its.has_animation()),
        // A second picture that cannot be decoded is there, too.
        ImageFormat::Gif => {
            GifDecoder::new(file).is_ok_and(|its| its.into_frames().take(2).count() == 2)
        }
        _ => false,
    }
}

fn decode_other(
    bytes: &[u8],
    format: ImageFormat,
    path: &Path,
    limits: LoadLimits,
) -> Result<Decoded, ImageError> {
    let damaged = |error: image::ImageError| explain_decoding_error(error, path);
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
        return Err(too_large(width, height, path, limits));
    }
    let (color, count) = (decoder.color_type(), decoder.total_bytes() as usize);
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let described = match format {
        ImageFormat::Png => color::described_by_png(bytes),
        _ => match decoder.icc_profile().ok().flatten() {
            Some(icc) => Described::Profile(icc),
            None => Described::Srgb,
        },
    };
    let mut samples = Vec::new();
    samples
        .try_reserve_exact(count)
        .map_err(|_| ImageError::Damaged {
            path: path.into(),
            reason: "not enough memory for its pixels".into(),
        })?;
    samples.resize(count, 0);
    decoder.read_image(&mut samples).map_err(damaged)?;
    Ok(Decoded {
        width,
        height,
        color,
        samples,
        orientation,
        described,
        is_cmyk: false,
        is_animated: is_animated(bytes, format),
    })
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
