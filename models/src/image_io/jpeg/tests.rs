//! Files of every sampling, order of scans and restart interval: the right picture or a refusal.

use super::writer::{Plan, segment};
use crate::image_io::{ImageError, LoadLimits, Loaded, Notice, load_from_bytes};
use std::path::Path;

fn decode(bytes: &[u8]) -> Result<Loaded, ImageError> {
    load_from_bytes(bytes, Path::new("photo"), LoadLimits::default())
}

fn message(bytes: &[u8]) -> String {
    decode(bytes).map(|_| ()).unwrap_err().to_string()
}

/// All ways to cut three components into scans.
fn scans() -> [Vec<Vec<usize>>; 5] {
    [
        vec![vec![0, 1, 2]],
        vec![vec![0], vec![1], vec![2]],
        vec![vec![0], vec![1, 2]],
        vec![vec![2], vec![0, 1]],
        vec![vec![2], vec![1], vec![0]],
    ]
}

/// The colour of [`Plan::flat`].
const FLAT: [u8; 3] = [18, 119, 181];

fn is_near(pixel: &[u8], expected: &[u8]) -> bool {
    pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 2)
}

#[test]
fn every_sampling_scan_and_restart_gives_the_picture_or_is_refused() {
    let sides = [1, 2, 3, 4];
    let factors = || sides.into_iter().flat_map(|h| sides.map(|v| (h, v)));
    let (mut right, mut refused) = (0, 0);
    for luma in factors() {
        for cb in factors() {
            for cr in [(1, 1), cb, luma] {
                for (order, restart) in scans().into_iter().zip([0, 1, 3, 0, 2]) {
                    let mut plan = Plan::flat(45, 37, [luma, cb, cr]);
                    (plan.scans, plan.restart) = (order, restart);
                    for progressive in [false, true] {
                        plan.progressive = progressive;
                        match decode(&plan.write()) {
                            Ok(loaded) => {
                                let pixels = loaded.picture.rgb.as_chunks::<3>().0;
                                let wrong = pixels.iter().find(|pixel| !is_near(*pixel, &FLAT));
                                assert_eq!(wrong, None, "{plan:?}");
                                right += 1;
                            }
                            Err(error) => {
                                let error = error.to_string();
                                assert!(!error.contains('\n'), "{error}");
                                refused += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    // Most are none that the standard allows: more than ten blocks an MCU, or sampling by 3 to 2.
    assert!(right > 2400, "{right} right, {refused} refused");
}

#[test]
fn scans_of_their_own_have_each_block_in_its_place() {
    for factors in [
        [(1, 1), (1, 1), (1, 1)],
        [(2, 2), (1, 1), (1, 1)],
        [(1, 1), (2, 2), (2, 2)],
    ] {
        for restart in [0, 1, 2] {
            for order in scans() {
                // Grey: the luma of each block says where it is.
                let mut plan = Plan::flat(61, 45, factors);
                plan.value = |component, x, y| match component {
                    0 => (20 * x + 30 * y) as u8,
                    _ => 128,
                };
                (plan.scans, plan.restart) = (order, restart);
                let picture = decode(&plan.write()).unwrap().picture;
                // Where chroma is finer, a sample of luma is two pixels wide.
                let scale = if factors[1].0 > factors[0].0 { 2 } else { 1 };
                for (x, y) in [(4, 4), (20, 4), (36, 20), (52, 36)] {
                    let value = 20 * (x / (8 * scale)) + 30 * (y / (8 * scale));
                    let pixel = picture.pixel(x, y);
                    assert!(
                        is_near(&pixel, &[value as u8; 3]),
                        "{pixel:?} at {x}, {y}, not {value}: {plan:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_cut_file_is_truncated_with_or_without_an_end_marker() {
    for progressive in [false, true] {
        for order in scans() {
            let mut plan = Plan::flat(64, 64, [(2, 2), (1, 1), (1, 1)]);
            plan.value = |component, x, y| (37 * x + 59 * y + 80 * component) as u8;
            (plan.scans, plan.progressive) = (order, progressive);
            let whole = plan.write();
            let first_scan = whole
                .windows(2)
                .position(|pair| pair == [0xFF, 0xDA])
                .unwrap();
            for end in first_scan + 10..whole.len() - 3 {
                let mut cut = whole[..end].to_vec();
                assert!(decode(&cut).is_err(), "cut at {end} of {}", whole.len());
                if cut.ends_with(&[0xFF]) {
                    cut.push(0);
                }
                cut.extend([0xFF, 0xD9]);
                assert!(decode(&cut).is_err(), "cut at {end}, and an end marker");
            }
            let message = message(&[&whole[..first_scan + 30], [0xFF, 0xD9].as_slice()].concat());
            assert!(message.contains("truncated"), "{message}");
        }
    }
}

#[test]
fn a_whole_picture_without_an_end_marker_is_decoded_whatever_follows() {
    for progressive in [false, true] {
        let mut plan = Plan::flat(40, 24, [(2, 2), (1, 1), (1, 1)]);
        plan.progressive = progressive;
        let whole = plan.write();
        let expected = decode(&whole).unwrap().picture;
        let bare = &whole[..whole.len() - 2];
        for trailer in [
            b"".as_slice(),
            b"\0\0\xFF\xDA phone",
            b"\xFF\xD8\xFF\xE0 another",
        ] {
            let file = [bare, trailer].concat();
            assert_eq!(decode(&file).unwrap().picture, expected);
            assert_eq!(
                decode(&[&whole, trailer].concat()).unwrap().picture,
                expected
            );
        }
    }
}

#[test]
fn kinds_that_nothing_decodes_are_named() {
    let plan = Plan::flat(16, 16, [(1, 1); 3]);
    let file = plan.write();
    let at = file
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    let changed = |place: usize, value: u8| {
        let mut file = file.clone();
        file[at + place] = value;
        message(&file)
    };
    for (marker, words) in [
        (0xC3, "lossless JPEG"),
        (0xC5, "hierarchical JPEG"),
        (0xC9, "arithmetic coding"),
        (0xCA, "arithmetic coding"),
    ] {
        let message = changed(1, marker);
        assert!(message.contains(words), "{message}");
    }
    assert!(changed(4, 12).contains("12 bits a sample"));
    assert!(changed(6, 0).contains("16x0 pixels"));
    assert!(changed(11, 0x51).contains("sampling factors 5x1"));
}

#[test]
fn colours_are_those_that_the_segments_name() {
    let mut plan = Plan::flat(16, 16, [(1, 1); 3]);
    let adobe = |transform: u8| {
        let mut bytes = Vec::new();
        segment(
            &mut bytes,
            0xEE,
            &[b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat(),
        );
        bytes
    };
    let mut jfif = Vec::new();
    segment(&mut jfif, 0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    for separate in [false, true] {
        plan.scans = scans()[usize::from(separate)].clone();
        plan.extra = adobe(0);
        assert!(is_near(
            &decode(&plan.write()).unwrap().picture.pixel(3, 3),
            &[96, 176, 72]
        ));
        plan.extra = adobe(1);
        assert!(is_near(
            &decode(&plan.write()).unwrap().picture.pixel(3, 3),
            &FLAT
        ));
        // JFIF has no other colours than these.
        plan.extra = [jfif.clone(), adobe(0)].concat();
        assert!(is_near(
            &decode(&plan.write()).unwrap().picture.pixel(3, 3),
            &FLAT
        ));
    }
}

#[test]
fn four_inks_are_converted_in_every_sampling() {
    for factors in [(1, 1), (2, 2)] {
        for separate in [false, true] {
            let mut plan = Plan::flat(32, 32, [(1, 1); 3]);
            plan.components = (1..=4).map(|id| (id, 1, 1)).collect();
            (plan.components[0].1, plan.components[0].2) = factors;
            (plan.components[3].1, plan.components[3].2) = factors;
            plan.value = |component, _, _| [200, 100, 50, 128][component];
            plan.scans = match separate {
                false => vec![vec![0, 1, 2, 3]],
                true => (0..4).map(|component| vec![component]).collect(),
            };
            let loaded = decode(&plan.write()).unwrap();
            assert_eq!(loaded.notices, [Notice::Cmyk]);
            let pixel = loaded.picture.pixel(9, 9);
            assert!(is_near(&pixel, &[100, 50, 25]), "{pixel:?}: {plan:?}");
        }
    }
}
