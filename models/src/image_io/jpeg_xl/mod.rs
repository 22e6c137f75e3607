//! JPEG XL files: how large the picture is, and the first picture as a whole.

mod colors;

use super::decode::{About, Decoded, too_large};
use super::{ImageError, LoadLimits, Notice};
use image::ColorType;
use image::metadata::Orientation;
use jxl_oxide::image::ImageMetadata;
use jxl_oxide::{AllocTracker, FrameBufferSample, InitializeResult, JxlImage, Render};
use std::error::Error;
use std::path::Path;

/// Bytes that the decoder may take for a picture of any size, and for each pixel besides: it takes
/// 15 to 40, and 16 more for a layer that others are laid over.
const MEMORY: usize = 1 << 26;
const PIXEL_MEMORY: usize = 64;
/// Bytes that are read at once. A header may be longer: then twice as many, and so on.
const PART: usize = 1 << 16;

/// Whether a file begins as JPEG XL does: bare, or in boxes.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0x0A]) || bytes.get(4..8) == Some(b"JXL ")
}

/// Columns and rows of the upright picture. The first part of a file is enough.
///
/// # Errors
/// If the file is damaged, or ends before its header does.
pub(super) fn dimensions(bytes: &[u8], path: &Path) -> Result<(u32, u32), ImageError> {
    let Opened { image, .. } = open(bytes, path)?;
    Ok((image.width(), image.height()))
}

/// The samples of the first picture, upright.
///
/// # Errors
/// If the file is not whole, beyond the limits, or of a kind that is not read.
pub(super) fn decode(bytes: &[u8], path: &Path, limits: LoadLimits) -> Result<Decoded, ImageError> {
    let failed = |error| explain(error, path);
    let Opened {
        mut image,
        mut rest,
        memory,
    } = open(bytes, path)?;
    let dimensions @ (width, height) = (image.width(), image.height());
    if let Some(error) = too_large(width, height, path, limits) {
        return Err(error);
    }
    let metadata = &image.image_header().metadata;
    if metadata.ec_info.iter().any(|channel| channel.is_black()) {
        return Err(ImageError::damaged("CMYK, which is not read", path));
    }
    let (is_deep, is_multiplied) = (is_deep(metadata), is_multiplied(metadata));
    let is_turned = metadata.orientation != 1;

    memory.expand_limit(PIXEL_MEMORY * width as usize * height as usize);
    while image.num_loaded_keyframes() == 0 {
        let used = image.feed_bytes(&rest[..PART.min(rest.len())]);
        let used = used.map_err(failed)?;
        if used == 0 {
            return Err(ImageError::Truncated { path: path.into() });
        }
        rest = &rest[used..];
    }
    let is_last = image.frame_header(0).is_some_and(|frame| frame.is_last);
    let described = colors::show_in_srgb(&mut image);
    let channels = image.pixel_format();
    let color = match (channels.is_grayscale(), channels.has_alpha(), is_deep) {
        (true, false, false) => ColorType::L8,
        (true, true, false) => ColorType::La8,
        (false, false, false) => ColorType::Rgb8,
        (false, true, false) => ColorType::Rgba8,
        (true, false, true) => ColorType::L16,
        (true, true, true) => ColorType::La16,
        (false, false, true) => ColorType::Rgb16,
        (false, true, true) => ColorType::Rgba16,
    };
    let render = image.render_frame(0).map_err(failed)?;
    // The decoder's copy of the picture need not stand beside ours.
    drop(image);

    let mut samples = Vec::new();
    samples
        .try_reserve_exact(width as usize * height as usize * usize::from(color.bytes_per_pixel()))
        .map_err(|_| ImageError::no_memory(path))?;
    match is_deep {
        false => read_rows(&render, is_multiplied, 255, |row: &[u8]| {
            samples.extend(row);
        }),
        true => read_rows(&render, is_multiplied, 65_535, |row: &[u16]| {
            samples.extend(row.iter().flat_map(|sample| sample.to_ne_bytes()));
        }),
    }
    let notices = [
        is_turned.then_some(Notice::Orientation),
        (!is_last).then_some(Notice::Animation),
    ];
    let about = About {
        dimensions,
        color,
        orientation: Orientation::NoTransforms,
        described,
        notices: notices.into_iter().flatten().collect(),
    };
    Ok(Decoded { about, samples })
}

struct Opened<'a> {
    image: JxlImage,
    /// What has not been read.
    rest: &'a [u8],
    memory: AllocTracker,
}

/// Reads the header.
fn open<'a>(bytes: &'a [u8], path: &Path) -> Result<Opened<'a>, ImageError> {
    let failed = |error| explain(error, path);
    let memory = AllocTracker::with_limit(MEMORY);
    let builder = JxlImage::builder().alloc_tracker(memory.clone());
    let mut unopened = builder.build_uninit();
    let (mut rest, mut count) = (bytes, PART);
    loop {
        let is_all = count >= rest.len();
        let used = unopened.feed_bytes(&rest[..count.min(rest.len())]);
        rest = &rest[used.map_err(failed)?..];
        unopened = match unopened.try_init().map_err(failed)? {
            InitializeResult::Initialized(image) => {
                return Ok(Opened {
                    image,
                    rest,
                    memory,
                });
            }
            InitializeResult::NeedMoreData(_) if is_all => {
                return Err(ImageError::Truncated { path: path.into() });
            }
            InitializeResult::NeedMoreData(more) => more,
        };
        count *= 2;
    }
}

fn explain(error: Box<dyn Error + Send + Sync>, path: &Path) -> ImageError {
    ImageError::of_decoder(false, &error.to_string(), path)
}

/// Whether samples have more than 8 bits, numbers with an exponent included.
fn is_deep(metadata: &ImageMetadata) -> bool {
    metadata.bit_depth.bits_per_sample() > 8
}

/// Whether colours have been multiplied by alpha.
fn is_multiplied(metadata: &ImageMetadata) -> bool {
    let alpha = metadata.alpha().map(|channel| &metadata.ec_info[channel]);
    alpha.and_then(|channel| channel.alpha_associated()) == Some(true)
}

/// Gives `take` every row: samples of 0 to `full`, those of a pixel next to each other.
fn read_rows<S>(render: &Render, is_multiplied: bool, full: u32, mut take: impl FnMut(&[S]))
where
    S: FrameBufferSample + Copy + Default + Into<u32> + TryFrom<u32>,
{
    let mut stream = render.stream();
    let channels = stream.channels() as usize;
    let mut row = vec![S::default(); stream.width() as usize * channels];
    for _ in 0..stream.height() {
        stream.write_to_buffer(&mut row);
        if is_multiplied {
            for pixel in row.chunks_exact_mut(channels) {
                divide_by_alpha(pixel, full);
            }
        }
        take(&row);
    }
}

/// Takes the multiplication by alpha back.
fn divide_by_alpha<S: Copy + Into<u32> + TryFrom<u32>>(pixel: &mut [S], full: u32) {
    let Some((&mut alpha, colors)) = pixel.split_last_mut() else {
        return;
    };
    let alpha = alpha.into();
    for color in colors {
        let product = (*color).into() * full + alpha / 2;
        let quotient = product.checked_div(alpha).unwrap_or(0).min(full);
        *color = S::try_from(quotient).unwrap_or(*color);
    }
}

#[cfg(test)]
mod color_tests;
#[cfg(test)]
mod header_tests;
#[cfg(test)]
mod tests;
