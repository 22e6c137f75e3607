//! Files of libjxl: `fixtures/make.py`.

use crate::image_io::load::load_from_bytes;
use crate::image_io::{ImageError, LoadLimits, Loaded, Notice, Picture, PictureReader, PixelRows};
use std::path::Path;

macro_rules! fixture {
    ($name:literal) => {
        &include_bytes!(concat!("fixtures/", $name, ".jxl"))[..]
    };
}
pub(super) use fixture;

pub(super) const SIZE: [usize; 2] = [20, 14];

pub(super) fn load(bytes: &[u8]) -> Result<Loaded, ImageError> {
    load_from_bytes(bytes, Path::new("photo"), LoadLimits::default())
}

pub(super) fn sample(x: usize, y: usize, channel: usize) -> u8 {
    ((x * 12 + y * 9 + channel * 40) % 256) as u8
}

/// What `make.py` draws.
pub(super) fn drawn(value: impl Fn(usize, usize, usize) -> u8) -> Picture {
    let [width, height] = SIZE;
    let value = |i: usize| value(i / 3 % width, i / 3 / width, i % 3);
    Picture::new(width, height, (0..3 * width * height).map(value).collect())
}

#[test]
fn samples_are_those_that_were_coded() {
    for bytes in [fixture!("rgb"), fixture!("boxes")] {
        let Loaded { picture, notices } = load(bytes).unwrap();
        assert_eq!(picture, drawn(sample));
        assert_eq!(notices, []);
    }
    let Loaded { picture, notices } = load(fixture!("grey")).unwrap();
    assert_eq!(picture, drawn(|x, y, _| sample(x, y, 0)));
    assert_eq!(notices, [Notice::Greyscale]);
}

#[test]
fn transparent_pixels_lie_over_white() {
    let Loaded { picture, notices } = load(fixture!("alpha")).unwrap();
    let over_white = |x: usize, y: usize, channel: usize| {
        let (own, alpha) = (usize::from(sample(x, y, channel)), 255 - 5 * x);
        ((own * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    assert_eq!(picture, drawn(over_white));
    assert_eq!(notices, [Notice::TransparencyOverWhite]);
}

#[test]
fn sixteen_bits_come_in_full() {
    let mut reader =
        PictureReader::of_bytes(fixture!("deep"), Path::new("photo"), LoadLimits::default())
            .unwrap();
    assert!(reader.is_deep());
    let mut row = vec![0; 3 * SIZE[0]];
    for y in 0..SIZE[1] {
        reader.read_row(&mut row).unwrap();
        for (i, &found) in row.iter().enumerate() {
            let (x, channel) = (i / 3, i % 3);
            let expected = 256 * usize::from(sample(x, y, channel)) + x * y;
            assert_eq!(usize::from(found), expected, "{x} {y} {channel}");
        }
    }
}

#[test]
fn the_first_picture_of_an_animation_is_taken() {
    let Loaded { picture, notices } = load(fixture!("animation")).unwrap();
    let expected = drawn(sample);
    let differs = picture
        .rgb
        .iter()
        .zip(&expected.rgb)
        .filter(|(a, b)| a.abs_diff(**b) > 40);
    assert!(differs.count() < 60, "a palette, of the first picture");
    assert_eq!(notices, [Notice::Animation]);
}

#[test]
fn pictures_are_upright() {
    let Loaded { picture, notices } = load(fixture!("turned")).unwrap();
    assert_eq!((picture.width, picture.height), (SIZE[1], SIZE[0]));
    assert_eq!(notices, [Notice::Orientation]);
    // The first row is the first column from below.
    let found = picture.pixel(SIZE[1] - 1, 0);
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(c, s)| s.abs_diff(sample(0, 0, c)) < 40),
        "{found:?}"
    );
}

#[test]
fn lossy_files_are_near() {
    let Loaded { picture, .. } = load(fixture!("lossy")).unwrap();
    let expected = drawn(sample);
    let squares = picture.rgb.iter().zip(&expected.rgb);
    let sum: f64 = squares
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2))
        .sum();
    let error = (sum / picture.rgb.len() as f64).sqrt();
    // libjxl's own decoder comes to 16.3: the picture has an edge at every wrap.
    assert!(error < 17.0, "{error}");
}

#[test]
fn files_that_end_too_early_are_refused() {
    for bytes in [
        fixture!("rgb"),
        fixture!("lossy"),
        fixture!("boxes"),
        fixture!("deep"),
    ] {
        for length in (12..bytes.len()).step_by(5) {
            let message = load(&bytes[..length]).map(drop).unwrap_err().to_string();
            assert!(
                message.starts_with("photo: ") && !message.contains('\n'),
                "{message}"
            );
        }
    }
}

#[test]
fn no_damage_makes_it_give_up() {
    for bytes in [
        fixture!("rgb"),
        fixture!("lossy"),
        fixture!("alpha"),
        fixture!("turned"),
    ] {
        for bit in (0..8 * bytes.len()).step_by(13) {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Err(error) = load(&bad) {
                let message = error.to_string();
                assert!(!message.contains('\n'), "{message}");
            }
        }
    }
}

#[test]
fn large_pictures_are_beyond_the_limits() {
    let limits = LoadLimits {
        max_pixels: 100,
        ..LoadLimits::default()
    };
    let result = load_from_bytes(fixture!("rgb"), Path::new("photo"), limits);
    let error = result.map(drop).unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
}
