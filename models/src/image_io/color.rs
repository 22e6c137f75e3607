//! Colours that a file describes as others than sRGB, converted to sRGB.
//!
//! A picture whose description is sRGB to within the rounding of 8 bits keeps every sample as it is:
//! there are many profiles of that name, and none means to change a pixel.

use super::Notice;
use image::ColorType;
use moxcms::{
    Chromaticity, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout,
    MatrixCoefficients, ToneReprCurve, Transform8BitExecutor, Transform16BitExecutor,
    TransformOptions, XyY,
};
use std::sync::Arc;

/// What a file says about its colours.
pub(super) enum Described {
    /// Nothing, or that they are sRGB.
    Srgb,
    /// An ICC profile.
    Profile(Vec<u8>),
    /// Numbers that make up a profile of red, green and blue; grey is where they are equal.
    Numbers(Box<ColorProfile>),
    /// Others than sRGB, which the decoder has converted.
    Converted,
    /// In a way that is not understood.
    Unknown,
}

/// Samples differ from sRGB by no more: the rounding of a profile's own tables.
const ROUNDING: u8 = 2;
/// gAMA of a file that means sRGB's curve, and how far another may be from it, as in libpng.
const GAMMA: f32 = 0.45455;
const SAME_GAMMA: f32 = 0.05;

/// What the chunks of a PNG file say, in the standard's order: cICP, iCCP, sRGB, gAMA and cHRM.
pub(super) fn described_by_png(info: &png::Info) -> Described {
    if let Some(its) = info.coding_independent_code_points {
        return code_points(
            its.color_primaries,
            its.transfer_function,
            its.matrix_coefficients == 0 && its.is_video_full_range_image,
        );
    }
    if let Some(icc) = &info.icc_profile {
        return Described::Profile(icc.to_vec());
    }
    if info.srgb.is_some() || (info.gama_chunk.is_none() && info.chrm_chunk.is_none()) {
        return Described::Srgb;
    }
    let mut profile = ColorProfile::new_srgb();
    profile.cicp = None;
    if let Some(gamma) = info.gama_chunk.map(|gamma| gamma.into_value()) {
        if !(0.01..=100.0).contains(&gamma) {
            return Described::Unknown;
        }
        if (gamma / GAMMA - 1.0).abs() > SAME_GAMMA {
            let curve = ToneReprCurve::Parametric(vec![1.0 / gamma]);
            profile.red_trc = Some(curve.clone());
            profile.green_trc = Some(curve.clone());
            profile.blue_trc = Some(curve);
        }
    }
    if let Some(its) = info.chrm_chunk {
        let point = |(x, y): (png::ScaledFloat, png::ScaledFloat)| [x, y].map(|v| v.into_value());
        let corners = [its.red, its.green, its.blue, its.white].map(point);
        // Three corners on a line, or one without brightness, span no colours.
        let [r, g, b, _] = corners;
        let area = (g[0] - r[0]) * (b[1] - r[1]) - (b[0] - r[0]) * (g[1] - r[1]);
        if area.abs() < 1e-3 || corners.iter().any(|&[_, y]| y <= 0.0) {
            return Described::Unknown;
        }
        let [red, green, blue, white] = corners.map(|[x, y]| Chromaticity { x, y });
        let white = XyY::new(f64::from(white.x), f64::from(white.y), 1.0);
        profile.update_rgb_colorimetry(white, ColorPrimaries { red, green, blue });
    }
    Described::Numbers(Box::new(profile))
}

/// The numbers of ITU-T H.273. `plain`: red, green and blue in full range.
fn code_points(primaries: u8, transfer: u8, plain: bool) -> Described {
    // PQ and HLG say how bright light is, which no picture of 8 bits can keep.
    let is_high_range = matches!(transfer, 16 | 18);
    if (primaries, transfer) == (1, 13) && plain {
        return Described::Srgb;
    }
    let (Ok(color_primaries), Ok(transfer_characteristics)) =
        (primaries.try_into(), transfer.try_into())
    else {
        return Described::Unknown;
    };
    let mut profile = ColorProfile::new_srgb();
    // The curves tell whether the numbers were known: what the call gives does not.
    profile.red_trc = None;
    profile.update_rgb_colorimetry_from_cicp(CicpProfile {
        color_primaries,
        transfer_characteristics,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    });
    let known = profile.red_trc.is_some();
    match known && plain && !is_high_range {
        true => Described::Numbers(Box::new(profile)),
        false => Described::Unknown,
    }
}

/// Converts rows of samples to sRGB: red, green and blue, whatever goes in.
pub(super) struct ToSrgb {
    executor: Executor,
    /// It takes grey; otherwise grey must be made red, green and blue first.
    pub takes_grey: bool,
    /// Channels of what comes out: 3, or 4 with alpha.
    pub channels: usize,
}

enum Executor {
    Eight(Arc<Transform8BitExecutor>),
    Sixteen(Arc<Transform16BitExecutor>),
}

impl ToSrgb {
    /// A row of 8 bits a sample; it must be of the kind that this was made for.
    pub fn eight(&self, row: &[u8], result: &mut [u8]) -> Option<()> {
        match &self.executor {
            Executor::Eight(executor) => executor.transform(row, result).ok(),
            Executor::Sixteen(_) => None,
        }
    }

    /// A row of 16 bits a sample.
    pub fn sixteen(&self, row: &[u16], result: &mut [u16]) -> Option<()> {
        match &self.executor {
            Executor::Eight(_) => None,
            Executor::Sixteen(executor) => executor.transform(row, result).ok(),
        }
    }
}

/// What has to be done to samples of a type so that they are sRGB, if anything, and what the user may
/// want to know about it.
pub(super) fn to_srgb(color: ColorType, described: Described) -> (Option<ToSrgb>, Option<Notice>) {
    let (profile, any_picture) = match described {
        Described::Srgb => return (None, None),
        Described::Converted => return (None, Some(Notice::ColorConverted)),
        Described::Unknown => return (None, Some(Notice::ColorIgnored)),
        Described::Numbers(profile) => (*profile, true),
        Described::Profile(icc) => match ColorProfile::new_from_slice(&icc) {
            Ok(profile) => (profile, false),
            Err(_) => return (None, Some(Notice::ColorIgnored)),
        },
    };
    let grey = !color.has_color();
    let grey_profile = profile.color_space == DataColorSpace::Gray;
    // Numbers are of red, green and blue: where these are equal is grey, and becomes grey.
    let fits = any_picture || grey_profile == grey;
    match fits
        .then(|| conversion(color, &profile, grey_profile))
        .flatten()
    {
        Some(Some(conversion)) => (Some(conversion), Some(Notice::ColorConverted)),
        Some(None) => (None, None),
        None => (None, Some(Notice::ColorIgnored)),
    }
}

/// The inner `None`: nothing has to be changed. The outer one: the profile cannot be used.
fn conversion(color: ColorType, profile: &ColorProfile, grey: bool) -> Option<Option<ToSrgb>> {
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions {
        rendering_intent: profile.rendering_intent,
        ..TransformOptions::default()
    };
    let (plain, with_alpha) = match grey {
        true => (Layout::Gray, Layout::GrayAlpha),
        false => (Layout::Rgb, Layout::Rgba),
    };
    let probe = profile
        .create_transform_8bit(plain, &srgb, Layout::Rgb, options)
        .ok()?;
    if leaves_colors_alone(&probe, grey)? {
        return Some(None);
    }
    let (from, to, channels) = match color.has_alpha() {
        true => (with_alpha, Layout::Rgba, 4),
        false => (plain, Layout::Rgb, 3),
    };
    let executor = match is_deep(color) {
        true => Executor::Sixteen(
            profile
                .create_transform_16bit(from, &srgb, to, options)
                .ok()?,
        ),
        false => Executor::Eight(
            profile
                .create_transform_8bit(from, &srgb, to, options)
                .ok()?,
        ),
    };
    Some(Some(ToSrgb {
        executor,
        takes_grey: grey,
        channels,
    }))
}

/// Whether samples have more than 8 bits.
pub(super) fn is_deep(color: ColorType) -> bool {
    color.bytes_per_pixel() > color.channel_count()
}

/// Whether greys, and a grid over all colours, come out as they went in.
fn leaves_colors_alone(transform: &Arc<Transform8BitExecutor>, grey: bool) -> Option<bool> {
    let greys = (0..=255_u8).map(|value| [value; 3]);
    let steps = || (0..=255_u8).step_by(17);
    let grid = steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| [r, g, b])));
    let colors: Vec<[u8; 3]> = match grey {
        true => greys.collect(),
        false => greys.chain(grid).collect(),
    };
    let source: Vec<u8> = match grey {
        true => (0..=255).collect(),
        false => colors.as_flattened().to_vec(),
    };
    let mut result = vec![0; 3 * colors.len()];
    transform.transform(&source, &mut result).ok()?;
    let mut pairs = result.iter().zip(colors.as_flattened());
    Some(pairs.all(|(a, b)| a.abs_diff(*b) <= ROUNDING))
}
