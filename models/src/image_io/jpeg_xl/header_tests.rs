//! Headers that cjxl does not write, before pictures that it does.

use super::tests::{SIZE, drawn, fixture, load, sample};
use crate::image_io::whole::{Whole, is_on_its_side};
use crate::image_io::{LoadLimits, Notice, Picture, check_picture};
use image::ColorType;
use image::metadata::Orientation;

/// A channel beside the colours.
#[derive(Clone, Copy)]
enum Extra {
    None,
    Alpha,
    MultipliedAlpha,
    Black,
}

/// The header of a file (ISO/IEC 18181-1, annex D) with the samples of cjxl's lossless files of 8 bits.
fn header([width, height]: [u32; 2], orientation: u32, extra: Extra) -> Vec<u8> {
    // Values, and the bits that each takes.
    let mut bits = vec![(0x0AFF, 16), (0, 1)];
    let side = |side: u32| match side <= 512 {
        true => [(0, 2), (side - 1, 9)],
        false => [(3, 2), (side - 1, 30)],
    };
    bits.extend(side(height));
    bits.push((0, 3));
    bits.extend(side(width));
    let is_turned = orientation != 1;
    bits.extend([(0, 1), (u32::from(is_turned), 1)]);
    if is_turned {
        // No size to show it in, no preview, no animation.
        bits.extend([(orientation - 1, 3), (0, 3)]);
    }
    let depth = [(0, 1), (0, 2)];
    bits.extend(depth);
    bits.push((1, 1));
    let of_kind = |kind: (u32, u32)| [(1, 2), (0, 1), kind, depth[0], depth[1], (0, 2), (0, 2)];
    match extra {
        Extra::None => bits.push((0, 2)),
        Extra::Alpha => bits.extend([(1, 2), (1, 1)]),
        Extra::MultipliedAlpha => {
            bits.extend(of_kind((0, 2)));
            bits.push((1, 1));
        }
        // Kind 2 + 2.
        Extra::Black => bits.extend(of_kind((2 | 2 << 2, 6))),
    }
    // Not XYB but red, green and blue of sRGB, to be shown as is.
    bits.extend([(0, 1), (0, 2), (0, 2), (1, 2), (1, 2), (0, 1), (2, 2)]);
    bits.extend([(11, 4), (0, 2)]);
    if is_turned {
        bits.push((1, 1));
    }
    bits.extend([(0, 2), (1, 1)]);
    let bits = bits.into_iter();
    let bits: Vec<bool> = bits
        .flat_map(|(value, count)| (0..count).map(move |bit| value >> bit & 1 == 1))
        .collect();
    let byte = |bits: &[bool]| {
        bits.iter()
            .rev()
            .fold(0, |byte, &bit| byte << 1 | u8::from(bit))
    };
    bits.chunks(8).map(byte).collect()
}

const SIDES: [u32; 2] = [SIZE[0] as u32, SIZE[1] as u32];

/// A file with another header, which has the same channels.
fn with_header(file: &[u8], old: Extra, new: &[u8]) -> Vec<u8> {
    let pixels = file.strip_prefix(&header(SIDES, 1, old)[..]);
    [new, pixels.expect("a header as cjxl writes it")].concat()
}

#[test]
fn every_orientation_is_applied() {
    let plain = drawn(sample);
    for code in 1..=8 {
        let turned = header(SIDES, code, Extra::None);
        let loaded = load(&with_header(fixture!("rgb"), Extra::None, &turned)).unwrap();
        let orientation = Orientation::from_exif(code as u8).unwrap();
        let file = Whole::new(
            SIDES.into(),
            ColorType::Rgb8,
            plain.rgb.clone(),
            orientation,
        );
        let [width, height] = match is_on_its_side(orientation) {
            true => [SIZE[1], SIZE[0]],
            false => SIZE,
        };
        let mut upright = Vec::new();
        (0..height).for_each(|y| file.append_row(y, &mut upright));
        assert_eq!(
            loaded.picture,
            Picture::new(width, height, upright),
            "{code}"
        );
        let notice = (code > 1).then_some(Notice::Orientation);
        assert_eq!(loaded.notices, Vec::from_iter(notice), "{code}");
    }
}

#[test]
fn colors_that_alpha_has_multiplied_are_not_multiplied_again() {
    let multiplied = header(SIDES, 1, Extra::MultipliedAlpha);
    let file = with_header(fixture!("alpha"), Extra::Alpha, &multiplied);
    let loaded = load(&file).unwrap();
    let expected = drawn(|x, y, channel| {
        let alpha = 255 - 5 * x as u8;
        // No colour is brighter than what lets it through.
        sample(x, y, channel).min(alpha) + (255 - alpha)
    });
    let pairs = loaded.picture.rgb.iter().zip(&expected.rgb);
    let farthest = pairs.map(|(a, b)| a.abs_diff(*b)).max();
    assert!(farthest <= Some(1), "{farthest:?}");
    assert_eq!(loaded.notices, [Notice::TransparencyOverWhite]);
}

#[test]
fn inks_are_refused() {
    let black = header(SIDES, 1, Extra::Black);
    let file = with_header(fixture!("alpha"), Extra::Alpha, &black);
    let message = load(&file).unwrap_err().to_string();
    assert!(message.contains("CMYK"), "{message}");
}

#[test]
fn sizes_beyond_the_limits_are_refused_from_the_header() {
    for sides in [[70_000, 10], [60_000, 60_000]] {
        let large = header(sides, 1, Extra::None);
        let [width, height] = sides;
        let expected = format!("{width}x{height} is too large");
        let message = load(&large).unwrap_err().to_string();
        assert!(message.contains(&expected), "{message}");
        let file = with_header(fixture!("rgb"), Extra::None, &large);
        let message = load(&file).unwrap_err().to_string();
        assert!(message.contains(&expected), "{message}");
    }
    // The decoder itself does not look behind this one.
    let endless = header([1 << 30, 1 << 30], 1, Extra::None);
    let file = with_header(fixture!("rgb"), Extra::None, &endless);
    let message = load(&file).unwrap_err().to_string();
    assert!(message.contains("too large"), "{message}");
    // Within the limits, but without pixels.
    let bare = load(&header([11_000, 11_000], 1, Extra::None));
    let message = bare.unwrap_err().to_string();
    assert!(message.contains("truncated"), "{message}");
}

#[test]
fn a_file_is_checked_by_its_header_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.png");
    let check = |bytes: &[u8], limits| {
        std::fs::write(&path, bytes).unwrap();
        check_picture(&path, limits)
    };
    let small = LoadLimits {
        max_pixels: 279,
        ..LoadLimits::default()
    };
    for file in [fixture!("rgb"), fixture!("boxes"), fixture!("profile")] {
        check(file, LoadLimits::default()).unwrap();
        let error = check(file, small).unwrap_err().to_string();
        assert!(error.contains("20x14 is too large"), "{error}");
        // What is missing is found when pixels are read.
        check(&file[..file.len() - 20], LoadLimits::default()).unwrap();
        let error = check(&file[..6], LoadLimits::default()).unwrap_err();
        assert!(error.to_string().contains("photo.png: "), "{error}");
    }
    // A header behind more than what is read at first: a box that means nothing, then the picture's.
    let boxes = fixture!("boxes");
    let unknown = [&100_000_u32.to_be_bytes()[..], b"none", &[0; 99_992]].concat();
    let far = [&boxes[..32], &unknown, &boxes[32..]].concat();
    check(&far, LoadLimits::default()).unwrap();
    let error = check(&far, small).unwrap_err().to_string();
    assert!(error.contains("20x14 is too large"), "{error}");
    assert_eq!(load(&far).unwrap().picture, drawn(sample));
}
