//! Colours of JPEG XL files that are not sRGB, and samples that are not numbers of 8 bits.

use super::tests::{SIZE, drawn, fixture, load, sample};
use crate::image_io::{LoadLimits, Loaded, Notice, Picture, PictureReader, PixelRows, jpeg};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::path::Path;

const PHOTO: &[u8] = include_bytes!("../../../../tests/fixtures/images/display_p3.jpg");
const PHOTO_IN_SRGB: &[u8] =
    include_bytes!("../../../../tests/fixtures/images/display_p3.expected_srgb.png");

fn mean_difference(a: &Picture, b: &Picture) -> f64 {
    assert_eq!(a.size(), b.size());
    let pairs = a.rgb.iter().zip(&b.rgb);
    let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / a.rgb.len() as f64
}

#[test]
fn a_profile_does_to_samples_what_it_does_in_png() {
    let icc = jpeg::survey(PHOTO, u32::MAX, u64::MAX)
        .unwrap()
        .icc
        .unwrap();
    let mut png = Vec::new();
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_icc_profile(icc).unwrap();
    let [width, height] = SIZE.map(|side| side as u32);
    encoder
        .write_image(&drawn(sample).rgb, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    let (ours, its) = (load(fixture!("profile")).unwrap(), load(&png).unwrap());
    assert_eq!(ours.notices, [Notice::ColorConverted]);
    assert_eq!(ours.notices, its.notices);
    assert_eq!(ours.picture, its.picture);
}

#[test]
fn photos_with_a_profile_become_srgb() {
    let expected = load(PHOTO_IN_SRGB).unwrap().picture;
    for (name, bytes) in [
        ("coded again", fixture!("lossy_profile")),
        ("a JPEG file inside", fixture!("from_jpeg")),
    ] {
        let loaded = load(bytes).unwrap();
        assert_eq!(loaded.notices, [Notice::ColorConverted], "{name}");
        let difference = mean_difference(&loaded.picture, &expected);
        assert!(difference < 2.0, "{name}: {difference}");
    }
}

#[test]
fn light_beyond_white_is_made_to_fit() {
    for bytes in [fixture!("bright"), fixture!("bright_lossy")] {
        let loaded = load(bytes).unwrap();
        assert_eq!(loaded.notices, [Notice::SixteenBit, Notice::ColorConverted]);
        let patches: [[u8; 3]; 5] =
            std::array::from_fn(|patch| loaded.picture.pixel(16 * patch + 8, 8));
        // White of sRGB is 255 candelas per square metre: 203 of them make 128 this. What is far
        // below white stays, and what is beyond it stays apart.
        for (patch, expected) in patches.iter().zip([13_u8, 57, 115]) {
            let near = patch.iter().all(|sample| sample.abs_diff(expected) <= 2);
            assert!(near, "{patches:?}");
        }
        let [white, light] = [patches[3][1], patches[4][1]];
        assert!((200..245).contains(&white) && light >= 250, "{patches:?}");
    }
}

#[test]
fn floats_reach_the_encoder_and_end_at_white() {
    let limits = LoadLimits::default();
    let reader = PictureReader::of_bytes(fixture!("floats"), Path::new("photo"), limits);
    let mut reader = reader.unwrap();
    assert!(reader.is_deep());
    let mut row = vec![0; 3 * SIZE[0]];
    for y in 0..SIZE[1] {
        reader.read_row(&mut row).unwrap();
        for (x, pixel) in row.chunks_exact(3).enumerate() {
            let expected = [x, y, 0].map(|steps| (steps.min(16) * 65_535 + 8) / 16);
            let pixel = [pixel[0], pixel[1], pixel[2]].map(usize::from);
            let near = pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1);
            assert!(near, "{pixel:?}, not {expected:?}");
        }
    }
    assert_eq!(reader.notices(), []);
}

#[test]
fn grey_with_alpha_is_laid_over_white() {
    let Loaded { picture, notices } = load(fixture!("grey_alpha")).unwrap();
    let expected = drawn(|x, y, _| {
        let alpha = 255 - 5 * x as u32;
        ((u32::from(sample(x, y, 0)) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    });
    assert_eq!(picture, expected);
    let both = [Notice::Greyscale, Notice::TransparencyOverWhite];
    assert_eq!(notices, both);
}
