//! The decoder for each kind of JPEG file, as found by comparing both with libjpeg-turbo over all
//! sampling factors, scans and restart intervals.
//!
//! `zune-jpeg`, by way of `image`, is right about the kinds that cameras and programs write. It is
//! silently wrong where chroma is not the coarsest, and about scans of their own; `jpeg-decoder`
//! is right about all of these but guesses the colour transform wrongly, so it is told.

use super::Survey;
use super::markers::Frame;
use image::{ColorType, ImageDecoder, codecs::jpeg::JpegDecoder};
use jpeg_decoder::{ColorTransform, Decoder};
use std::io::Cursor;

/// What the components of a file stand for, by libjpeg's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colours {
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// The samples of a file: grey, or red, green and blue. CMYK is made RGB without a profile.
///
/// # Errors
/// What the decoder says.
pub(in super::super) fn decode(
    bytes: &[u8],
    survey: &Survey<'_>,
) -> Result<(ColorType, Vec<u8>), String> {
    // Nothing but the picture: no decoder has to make sense of what follows it.
    let mut whole = Vec::with_capacity(survey.end + 2);
    whole.extend_from_slice(&bytes[..survey.end]);
    whole.extend_from_slice(&[0xFF, 0xD9]);
    match is_common(survey) {
        true => common(whole),
        false => other(&whole, survey),
    }
}

/// Whether the file is of a kind about which `zune-jpeg` is right.
fn is_common(survey: &Survey<'_>) -> bool {
    let Frame {
        components,
        progressive,
        ..
    } = &survey.frame;
    let factors: Vec<(usize, usize)> = components.iter().map(|its| (its.h, its.v)).collect();
    let (first, rest) = factors.split_first().expect("a frame has components");
    let sampling = match rest {
        [] => *first == (1, 1),
        [b, c] => matches!(first, (1 | 2, 1 | 2)) && (*b, *c) == ((1, 1), (1, 1)),
        _ => *first == (1, 1) && rest.iter().all(|factors| factors == first),
    };
    // Contradictory: libjpeg believes the first, zune-jpeg the second.
    let contradictory = survey.jfif && survey.adobe == Some(0);
    sampling && !contradictory && (*progressive || survey.scans == 1)
}

fn common(whole: Vec<u8>) -> Result<(ColorType, Vec<u8>), String> {
    let text = |error: image::ImageError| error.to_string();
    let decoder = JpegDecoder::new(Cursor::new(whole)).map_err(text)?;
    let color = decoder.color_type();
    let mut samples = Vec::new();
    samples
        .try_reserve_exact(decoder.total_bytes() as usize)
        .map_err(|_| "not enough memory for its pixels")?;
    samples.resize(decoder.total_bytes() as usize, 0);
    decoder.read_image(&mut samples).map_err(text)?;
    Ok((color, samples))
}

fn other(whole: &[u8], survey: &Survey<'_>) -> Result<(ColorType, Vec<u8>), String> {
    let colours = colours(survey);
    let mut decoder = Decoder::new(Cursor::new(whole));
    decoder.set_color_transform(match colours {
        Colours::Grey => ColorTransform::Grayscale,
        Colours::Rgb => ColorTransform::RGB,
        Colours::YCbCr => ColorTransform::YCbCr,
        // No more than the inversion of each sample, which is undone below.
        Colours::Cmyk | Colours::Ycck => ColorTransform::CMYK,
    });
    let samples = decoder.decode().map_err(|error| error.to_string())?;
    Ok(match colours {
        Colours::Grey => (ColorType::L8, samples),
        Colours::Rgb | Colours::YCbCr => (ColorType::Rgb8, samples),
        Colours::Cmyk => (ColorType::Rgb8, without_ink(&samples, |cmy| cmy)),
        Colours::Ycck => (ColorType::Rgb8, without_ink(&samples, from_ycc)),
    })
}

fn colours(survey: &Survey<'_>) -> Colours {
    let ids: Vec<u8> = survey.frame.components.iter().map(|its| its.id).collect();
    match (ids.len(), survey.jfif, survey.adobe) {
        (1, ..) => Colours::Grey,
        (3, false, Some(0)) => Colours::Rgb,
        (3, false, None) if ids == *b"RGB" => Colours::Rgb,
        (3, ..) => Colours::YCbCr,
        (_, _, Some(2)) => Colours::Ycck,
        _ => Colours::Cmyk,
    }
}

/// What four inks leave of the light. Files have inks inverted, and the decoder inverts them again.
fn without_ink(samples: &[u8], to_rgb: impl Fn([u8; 3]) -> [u8; 3]) -> Vec<u8> {
    let pixels = samples.as_chunks::<4>().0.iter();
    pixels
        .flat_map(|inks| {
            let [a, b, c, key] = inks.map(|ink| 255 - ink);
            let light = |sample: u8| ((u32::from(sample) * u32::from(key) + 127) / 255) as u8;
            to_rgb([a, b, c]).map(light)
        })
        .collect()
}

/// Red, green and blue of the JFIF standard's YCbCr.
fn from_ycc([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let [y, cb, cr] = [f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0];
    // `as` saturates.
    [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ]
    .map(|value| value.round() as u8)
}
