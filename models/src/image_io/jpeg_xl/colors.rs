//! Colours of JPEG XL files.
//!
//! Lossy files have colours of their own (XYB) and say what to show them in: the decoder shows them in
//! sRGB. Samples that are described by names it converts to sRGB, brightness beyond white included;
//! those that an ICC profile describes are left to the profile, as in other formats.

use super::super::color::{self, Described};
use image::ColorType;
use jxl_oxide::color::{ColourEncoding, ColourSpace, Primaries, TransferFunction, WhitePoint};
use jxl_oxide::{EnumColourEncoding, JxlImage, RenderingIntent};

/// Has the decoder convert what it knows how to convert; how samples are described then.
pub(super) fn show_in_srgb(image: &mut JxlImage) -> Described {
    let metadata = &image.image_header().metadata;
    let (is_grey, is_xyb) = (metadata.grayscale(), metadata.xyb_encoded);
    let profile = image.original_icc().map(<[u8]>::to_vec);
    let (described, intent) = match (&metadata.colour_encoding, profile) {
        (ColourEncoding::Enum(encoding), _) if is_srgb(encoding) => return Described::Srgb,
        (ColourEncoding::Enum(encoding), _) => match encoding.colour_space {
            ColourSpace::Unknown if !is_xyb => return Described::Unknown,
            _ => (Described::Converted, encoding.rendering_intent),
        },
        (ColourEncoding::IccProfile(_), Some(profile)) if !is_xyb => {
            return Described::Profile(profile);
        }
        (ColourEncoding::IccProfile(_), profile) => {
            let described = profile.map_or(Described::Srgb, Described::Profile);
            let samples = [ColorType::Rgb8, ColorType::L8][usize::from(is_grey)];
            let described = match color::to_srgb(samples, described) {
                (None, None) => Described::Srgb,
                _ => Described::Converted,
            };
            (described, RenderingIntent::Relative)
        }
    };
    image.request_color_encoding(match is_grey {
        true => EnumColourEncoding::gray_srgb(intent),
        false => EnumColourEncoding::srgb(intent),
    });
    described
}

/// Whether these are sRGB's colours, or its greys.
fn is_srgb(encoding: &EnumColourEncoding) -> bool {
    let is_grey = encoding.colour_space == ColourSpace::Grey;
    let has_curve =
        encoding.white_point == WhitePoint::D65 && encoding.tf == TransferFunction::Srgb;
    let has_colors =
        encoding.colour_space == ColourSpace::Rgb && encoding.primaries == Primaries::Srgb;
    has_curve && (is_grey || has_colors)
}
