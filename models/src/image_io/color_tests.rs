//! Colour profiles of every kind, in every kind of file that can have one.

use super::*;
use crate::image_io::ImageError;
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, tiff::TiffEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder};
use moxcms::ColorProfile;
use std::io::Cursor;

const FORMATS: [&str; 4] = ["png", "jpeg", "webp", "tiff"];

/// A file of 16x8 equal pixels with a profile.
fn file(format: &str, pixel: &[u8], color: ExtendedColorType, icc: &[u8]) -> Vec<u8> {
    fn write(mut encoder: impl ImageEncoder, samples: &[u8], color: ExtendedColorType, icc: &[u8]) {
        encoder.set_icc_profile(icc.to_vec()).unwrap();
        encoder.write_image(samples, 16, 8, color).unwrap();
    }
    let (samples, mut file) = (pixel.repeat(128), Cursor::new(Vec::new()));
    match format {
        "png" => write(PngEncoder::new(&mut file), &samples, color, icc),
        "jpeg" => {
            let encoder = JpegEncoder::new_with_quality(&mut file, 100);
            write(encoder, &samples, color, icc);
        }
        "webp" => write(WebPEncoder::new_lossless(&mut file), &samples, color, icc),
        _ => write(TiffEncoder::new(&mut file), &samples, color, icc),
    }
    file.into_inner()
}

fn decode(bytes: &[u8]) -> Result<Loaded, ImageError> {
    load_from_bytes(bytes, Path::new("photo"), LoadLimits::default())
}

/// The middle pixel, near to `expected`, and the notices.
#[track_caller]
fn check(bytes: &[u8], expected: [u8; 3], notices: &[Notice], what: &str) {
    let loaded = decode(bytes).unwrap();
    let pixel = loaded.picture.pixel(7, 3);
    let near = pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3);
    assert!(near, "{what}: {pixel:?}, not {expected:?}");
    assert_eq!(loaded.notices, notices, "{what}");
}

#[test]
fn a_display_p3_profile_is_applied_in_every_format() {
    let icc = ColorProfile::new_display_p3().encode().unwrap();
    for format in FORMATS {
        let bytes = file(format, &[200, 100, 50], ExtendedColorType::Rgb8, &icc);
        check(&bytes, [215, 93, 31], &[Notice::ColorConverted], format);
    }
}

#[test]
fn a_profile_that_is_srgb_changes_nothing() {
    let icc = ColorProfile::new_srgb().encode().unwrap();
    for format in FORMATS {
        let bytes = file(format, &[200, 100, 50], ExtendedColorType::Rgb8, &icc);
        check(&bytes, [200, 100, 50], &[], format);
    }
}

#[test]
fn a_grey_profile_is_for_grey_pictures() {
    // Light of 100 / 255 is 168 by sRGB's curve.
    let icc = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let converted = [Notice::Greyscale, Notice::ColorConverted];
    for format in ["png", "jpeg", "tiff"] {
        let bytes = file(format, &[100], ExtendedColorType::L8, &icc);
        check(&bytes, [168; 3], &converted, format);
    }
    let alpha = file("png", &[100, 255], ExtendedColorType::La8, &icc);
    check(&alpha, [168; 3], &converted, "alpha");
    let deep = [100_u16 * 257].map(u16::to_ne_bytes);
    let deep = file("png", deep.as_flattened(), ExtendedColorType::L16, &icc);
    let sixteen = [
        Notice::Greyscale,
        Notice::SixteenBit,
        Notice::ColorConverted,
    ];
    check(&deep, [168; 3], &sixteen, "16 bits");

    // It says nothing of red, green and blue; nor does a profile of those of grey.
    let ignored = Notice::ColorIgnored;
    let bytes = file("png", &[200, 100, 50], ExtendedColorType::Rgb8, &icc);
    check(
        &bytes,
        [200, 100, 50],
        &[ignored],
        "grey profile of colours",
    );
    let icc = ColorProfile::new_display_p3().encode().unwrap();
    let bytes = file("png", &[100], ExtendedColorType::L8, &icc);
    let notices = [Notice::Greyscale, ignored];
    check(&bytes, [100; 3], &notices, "profile of colours of grey");
}

#[test]
fn nonsense_is_no_profile() {
    for icc in [&b"nonsense"[..], &[0; 200]] {
        let bytes = file("png", &[200, 100, 50], ExtendedColorType::Rgb8, icc);
        check(&bytes, [200, 100, 50], &[Notice::ColorIgnored], "nonsense");
    }
}

/// A profile whose colours are a table (lut16Type, ICC.1:2010 10.10): those of sRGB with red and
/// green exchanged, two nodes along each side, without a curve.
fn table_profile() -> Vec<u8> {
    let words = |values: &[u32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect()
    };
    let halves = |values: &[u16]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect()
    };
    // X, Y and Z of sRGB's red, green and blue by D50, on the scale of 1 = 32,768.
    let primaries = [
        [0.436_07, 0.222_49, 0.013_92],
        [0.385_15, 0.716_87, 0.097_08],
        [0.143_07, 0.060_61, 0.714_10],
    ];
    let mut nodes = Vec::new();
    for corner in 0..8 {
        let [red, green, blue] = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
        for axis in 0..3 {
            let shares = [green, red, blue].into_iter().zip(primaries);
            let sum: f64 = shares.map(|(on, its)| f64::from(on) * its[axis]).sum();
            nodes.push((sum * 32_768.0).round() as u16);
        }
    }
    let mut table = b"mft2\0\0\0\0\x03\x03\x02\0".to_vec();
    let one = 1 << 16;
    table.extend(words(&[one, 0, 0, 0, one, 0, 0, 0, one]));
    table.extend(halves(&[2, 2]));
    table.extend(halves(&[0, 65_535].repeat(3)));
    table.extend(halves(&nodes));
    table.extend(halves(&[0, 65_535].repeat(3)));
    let mut white = b"XYZ \0\0\0\0".to_vec();
    white.extend(words(&[0xF6D6, 0x1_0000, 0xD32D]));

    let start = 128 + 4 + 2 * 12;
    let (white_at, size) = (start + table.len(), start + table.len() + white.len());
    let mut profile = words(&[size as u32, 0, 0x0240_0000]);
    profile.extend(b"mntrRGB XYZ ");
    profile.extend([0; 12]);
    profile.extend(b"acsp");
    profile.extend([0; 28]);
    profile.extend(words(&[0xF6D6, 0x1_0000, 0xD32D]));
    profile.resize(128, 0);
    profile.extend(words(&[2]));
    for (name, at, length) in [
        (b"A2B0", start, table.len()),
        (b"wtpt", white_at, white.len()),
    ] {
        profile.extend(name);
        profile.extend(words(&[at as u32, length as u32]));
    }
    [profile, table, white].concat()
}

#[test]
fn a_profile_that_is_a_table_is_looked_up() {
    let icc = table_profile();
    for format in FORMATS {
        let bytes = file(format, &[255, 0, 0], ExtendedColorType::Rgb8, &icc);
        check(&bytes, [0, 255, 0], &[Notice::ColorConverted], format);
    }
}
