//! Streams of transform codecs that must decode for ever, on every machine: `tests/streams`.
//!
//! Beside each stands the CRC-32C of the picture that it decodes to. They are also encoded again, byte
//! for byte. `BSQ_BLESS=1 cargo test -p bsq --test codec golden` writes them anew; see `golden`.

use bsq::codec::crc32c;
use bsq::image_io::{Picture, PixelRange, crop, load, to_planar};
use bsq::metrics::{ms_ssim, psnr};
use bsq::pipeline::CompileOptions;
use bsq::pretrained;
use bsq::transform_codec::stream::{Effort, LevelsCodec};
use std::path::Path;

/// Encodes the upper left part of the photo that ships with the codec that ships.
fn check(name: &str, (width, height): (usize, usize), step: f32) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let photo = load(root.join("../samples/flower.jpg")).unwrap().picture;
    let photo = crop(&photo, 0, 0, width, height);
    let file = pretrained::open_codec("default").unwrap();
    let mut codec = LevelsCodec::new(&file, CompileOptions::default()).unwrap();
    let stream = codec.encode(&photo, step).unwrap();
    let path = root.join("tests/streams").join(name);
    let sums = path.with_extension("bsq.crc32c");
    let mut sum = |stream: &[u8]| {
        let decoded = codec.decode(stream).unwrap();
        format!("{:08x}\n", crc32c(&decoded.rgb))
    };
    if std::env::var_os("BSQ_BLESS").is_some() {
        std::fs::write(&path, &stream).unwrap();
        std::fs::write(&sums, sum(&stream)).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    let expected = std::fs::read_to_string(&sums).unwrap();
    assert_eq!(sum(&golden), expected, "{name}");
    assert!(golden == stream, "{name}: encoding gives other bytes");
}

#[test]
fn golden_streams_of_the_default_codec() {
    check("levels-coarse.bsq", (160, 120), 90.0);
    check("levels-fine.bsq", (160, 120), 15.0);
}

/// What an emulated CPU manages in minutes.
#[test]
fn a_small_golden_stream_of_the_default_codec() {
    check("levels-small.bsq", (40, 24), 30.0);
}

fn photo(width: usize, height: usize) -> Picture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/flower.jpg");
    crop(&load(path).unwrap().picture, 240, 120, width, height)
}

/// A stream, and PSNR and MS-SSIM of what it decodes to.
fn coded(photo: &Picture, step: f32, effort: u8, threads: usize) -> (Vec<u8>, f64, Option<f64>) {
    let options = CompileOptions {
        threads,
        ..CompileOptions::default()
    };
    let file = pretrained::open_codec("default").unwrap();
    let mut codec = LevelsCodec::new(&file, options).unwrap();
    codec.set_effort(Effort::new(effort).unwrap());
    let stream = codec.encode(photo, step).unwrap();
    // A decoder that knows of no effort.
    let mut decoder = LevelsCodec::new(&file, CompileOptions::default()).unwrap();
    let decoded = decoder.decode(&stream).unwrap();
    let [a, b] = [photo, &decoded].map(|picture| to_planar(picture, PixelRange::MinusOneToOne));
    let shape = [3, photo.height, photo.width];
    (stream, psnr(&a, &b), ms_ssim(&a, &b, shape))
}

#[test]
fn more_effort_is_fewer_bytes_at_no_less_fidelity() {
    let photo = photo(256, 256);
    let (plain, plain_psnr, plain_ms_ssim) = coded(&photo, 60.0, 0, 1);
    let (searched, psnr, ms_ssim) = coded(&photo, 55.0, 2, 1);
    assert!(
        searched.len() <= plain.len(),
        "{} {}",
        searched.len(),
        plain.len()
    );
    assert!(psnr > plain_psnr, "{psnr} {plain_psnr}");
    assert!(ms_ssim > plain_ms_ssim, "{ms_ssim:?} {plain_ms_ssim:?}");
    assert!(coded(&photo, 55.0, 2, 2).0 == searched, "threads");
}

/// Of a side below what MS-SSIM needs.
#[test]
fn effort_is_possible_for_small_pictures() {
    let photo = photo(40, 24);
    let (plain, ..) = coded(&photo, 30.0, 0, 1);
    let (searched, decibels, _) = coded(&photo, 30.0, 4, 1);
    assert!(searched.len() < plain.len());
    assert!(decibels > 20.0, "{decibels}");
}
