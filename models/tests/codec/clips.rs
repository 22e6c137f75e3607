//! Clips' streams that must decode for ever, on every machine, in `tests/streams`: `clip.bsq` of the codecs that
//! ship, `clip_alone.bsq` of that of pictures alone, and `clip_3.bsq` of the format before, whose frames do not
//! say their steps.
//!
//! Beside each stands the CRC-32C of its frames' samples. `BSQ_BLESS=1` writes those of the first two anew.

use bsq::clip_codec::{ClipCodec, ClipDecoder, ClipEncoder, ClipSettings};
use bsq::codec::crc32c;
use bsq::image_io::{self, Picture};
use bsq::photo::DecodeOptions;
use bsq::pipeline::CompileOptions;
use bsq::pretrained;
use bsq::transform_codec::stream::Target;
use bsq::video_io::{ClipFormat, FrameRate};
use std::path::Path;

/// Four frames of a pan over the photo that ships, three pixels a frame.
fn frames() -> Vec<Picture> {
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/flower.jpg");
    let photo = image_io::load(photo).unwrap().picture;
    (0..4)
        .map(|time| image_io::crop(&photo, 150 + 3 * time, 100 + time, 75, 50))
        .collect()
}

/// The codec for pictures, alone or with the one for predicted frames that ships beside it.
fn codec(threads: usize, is_alone: bool) -> ClipCodec {
    let file = pretrained::open_codec("default").unwrap();
    let options = CompileOptions {
        threads,
        ..CompileOptions::default()
    };
    let predicted = pretrained::predicted_for(&file).unwrap();
    ClipCodec::new(&file, predicted.as_ref().filter(|_| !is_alone), options).unwrap()
}

fn encoded(codec: &mut ClipCodec) -> Vec<u8> {
    let frames = frames();
    let format = ClipFormat {
        size: frames[0].size(),
        rate: FrameRate::default(),
        frames: None,
    };
    let settings = ClipSettings {
        target: Target::Step(40.0),
        group: 3,
    };
    let mut encoder = ClipEncoder::new(codec, Vec::new(), &format, settings).unwrap();
    for frame in &frames {
        encoder.write(frame).unwrap();
    }
    encoder.finish().unwrap().0
}

fn sum(codec: &mut ClipCodec, stream: &[u8]) -> String {
    let mut decoder = ClipDecoder::new(codec, stream, DecodeOptions::default()).unwrap();
    let mut samples = Vec::new();
    while let Some(frame) = decoder.next_frame().unwrap() {
        samples.extend(frame.rgb);
    }
    format!("{:08x}\n", crc32c(&samples))
}

/// Encodes to a stream that is kept, and decodes it on any number of threads.
fn golden(name: &str, is_alone: bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let path = folder.join(format!("{name}.bsq"));
    let sums = folder.join(format!("{name}.bsq.crc32c"));
    let mut one = codec(1, is_alone);
    let stream = encoded(&mut one);
    if std::env::var_os("BSQ_BLESS").is_some() {
        std::fs::write(&path, &stream).unwrap();
        std::fs::write(&sums, sum(&mut one, &stream)).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    let expected = std::fs::read_to_string(&sums).unwrap();
    assert!(golden == stream, "encoding gives other bytes");
    assert_eq!(sum(&mut one, &golden), expected);
    // Those that ship decode what was coded without the second.
    assert_eq!(sum(&mut codec(2, false), &golden), expected);
}

#[test]
fn golden_stream_of_a_clip() {
    golden("clip", false);
}

#[test]
fn golden_stream_of_a_clip_of_the_picture_codec_alone() {
    golden("clip_alone", true);
}

#[test]
fn a_stream_of_the_format_before_decodes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let stream = std::fs::read(folder.join("clip_3.bsq")).unwrap();
    let expected = std::fs::read_to_string(folder.join("clip_3.bsq.crc32c")).unwrap();
    assert_eq!(sum(&mut codec(1, false), &stream), expected);
}
