//! Streams of transform codecs that must decode for ever, on every machine: `tests/streams`.
//!
//! Beside each stands the CRC-32C of the picture that it decodes to. They are also encoded again, byte
//! for byte. `BSQ_BLESS=1 cargo test -p bsq --test codec golden` writes them anew; see `golden`.

use bsq::codec::crc32c;
use bsq::image_io::{crop, load};
use bsq::pipeline::CompileOptions;
use bsq::pretrained;
use bsq::transform_codec::stream::LevelsCodec;
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
