//! Decoders: the samples of a file as it has them, and what it says of them.

use super::color::{self, Described};
use super::jpeg::{self, JpegError};
use super::{ImageError, LoadLimits};
use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{AnimationDecoder, ColorType, ImageDecoder, ImageFormat, ImageReader};
use std::{io, io::Cursor, path::Path};

/// What a decoder makes of a file.
pub(super) struct Decoded {
    pub width: u32,
    pub height: u32,
    pub color: ColorType,
    /// As [`ImageDecoder::read_image`] gives them.
    pub samples: Vec<u8>,
    pub orientation: Orientation,
    pub described: Described,
    pub is_cmyk: bool,
    pub is_animated: bool,
}

/// The samples of a file of any kind that is read, which is recognised by its content.
pub(super) fn decode(bytes: &[u8], path: &Path, limits: LoadLimits) -> Result<Decoded, ImageError> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => decode_jpeg(bytes, path, limits),
        Ok(
            format @ (ImageFormat::Png | ImageFormat::WebP | ImageFormat::Tiff | ImageFormat::Gif),
        ) => decode_other(bytes, format, path, limits),
        found => Err(match other_format(bytes, found.ok()) {
            Some(format) => ImageError::OtherFormat {
                path: path.into(),
                format,
            },
            None => ImageError::NotAnImage { path: path.into() },
        }),
    }
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
