//! Every kind of file that a user may hand over: colour types, orientations, and broken ones.

use super::*;
use crate::image_io::encode_png;
use image::ImageFormat;
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};
use proptest::prelude::*;
use std::io::Cursor;

fn png(samples: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(samples, width, height, color)
        .unwrap();
    bytes
}

fn jpeg(samples: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 95)
        .write_image(samples, width, height, color)
        .unwrap();
    bytes
}

fn decode(bytes: &[u8]) -> Result<Loaded, ImageError> {
    load_from_bytes(bytes, Path::new("photo"), LoadLimits::default())
}

fn message(bytes: &[u8]) -> String {
    let message = decode(bytes).unwrap_err().to_string();
    assert!(!message.contains('\n'), "more than one line: {message}");
    message
}

#[test]
fn greyscale_is_copied_to_three_channels() {
    let loaded = decode(&png(&[10, 200], 2, 1, ExtendedColorType::L8)).unwrap();
    assert_eq!(loaded.picture.rgb, [10, 10, 10, 200, 200, 200]);
    assert_eq!(loaded.notices, [Notice::Greyscale]);
    let loaded = decode(&jpeg(&[90; 64], 8, 8, ExtendedColorType::L8)).unwrap();
    assert_eq!(loaded.picture.pixel(3, 3), [90, 90, 90]);
    assert_eq!(loaded.notices, [Notice::Greyscale]);
}

#[test]
fn sixteen_bits_are_rounded_to_eight() {
    // 0x0080 is the last value that rounds to 0; 0x0081 the first that rounds to 1.
    let samples: Vec<u8> = [0x0080_u16, 0x0081, 0xFFFF]
        .iter()
        .flat_map(|sample| sample.to_ne_bytes())
        .collect();
    let loaded = decode(&png(&samples, 1, 1, ExtendedColorType::Rgb16)).unwrap();
    assert_eq!(loaded.picture.rgb, [0, 1, 255]);
    assert_eq!(loaded.notices, [Notice::SixteenBit]);
}

#[test]
fn transparent_pixels_are_laid_over_white_with_a_notice() {
    let samples = [100, 50, 0, 255, 100, 50, 0, 0, 100, 50, 0, 128];
    let loaded = decode(&png(&samples, 3, 1, ExtendedColorType::Rgba8)).unwrap();
    assert_eq!(loaded.picture.pixel(0, 0), [100, 50, 0]);
    assert_eq!(loaded.picture.pixel(1, 0), [255, 255, 255]);
    assert_eq!(loaded.picture.pixel(2, 0), [177, 152, 127]);
    assert_eq!(loaded.notices, [Notice::TransparencyOverWhite]);
}

#[test]
fn an_opaque_alpha_channel_is_not_worth_a_notice() {
    let loaded = decode(&png(&[1, 2, 3, 255], 1, 1, ExtendedColorType::Rgba8)).unwrap();
    assert_eq!(loaded.picture.rgb, [1, 2, 3]);
    assert!(loaded.notices.is_empty());
}

#[test]
fn cmyk_is_converted() {
    let bytes = include_bytes!("../../../tests/fixtures/images/cmyk.jpg");
    let loaded = decode(bytes).unwrap();
    assert_eq!(loaded.notices, [Notice::Cmyk]);
    // The left half has full magenta and yellow, the right one full cyan and half black.
    for ((x, y), expected) in [((3, 3), [255_u8, 0, 0]), ((12, 3), [0, 127, 127])] {
        let pixel = loaded.picture.pixel(x, y);
        let near = pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 4);
        assert!(near, "{pixel:?} at ({x}, {y})");
    }
}

/// Puts an EXIF segment with the given orientation behind the start-of-image marker.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut segment = vec![0xFF, 0xE1, 0, 34];
    segment.extend_from_slice(b"Exif\0\0MM\0*\0\0\0\x08\0\x01");
    // One entry: tag 0x0112, type SHORT, count 1, the value left-justified; no next directory.
    segment.extend_from_slice(&[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    segment.extend_from_slice(&[0; 4]);
    [&jpeg[..2], &segment, &jpeg[2..]].concat()
}

#[test]
fn exif_orientation_is_applied() {
    // 16 x 8: the left half black, the right half white.
    let samples: Vec<u8> = (0..16 * 8)
        .flat_map(|i| [if i % 16 < 8 { 0 } else { 255 }; 3])
        .collect();
    let upright = jpeg(&samples, 16, 8, ExtendedColorType::Rgb8);
    let turned = decode(&with_orientation(&upright, 6)).unwrap();
    assert_eq!((turned.picture.width, turned.picture.height), (8, 16));
    assert!(turned.picture.pixel(4, 2)[0] < 20 && turned.picture.pixel(4, 13)[0] > 235);
    assert_eq!(turned.notices, [Notice::Orientation]);
    let mirrored = decode(&with_orientation(&upright, 2)).unwrap();
    assert!(mirrored.picture.pixel(2, 4)[0] > 235);
    let plain = decode(&with_orientation(&upright, 1)).unwrap();
    assert!(plain.notices.is_empty() && plain.picture.pixel(2, 4)[0] < 20);
}

#[test]
fn webp_tiff_and_gif_are_read() {
    let rgb: Vec<u8> = (0..8 * 8 * 3).map(|i| (i / 96) as u8 * 200).collect();
    let image = image::RgbImage::from_raw(8, 8, rgb.clone()).unwrap();
    for format in [ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Gif] {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        let loaded = decode(file.get_ref()).unwrap();
        assert_eq!(loaded.picture.rgb, rgb, "{format:?}");
        assert!(
            loaded.notices.is_empty(),
            "{format:?}: {:?}",
            loaded.notices
        );
    }
}

#[test]
fn a_display_p3_photo_becomes_srgb_with_a_notice() {
    let photo = include_bytes!("../../../tests/fixtures/images/display_p3.jpg");
    let expected = include_bytes!("../../../tests/fixtures/images/display_p3.expected_srgb.png");
    let (loaded, expected) = (decode(photo).unwrap(), decode(expected).unwrap());
    assert_eq!(loaded.notices, [Notice::ColorConverted]);
    let pairs = loaded.picture.rgb.iter().zip(&expected.picture.rgb);
    let error: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    let mean = error as f64 / expected.picture.rgb.len() as f64;
    assert!(mean < 1.5, "mean error {mean}");
}

/// A PNG file with chunks put behind its header.
fn with_chunks(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let plain = encode_png(&Picture::new(2, 1, vec![200, 100, 50, 30, 60, 90]));
    let mut bytes = plain[..33].to_vec();
    for (name, content) in chunks {
        bytes.extend((content.len() as u32).to_be_bytes());
        let chunk = [name.as_slice(), content].concat();
        bytes.extend(&chunk);
        bytes.extend(checksum(&chunk).to_be_bytes());
    }
    bytes.extend(&plain[33..]);
    bytes
}

#[test]
fn the_colour_chunks_of_png_are_applied_in_their_order() {
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
    let gama = |gamma: u32| (b"gAMA", numbers(&[gamma]));
    let srgb_corners = [31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000];
    let corners = (b"cHRM", numbers(&srgb_corners));
    let wide = [31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000];
    let wide = (b"cHRM", numbers(&wide));
    let points = |primaries: u8, transfer: u8| (b"cICP", vec![primaries, transfer, 0, 1]);
    let of = |chunks: &[(&[u8; 4], Vec<u8>)]| decode(&with_chunks(chunks)).unwrap();
    let plain = of(&[]).picture;
    let same = [
        vec![(b"sRGB", vec![0])],
        vec![gama(45455), corners.clone()],
        vec![gama(45455)],
        vec![(b"sRGB", vec![0]), gama(100_000)],
        vec![points(1, 13), gama(100_000)],
    ];
    for chunks in same {
        let loaded = of(&chunks);
        assert!(
            loaded.notices.is_empty(),
            "{chunks:?}: {:?}",
            loaded.notices
        );
        assert_eq!(loaded.picture, plain, "{chunks:?}");
    }
    let linear = of(&[gama(100_000)]);
    assert_eq!(linear.notices, [Notice::ColorConverted]);
    // sRGB's curve at 200 / 255, 100 / 255 and 50 / 255.
    for (is, expected) in linear.picture.pixel(0, 0).into_iter().zip([229, 168, 122]) {
        assert!(
            u8::abs_diff(is, expected) <= 1,
            "{:?}",
            linear.picture.pixel(0, 0)
        );
    }
    for chunks in [vec![gama(45455), wide.clone()], vec![points(12, 13)]] {
        let loaded = of(&chunks);
        assert_eq!(loaded.notices, [Notice::ColorConverted], "{chunks:?}");
        // Display P3 of (200, 100, 50) in sRGB.
        let pixel = loaded.picture.pixel(0, 0);
        assert!(
            pixel[0] > 208 && pixel[1].abs_diff(97) <= 4 && pixel[2] < 45,
            "{pixel:?}"
        );
    }
    assert_eq!(of(&[points(9, 16)]).notices, [Notice::ColorIgnored]);
}

#[test]
fn a_missing_file_and_a_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = load(folder.path().join("gone.png")).unwrap_err();
    assert!(
        missing.to_string().ends_with("gone.png: no such file"),
        "{missing}"
    );
    let is_folder = load(folder.path()).unwrap_err();
    assert!(
        is_folder
            .to_string()
            .ends_with("is a folder, not an image file"),
        "{is_folder}"
    );
}

#[test]
fn what_is_not_an_image_is_called_so() {
    let none = "photo: not a PNG or JPEG image, nor WebP, TIFF, GIF or JPEG XL";
    assert_eq!(message(b"hello"), none);
    assert_eq!(message(b""), none);
    assert!(message(b"\0\0\0\x20ftypavif....").contains("AVIF"));
    assert!(message(b"\0\0\0\x20ftypheic....").contains("HEIC"));
    assert_eq!(
        message(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif"),
        "photo: in the format AVIF, which is not read: convert it to PNG first"
    );
    assert!(message(b"\xFF\x0Amore").starts_with("photo: "));
    assert!(message(b"GIF89a...").starts_with("photo: "));
}

#[test]
fn truncated_files_are_refused_wherever_they_end() {
    let noise: Vec<u8> = (0..3 * 64 * 48_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let whole_jpeg = jpeg(&noise, 64, 48, ExtendedColorType::Rgb8);
    let whole_png = png(&noise, 64, 48, ExtendedColorType::Rgb8);
    for percent in [20, 50, 90, 99] {
        let cut = &whole_jpeg[..whole_jpeg.len() * percent / 100];
        assert!(decode(cut).is_err(), "JPEG cut at {percent} %");
        let cut = &whole_png[..whole_png.len() * percent / 100];
        assert!(message(cut).contains("truncated"), "{}", message(cut));
    }
    let half = &whole_jpeg[..whole_jpeg.len() / 2];
    assert!(message(half).contains("truncated"), "{}", message(half));
    message(&whole_jpeg[..3]);
    message(&whole_png[..10]);
}

#[test]
fn a_damaged_png_is_refused() {
    let mut bytes = encode_png(&Picture::new(8, 8, (0..192).collect()));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    let message = message(&bytes);
    assert!(
        message.starts_with("photo: damaged or unsupported image: "),
        "{message}"
    );
}

/// The CRC-32 of a PNG chunk.
fn checksum(chunk: &[u8]) -> u32 {
    !chunk.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    })
}

/// A PNG file that announces a size and then has next to no data.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend_from_slice(&width.to_be_bytes());
    chunk.extend_from_slice(&height.to_be_bytes());
    chunk.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend_from_slice(&chunk);
    bytes.extend_from_slice(&checksum(&chunk).to_be_bytes());
    bytes.extend_from_slice(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    bytes
}

#[test]
fn sizes_beyond_the_limits_are_refused_from_the_header() {
    assert!(message(&png_header(70_000, 10)).contains("70000x10 is too large"));
    assert!(message(&png_header(40_000, 40_000)).contains("at most 65535 pixels a side"));
    assert!(message(&png_header(0, 5)).starts_with("photo: "));
    let limits = LoadLimits {
        max_side: 10,
        max_pixels: 20,
    };
    let bytes = encode_png(&Picture::new(7, 3, vec![0; 63]));
    assert!(load_from_bytes(&bytes, Path::new("p"), limits).is_err());
}

#[test]
fn twenty_thousand_pixels_wide_and_a_single_pixel_both_load() {
    let wide = Picture::new(20_000, 2, (0..120_000).map(|i| (i % 251) as u8).collect());
    assert_eq!(decode(&encode_png(&wide)).unwrap().picture, wide);
    let tiny = Picture::new(1, 1, vec![1, 2, 3]);
    assert_eq!(decode(&encode_png(&tiny)).unwrap().picture, tiny);
}

proptest! {
    /// Whole files with a few bytes changed, and a piece cut out.
    #[test]
    fn no_damaged_file_makes_the_reader_panic(
        changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..6),
        cut in 0.0..1.0_f64,
        length in 0_usize..40,
        is_png: bool,
    ) {
        let samples: Vec<u8> = (0..3 * 40 * 24_u32).map(|i| (i * 7 % 256) as u8).collect();
        let encode = if is_png { png } else { jpeg };
        let mut bytes = encode(&samples, 40, 24, ExtendedColorType::Rgb8);
        for (place, value) in changes {
            let at = (place * bytes.len() as f64) as usize;
            bytes[at] = value;
        }
        let start = (cut * bytes.len() as f64) as usize;
        bytes.drain(start..(start + length).min(bytes.len()));
        if let Ok(loaded) = decode(&bytes) {
            prop_assert!(loaded.picture.width > 0);
        }
    }
}
