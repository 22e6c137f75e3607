//! Decoders: which of them reads a file, the samples as it has them, and what it says of them.

use super::color::Described;
use super::jpeg::{self, JpegError};
use super::jpeg_xl;
use super::png_rows::PngRows;
use super::refused;
use super::{ImageError, LoadLimits, Notice};
use image::codecs::{gif::GifDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{AnimationDecoder, ColorType, ImageDecoder, ImageFormat};
use std::io::{BufRead, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that tell a file's format.
const START: usize = 64;
/// Bytes that most JPEG and JPEG XL files say their size in.
const HEAD: u64 = 1 << 16;

/// Formats that are read.
#[derive(Clone, Copy)]
pub(super) enum Format {
    Png,
    Jpeg,
    JpegXl,
    /// WebP, TIFF and GIF.
    Other(ImageFormat),
}

/// Columns and rows of a file of which these are the first bytes.
type SizeOf = fn(&[u8], &Path, LoadLimits) -> Result<(u32, u32), ImageError>;

/// What a file says of its samples.
pub(super) struct About {
    /// Columns and rows, as they are in the file.
    pub dimensions: (u32, u32),
    pub color: ColorType,
    pub orientation: Orientation,
    pub described: Described,
    /// What else the decoder has changed or left out.
    pub notices: Vec<Notice>,
}

/// What a decoder makes of a file.
pub(super) struct Decoded {
    pub about: About,
    /// As [`ImageDecoder::read_image`] gives them.
    pub samples: Vec<u8>,
}

/// The format of a file by its content; leaves it at its start.
///
/// # Errors
/// If it is none that is read, or the file cannot be.
pub(super) fn format(file: &mut (impl Read + Seek), path: &Path) -> Result<Format, ImageError> {
    let mut start = Vec::new();
    let read = file.by_ref().take(START as u64).read_to_end(&mut start);
    read.and_then(|_| file.seek(SeekFrom::Start(0)))
        .map_err(|error| ImageError::of_system(error, path))?;
    if jpeg_xl::begins(&start) {
        return Ok(Format::JpegXl);
    }
    match image::guess_format(&start) {
        Ok(ImageFormat::Png) => Ok(Format::Png),
        Ok(ImageFormat::Jpeg) => Ok(Format::Jpeg),
        Ok(format @ (ImageFormat::WebP | ImageFormat::Tiff | ImageFormat::Gif)) => {
            Ok(Format::Other(format))
        }
        found => Err(match refused::name(&start, found.ok()) {
            Some(format) => ImageError::OtherFormat {
                path: path.into(),
                format,
            },
            None => ImageError::NotAnImage { path: path.into() },
        }),
    }
}

/// Whether the file begins as a picture within the limits does. Its pixels are not looked at.
///
/// # Errors
/// What is wrong with the file's first part.
pub(super) fn check(
    file: &mut (impl BufRead + Seek),
    path: &Path,
    limits: LoadLimits,
) -> Result<(), ImageError> {
    let size: SizeOf = match format(file, path)? {
        Format::Png => return PngRows::open(file, path, limits).map(drop),
        Format::Other(format) => return other_decoder(file, format, path, limits).map(drop),
        Format::Jpeg => |bytes, path, limits| {
            jpeg::dimensions(bytes).map_err(|error| explain_jpeg(error, path, limits))
        },
        Format::JpegXl => |bytes, path, _| jpeg_xl::dimensions(bytes, path),
    };
    let failed = |error| ImageError::of_system(error, path);
    let mut bytes = Vec::new();
    let head = file.by_ref().take(HEAD).read_to_end(&mut bytes);
    head.map_err(failed)?;
    let mut found = size(&bytes, path, limits);
    if matches!(found, Err(ImageError::Truncated { .. })) {
        file.read_to_end(&mut bytes).map_err(failed)?;
        found = size(&bytes, path, limits);
    }
    let (width, height) = found?;
    too_large(width, height, path, limits).map_or(Ok(()), Err)
}

/// The error of a picture beyond the limits.
pub(super) fn too_large(
    width: u32,
    height: u32,
    path: &Path,
    limits: LoadLimits,
) -> Option<ImageError> {
    let LoadLimits {
        max_side,
        max_pixels,
    } = limits;
    let pixels = u64::from(width) * u64::from(height);
    (width > max_side || height > max_side || pixels > max_pixels).then(|| ImageError::TooLarge {
        path: path.into(),
        width,
        height,
        max_side,
        max_pixels,
    })
}

fn explain_jpeg(error: JpegError, path: &Path, limits: LoadLimits) -> ImageError {
    match error {
        JpegError::Truncated => ImageError::Truncated { path: path.into() },
        JpegError::TooLarge { width, height } => ImageError::TooLarge {
            path: path.into(),
            width,
            height,
            max_side: limits.max_side,
            max_pixels: limits.max_pixels,
        },
        JpegError::Refused(reason) => ImageError::damaged(reason, path),
    }
}

/// The samples of a JPEG file.
///
/// # Errors
/// If it is not whole or beyond the limits, or its decoder fails.
pub(super) fn decode_jpeg(
    bytes: &[u8],
    path: &Path,
    limits: LoadLimits,
) -> Result<Decoded, ImageError> {
    let survey = jpeg::survey(bytes, limits.max_side, limits.max_pixels);
    let survey = survey.map_err(|error| explain_jpeg(error, path, limits))?;
    let decoded = jpeg::decode(bytes, &survey);
    let (color, samples) = decoded.map_err(|reason| ImageError::damaged(reason, path))?;
    let is_cmyk = survey.components() == 4;
    let about = About {
        dimensions: (survey.frame.width, survey.frame.height),
        color,
        orientation: survey
            .exif
            .and_then(Orientation::from_exif_chunk)
            .unwrap_or(Orientation::NoTransforms),
        described: match survey.icc {
            // A profile of inks is not one of what they became.
            Some(icc) if !is_cmyk => Described::Profile(icc),
            _ => Described::Srgb,
        },
        notices: Vec::from_iter(is_cmyk.then_some(Notice::Cmyk)),
    };
    Ok(Decoded { about, samples })
}

/// Whether a file has more pictures than the first.
fn is_animated(bytes: &[u8], format: ImageFormat) -> bool {
    let file = Cursor::new(bytes);
    match format {
        ImageFormat::WebP => WebPDecoder::new(file).is_ok_and(|its| its.has_animation()),
        // A second picture that cannot be decoded is there, too.
        ImageFormat::Gif => {
            GifDecoder::new(file).is_ok_and(|its| its.into_frames().take(2).count() == 2)
        }
        _ => false,
    }
}

/// The decoder of a file, and the file's colour profile.
struct WithProfile<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    icc: Option<Vec<u8>>,
}

/// The decoder of a WebP, TIFF or GIF file within the limits.
fn other_decoder<'a>(
    file: impl BufRead + Seek + 'a,
    format: ImageFormat,
    path: &Path,
    limits: LoadLimits,
) -> Result<WithProfile<'a>, ImageError> {
    let failed = |error| explain(error, path);
    let mut decoder: Box<dyn ImageDecoder> = match format {
        ImageFormat::Tiff => Box::new(TiffDecoder::new(file).map_err(failed)?),
        ImageFormat::WebP => Box::new(WebPDecoder::new(file).map_err(failed)?),
        _ => Box::new(GifDecoder::new(file).map_err(failed)?),
    };
    // Before the limits: by these a TIFF file's profile must not be larger than its pixels.
    let icc = decoder.icc_profile().ok().flatten();
    // The sizes are checked below with a message of our own; the decoder's limit guards its
    // working memory (at most 8 bytes a pixel for the samples, as much again for the rest).
    let mut decoder_limits = image::Limits::no_limits();
    decoder_limits.max_alloc = Some(limits.max_pixels.saturating_mul(16));
    decoder.set_limits(decoder_limits).map_err(failed)?;
    let (width, height) = decoder.dimensions();
    too_large(width, height, path, limits).map_or(Ok(WithProfile { decoder, icc }), Err)
}

/// The samples of a WebP, TIFF or GIF file.
///
/// # Errors
/// If it is beyond the limits, or its decoder fails.
pub(super) fn decode_other(
    bytes: &[u8],
    format: ImageFormat,
    path: &Path,
    limits: LoadLimits,
) -> Result<Decoded, ImageError> {
    let file = Cursor::new(bytes);
    let WithProfile { mut decoder, icc } = other_decoder(file, format, path, limits)?;
    let (color, count) = (decoder.color_type(), decoder.total_bytes() as usize);
    let about = About {
        dimensions: decoder.dimensions(),
        color,
        orientation: decoder.orientation().unwrap_or(Orientation::NoTransforms),
        described: icc.map_or(Described::Srgb, Described::Profile),
        notices: Vec::from_iter(is_animated(bytes, format).then_some(Notice::Animation)),
    };
    let mut samples = Vec::new();
    samples
        .try_reserve_exact(count)
        .map_err(|_| ImageError::no_memory(path))?;
    samples.resize(count, 0);
    let read = decoder.read_image(&mut samples);
    read.map_err(|error| explain(error, path))?;
    Ok(Decoded { about, samples })
}

fn explain(error: image::ImageError, path: &Path) -> ImageError {
    let io_ended = matches!(&error, image::ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof);
    ImageError::of_decoder(io_ended, &error.to_string(), path)
}
