//! Clips there and back, group by group.

use super::*;
use crate::config::TransformCodecConfig;
use crate::image_io::{ImageSize, Picture};
use crate::photo::DecodeOptions;
use crate::pipeline::CompileOptions;
use crate::transform_codec::TransformCodecFile;
use crate::transform_codec::stream::Target;
use crate::video_io::{ClipFormat, FrameRate};
use bsq_ir::philox::random_word;

const SIZE: ImageSize = ImageSize {
    height: 40,
    width: 56,
};
const FRAMES: usize = 7;

fn file(seed: u64) -> TransformCodecFile {
    file_with(seed, "")
}

/// A codec for predicted frames that is told what is expected of them.
fn told(seed: u64) -> TransformCodecFile {
    let mut file = file_with(
        seed,
        "expected_features = 4\nexpected_width = 8\n[clips]\nside = 32",
    );
    // Networks that start at zero would tell nothing.
    let output = |name: &str| name.starts_with("expected.") || name.starts_with("correction.");
    for (name, tensor) in file.parameters.iter_mut() {
        if output(name) && name.contains("output") {
            let shape = tensor.shape().to_vec();
            let count = shape.iter().product::<usize>();
            let word = |i: usize| random_word(seed, 1, i as u64) as f32 / u32::MAX as f32 - 0.5;
            let values: Vec<f32> = (0..count).map(word).collect();
            *tensor = bsq_runtime::HostTensor::from_slice(shape, &values).unwrap();
        }
    }
    file
}

fn file_with(seed: u64, more: &str) -> TransformCodecFile {
    let config = include_str!("../../tests/tiny_codec.toml");
    let config = config.replace("[data]", &format!("{more}\n[data]"));
    let config = format!("{config}\n[train]\nseed = {seed}\n");
    let config = TransformCodecConfig::from_toml(&config).unwrap();
    TransformCodecFile::untrained("tiny", config).unwrap()
}

fn codec(threads: usize) -> ClipCodec {
    let options = CompileOptions {
        threads,
        ..CompileOptions::default()
    };
    ClipCodec::new(&file(0), None, options).unwrap()
}

/// Noise that moves a pixel a frame.
fn frames() -> Vec<Picture> {
    let frame = |time: usize| {
        let sample = |i: usize| {
            let (pixel, channel) = (i / 3, i % 3);
            let (y, x) = (pixel / SIZE.width, pixel % SIZE.width + time);
            random_word(3, 0, (3 * (y * 1000 + x) + channel) as u64) as u8
        };
        Picture::new(
            SIZE.width,
            SIZE.height,
            (0..3 * SIZE.width * SIZE.height).map(sample).collect(),
        )
    };
    (0..FRAMES).map(frame).collect()
}

fn stream(codec: &mut ClipCodec, frames: &[Picture]) -> (Vec<u8>, ClipReport) {
    let format = ClipFormat {
        size: SIZE,
        rate: FrameRate::new(30_000, 1001).unwrap(),
        frames: None,
    };
    let settings = ClipSettings {
        target: Target::Step(60.0),
        group: 3,
    };
    let mut encoder = ClipEncoder::new(codec, Vec::new(), &format, settings).unwrap();
    for frame in frames {
        encoder.write(frame).unwrap();
    }
    encoder.finish().unwrap()
}

fn decoded(
    codec: &mut ClipCodec,
    stream: &[u8],
    recover: bool,
) -> Result<(Vec<Picture>, Vec<DamagedGroup>), String> {
    let options = DecodeOptions {
        recover,
        ..DecodeOptions::default()
    };
    let words = |error: crate::photo::PhotoError| error.to_string();
    let mut decoder = ClipDecoder::new(codec, stream, options).map_err(words)?;
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame().map_err(words)? {
        frames.push(frame);
    }
    Ok((frames, decoder.damage().to_vec()))
}

#[test]
fn clips_come_back_whatever_the_threads_and_begin_anywhere() {
    let frames = frames();
    let (bytes, report) = stream(&mut codec(1), &frames);
    assert_eq!(
        (report.frames, report.groups, report.bytes),
        (FRAMES, 3, bytes.len())
    );
    assert_eq!(bytes, stream(&mut codec(2), &frames).0);
    let mut codec = codec(2);
    let (found, damage) = decoded(&mut codec, &bytes, false).unwrap();
    assert!(damage.is_empty());
    assert_eq!(found.len(), FRAMES);
    // A group by itself, behind the same header, gives the same frames.
    let (second, _) = stream(&mut codec, &frames[3..6]);
    assert_eq!(decoded(&mut codec, &second, false).unwrap().0, found[3..6]);
    // No frames are a clip, too.
    let (none, _) = stream(&mut codec, &[]);
    assert!(decoded(&mut codec, &none, false).unwrap().0.is_empty());
}

#[test]
fn every_flipped_bit_is_found_and_costs_its_group_alone() {
    let frames = frames();
    let mut codec = codec(1);
    let (bytes, _) = stream(&mut codec, &frames);
    let (whole, _) = decoded(&mut codec, &bytes, false).unwrap();
    let step = (bytes.len() / 60).max(1);
    for at in (CLIP_HEADER_BYTES..bytes.len()).step_by(step) {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(decoded(&mut codec, &bad, false).is_err(), "{at}");
        let (found, damage) = decoded(&mut codec, &bad, true).unwrap();
        let same = found.iter().filter(|frame| whole.contains(frame)).count();
        // At most one group of three is lost, by its frames or as a whole.
        assert!(
            same + 3 >= FRAMES && damage.len() <= 1,
            "{at}: {same}, {damage:?}"
        );
    }
    for at in 0..CLIP_HEADER_BYTES {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(decoded(&mut codec, &bad, true).is_err(), "{at}");
    }
}

#[test]
fn what_is_cut_off_is_said_and_the_rest_is_decoded() {
    let mut codec = codec(1);
    let (bytes, _) = stream(&mut codec, &frames());
    let (whole, _) = decoded(&mut codec, &bytes, false).unwrap();
    for kept in [bytes.len() - 1, bytes.len() / 2, CLIP_HEADER_BYTES, 5, 0] {
        let error = decoded(&mut codec, &bytes[..kept], false).unwrap_err();
        assert!(!error.contains('\n'), "{error}");
        if kept >= CLIP_HEADER_BYTES {
            let (found, _) = decoded(&mut codec, &bytes[..kept], true).unwrap();
            let same = found.iter().zip(&whole).filter(|(a, b)| a == b).count();
            assert!(
                same >= whole.len() * kept / bytes.len() / 3 * 3 / 2,
                "{kept}: {same}"
            );
        }
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(
        decoded(&mut codec, &longer, false)
            .unwrap_err()
            .contains("follows")
    );
    let error = decoded(&mut super::tests::codec(1), &[1, 2, 3], false).unwrap_err();
    assert!(error.contains("not a .bsq stream"), "{error}");
}

#[test]
fn a_codec_for_predicted_frames_codes_them_and_older_streams_decode_without_it() {
    let frames = frames();
    let [mut both, mut other] = [1, 2].map(|seed| {
        ClipCodec::new(&file(0), Some(&file(seed)), CompileOptions::default()).unwrap()
    });
    let (alone, _) = stream(&mut codec(1), &frames);
    let (with, _) = stream(&mut both, &frames);
    assert_ne!(alone, with);
    let (found, _) = decoded(&mut both, &alone, false).unwrap();
    assert_eq!(found, decoded(&mut codec(1), &alone, false).unwrap().0);
    assert_eq!(decoded(&mut both, &with, false).unwrap().0.len(), FRAMES);
    for codec in [&mut codec(1), &mut other] {
        let error = decoded(codec, &with, false).unwrap_err();
        assert!(error.contains("name the one that coded it"), "{error}");
    }
    // Encoding after decoding goes on with both.
    decoded(&mut both, &alone, false).unwrap();
    assert_eq!(stream(&mut both, &frames).0, with);
}

#[test]
fn a_codec_that_is_told_what_is_expected_uses_it_and_comes_back() {
    let frames = frames();
    let codec = |threads: usize| {
        let options = CompileOptions {
            threads,
            ..CompileOptions::default()
        };
        ClipCodec::new(&file(0), Some(&told(1)), options).unwrap()
    };
    let (bytes, _) = stream(&mut codec(1), &frames);
    assert_eq!(bytes, stream(&mut codec(2), &frames).0);
    let mut encoder_side = codec(1);
    let whole: Vec<Picture> = {
        let settings = ClipSettings {
            target: Target::Step(60.0),
            group: 3,
        };
        let format = ClipFormat {
            size: SIZE,
            rate: FrameRate::default(),
            frames: None,
        };
        let mut encoder =
            ClipEncoder::new(&mut encoder_side, Vec::new(), &format, settings).unwrap();
        let shown = frames.iter().map(|frame| {
            encoder.write(frame).unwrap();
            encoder.reconstruction().unwrap().clone()
        });
        shown.collect()
    };
    // What the encoder has is what a decoder shows: features, and the step of each frame, are the same.
    assert_eq!(decoded(&mut codec(2), &bytes, false).unwrap().0, whole);
    // The same weights without what is expected give other bytes.
    let (alone, _) = stream(
        &mut ClipCodec::new(&file(0), Some(&file(1)), CompileOptions::default()).unwrap(),
        &frames,
    );
    assert_ne!(bytes, alone);
}

#[test]
fn what_a_training_kept_is_left_out_of_its_file() {
    let folder = std::env::temp_dir().join(format!("bsq_beside_{}", std::process::id()));
    let (whole, path) = (told(1), folder.join("predicted.safetensors"));
    let first = file(0);
    let mut file = whole.clone();
    file.config.train.freeze = vec!["decoder.".to_string()];
    for (name, tensor) in file.parameters.iter_mut() {
        if name.starts_with("decoder.") {
            *tensor = first.parameters[name.as_str()].clone();
        }
    }
    std::fs::create_dir_all(&folder).unwrap();
    file.save(&path, bsq_ir::DType::F32).unwrap();
    assert!(TransformCodecFile::open(&path).is_err());
    let back = crate::pretrained::open_predicted(&path, &first).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(back.fingerprint(), file.fingerprint());
    assert_ne!(back.fingerprint(), whole.fingerprint());
}

#[test]
fn a_payload_with_a_good_checksum_is_not_trusted() {
    use crate::codec::crc32c;
    let frames = frames();
    let mut codec = ClipCodec::new(&file(0), Some(&told(1)), CompileOptions::default()).unwrap();
    let (bytes, _) = stream(&mut codec, &frames[..3]);
    // One group: its section stands behind the header.
    let (head, payload) = (CLIP_HEADER_BYTES, CLIP_HEADER_BYTES + 18);
    let length = u32::from_le_bytes(bytes[head + 6..head + 10].try_into().unwrap()) as usize;
    let (mut refused, mut shown) = (0, 0);
    for round in 0..60 {
        let mut bad = bytes.clone();
        for change in 0..1 + round % 3 {
            let at = random_word(7, change, round) as usize % length;
            bad[payload + at] = random_word(8, change, round) as u8;
        }
        let sum = crc32c(&bad[payload..payload + length]);
        bad[head + 10..head + 14].copy_from_slice(&sum.to_le_bytes());
        let sum = crc32c(&bad[head..head + 14]);
        bad[head + 14..head + 18].copy_from_slice(&sum.to_le_bytes());
        // Either is fine, but not a panic, and what is recovered has all frames.
        match decoded(&mut codec, &bad, false) {
            Ok((found, _)) => {
                assert_eq!(found.len(), 3);
                shown += 1;
            }
            Err(error) => {
                assert!(!error.contains('\n'), "{error}");
                refused += 1;
            }
        }
        assert_eq!(decoded(&mut codec, &bad, true).unwrap().0.len(), 3);
    }
    assert!(refused > 0 && refused + shown == 60);
}
