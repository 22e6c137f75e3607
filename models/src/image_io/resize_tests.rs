//! The resizer against hashes of what Pillow makes of the same pictures.

use super::*;
use crate::image_io::center_crop;
use proptest::prelude::*;

/// The picture that `tests/fixtures/resize/make.py` gave to Pillow: a function of position alone.
fn picture(width: usize, height: usize) -> Picture {
    let count = 3 * width * height;
    let sample = |index: usize| {
        let mixed = (index as u64 * 2_654_435_761) % (1 << 32);
        let noise = (mixed ^ (mixed >> 15)) % 97;
        let ramp = index as u64 * 151 / count as u64;
        match mixed >> 27 {
            0 => 255,
            1 => 0,
            _ => (noise + ramp) as u8,
        }
    };
    Picture::new(width, height, (0..count).map(sample).collect())
}

fn fnv1a(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    format!("{hash:016x}")
}

#[derive(serde::Deserialize)]
struct Recorded {
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    from: (usize, usize),
    to: (usize, usize),
    filter: Filter,
    fnv1a: String,
}

#[test]
fn resizing_gives_pillows_bytes() {
    let recorded: Recorded =
        serde_json::from_str(include_str!("../../../tests/fixtures/resize/pillow.json")).unwrap();
    assert!(recorded.cases.len() > 150);
    for case in recorded.cases {
        let resized = resize(
            &picture(case.from.0, case.from.1),
            case.to.0,
            case.to.1,
            case.filter,
        );
        assert_eq!(
            fnv1a(&resized.rgb),
            case.fnv1a,
            "{:?} from {:?} to {:?}",
            case.filter,
            case.from,
            case.to
        );
    }
}

proptest! {
    #[test]
    fn resizing_a_crop_equals_cropping_the_resized(
        from in (1_usize..50, 1_usize..50),
        to in (1_usize..50, 1_usize..50),
        corners in prop::array::uniform4(0.0_f64..1.0),
        filter in prop::sample::select(vec![
            Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos,
        ]),
    ) {
        let span = |a: f64, b: f64, length: usize| {
            let (a, b) = ((a * length as f64) as usize, (b * length as f64) as usize);
            a.min(b)..a.max(b) + 1
        };
        let columns = span(corners[0], corners[1], to.0);
        let rows = span(corners[2], corners[3], to.1);
        let source = picture(from.0, from.1);
        let whole = resize(&source, to.0, to.1, filter);
        let expected = super::super::crop(
            &whole, columns.start, rows.start, columns.len(), rows.len(),
        );
        prop_assert_eq!(
            resize_and_crop(&source, to.0, to.1, filter, columns, rows),
            expected
        );
    }

    #[test]
    fn a_constant_picture_stays_constant(
        from in (1_usize..40, 1_usize..40), to in (1_usize..40, 1_usize..40), value: u8,
    ) {
        let flat = Picture::new(from.0, from.1, vec![value; 3 * from.0 * from.1]);
        for filter in [Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let resized = resize(&flat, to.0, to.1, filter);
            prop_assert!(resized.rgb.iter().all(|&sample| sample == value));
        }
    }
}

#[test]
fn the_longer_side_is_rounded_down() {
    assert_eq!(size_for_shorter_side(640, 427, 256), (383, 256));
    assert_eq!(size_for_shorter_side(427, 640, 256), (256, 383));
    assert_eq!(size_for_shorter_side(100, 100, 64), (64, 64));
    assert_eq!(size_for_shorter_side(1, 5, 8), (8, 40));
}

#[test]
fn evaluation_preprocessing_gives_the_middle_square() {
    let square = center_crop(
        &resize_shorter_side(&picture(90, 40), 20, Filter::Lanczos),
        20,
        20,
    );
    let whole = resize(&picture(90, 40), 45, 20, Filter::Lanczos);
    assert_eq!(square, super::super::crop(&whole, 12, 0, 20, 20));
}
