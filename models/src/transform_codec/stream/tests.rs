//! Streams there and back, in strips, damaged, and by another codec.

use super::*;
use crate::config::TransformCodecConfig;
use crate::image_io::{Picture, PixelRange, append_planar, pad_by_replication};
use crate::transform_codec::PartKind;
use bsq_ir::philox::random_word;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::executor::{Compiler, Executor};
use bsq_runtime::tensor_data::HostTensor;

/// A small codec whose every parameter does something.
fn file(seed: u64, second_level: bool) -> TransformCodecFile {
    let text = format!(
        "[transform_codec]\ncoordinates = 16\nbase_coordinates = 10\nsecond_level = {second_level}\n\
         encoder_width = 8\ndecoder_width = 8\ndecoder_blocks = 1\ncontext_width = 8\n\
         coarse_context_width = 8\ndetail_context_width = 8\nlevel_width = 2\n\
         [data]\nimage_size = 32\n[train]\nseed = {seed}\n"
    );
    let config = TransformCodecConfig::from_toml(&text).unwrap();
    let mut file = TransformCodecFile::untrained("tiny", config).unwrap();
    for (number, (name, tensor)) in file.parameters.iter_mut().enumerate() {
        let scale = match name.contains("transform.") {
            true => 6.0,
            false => 0.1,
        };
        let value = |i| {
            let word = random_word(seed, number as u64, i as u64);
            (word as f32 / 2.0_f32.powi(31) - 1.0) * scale
        };
        let values: Vec<f32> = (0..tensor.element_count()).map(value).collect();
        *tensor = HostTensor::from_slice(tensor.shape().to_vec(), &values).unwrap();
    }
    file
}

fn codec(file: &TransformCodecFile) -> LevelsCodec {
    LevelsCodec::new(file, CompileOptions::default()).unwrap()
}

/// Slopes and some noise.
fn picture(width: usize, height: usize) -> Picture {
    let sample = |i: usize| {
        let (x, y) = (i / 3 % width, i / 3 / width);
        let noise = random_word(3, 0, i as u64) % 32;
        ((x * 2 + y * 3) % 200 + noise as usize) as u8
    };
    Picture::new(width, height, (0..3 * width * height).map(sample).collect())
}

/// What the model itself makes of a whole picture, and the bits that it says.
fn whole(file: &TransformCodecFile, picture: &Picture, step: f32) -> (Vec<u8>, f64) {
    let [height, width] = [picture.height, picture.width]
        .map(|side| side.next_multiple_of(file.codec.config().alignment()));
    let graph = Graph::new();
    let image = graph.input("image", DType::F32, [1, 3, height, width]);
    let size = graph.input("step", DType::F32, [1]);
    let forward = file.codec.forward(&Scope::root(&graph), image, size, None);
    let outputs = [("pixels", forward.pixels.id()), ("bits", forward.bits.id())];
    let function = graph.function(outputs, []);
    let mut planes = Vec::new();
    let padded = pad_by_replication(picture, width, height);
    append_planar(&padded, PixelRange::MinusOneToOne, &mut planes);
    let inputs = [
        (
            "image",
            HostTensor::from_slice([1, 3, height, width], &planes),
        ),
        ("step", HostTensor::from_slice([1], &[step])),
    ];
    let inputs = inputs.map(|(name, tensor)| (name.to_string(), tensor.unwrap()));
    let results = Compiler::default().run(&function, &file.parameters, &inputs.into());
    let outputs = results.unwrap().outputs;
    let pixels = outputs["pixels"].as_slice::<f32>().unwrap();
    let sample = |i: usize| {
        let (x, y, channel) = (i / 3 % picture.width, i / 3 / picture.width, i % 3);
        (pixels[(channel * height + y) * width + x] + 127.5).round() as u8
    };
    let samples = (0..3 * picture.width * picture.height).map(sample);
    let bits = outputs["bits"].as_slice::<f32>().unwrap()[0];
    (samples.collect(), f64::from(bits))
}

fn samples(picture: &Picture) -> Vec<u8> {
    (0..picture.height)
        .flat_map(|y| picture.row(y).to_vec())
        .collect()
}

#[test]
fn a_picture_comes_back_as_the_model_makes_it() {
    for second_level in [true, false] {
        let file = file(1, second_level);
        for (width, height) in [(1, 1), (20, 10), (33, 65), (70, 40)] {
            let picture = picture(width, height);
            let mut rows = picture.rows();
            let mut encoder = codec(&file);
            let encoded = encoder.encode_rows(&mut rows, Vec::new(), 40.0, &mut |_| {});
            let (stream, report) = encoded.unwrap();
            assert_eq!(report.bytes, stream.len());
            let back = codec(&file).decode(&stream).unwrap();
            let (expected, bits) = whole(&file, &picture, 40.0);
            assert_eq!(samples(&back), expected, "{width}x{height}");
            let coded: f64 = report.parts.iter().map(|part| part.bits).sum();
            // The model's bits have a floor beneath probabilities; and groups are left out.
            assert!((coded - bits).abs() < 0.03 * bits + 8.0, "{coded} {bits}");
            let frame = 8 * (LEVELS_HEADER_BYTES + STRIP_FRAME_BYTES + 3 + 5);
            assert!((8 * stream.len()) as f64 <= coded + frame as f64);
        }
    }
}

#[test]
fn parts_are_reported() {
    let picture = picture(70, 40);
    let mut rows = picture.rows();
    let encoded = codec(&file(1, true)).encode_rows(&mut rows, Vec::new(), 10.0, &mut |_| {});
    let parts = encoded.unwrap().1.parts;
    let kinds: Vec<PartKind> = parts.iter().map(|part| part.kind).collect();
    assert_eq!(kinds, [PartKind::Coarse, PartKind::Base, PartKind::Detail]);
    assert_eq!(parts[0].levels, 3 * 2 * 48);
    assert!(parts.iter().all(|part| part.nonzero > 0 && part.bits > 1.0));
}

/// Strips do not show: levels and pixels are those of the picture as a whole.
#[test]
fn strips_do_not_show() {
    let file = file(2, true);
    let picture = picture(40, 2 * STRIP + 70);
    let mut codec = codec(&file);
    let mut done = Vec::new();
    let mut rows = picture.rows();
    let encoded = codec.encode_rows(&mut rows, Vec::new(), 30.0, &mut |n| done.push(n));
    let (stream, report) = encoded.unwrap();
    assert_eq!((report.strips, done), (3, vec![1, 2, 3]));
    let back = codec.decode(&stream).unwrap();
    assert_eq!(samples(&back), whole(&file, &picture, 30.0).0);
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let (file, picture) = (file(3, true), picture(100, 70));
    let coded = [1, 2, 3].map(|threads| {
        let options = CompileOptions {
            threads,
            ..CompileOptions::default()
        };
        let mut codec = LevelsCodec::new(&file, options).unwrap();
        let stream = codec.encode(&picture, 25.0).unwrap();
        let back = codec.decode(&stream).unwrap();
        (stream, samples(&back))
    });
    assert_eq!(coded[0], coded[1]);
    assert_eq!(coded[0], coded[2]);
}

#[test]
fn every_flipped_bit_and_every_missing_end_is_found() {
    let file = file(1, true);
    let mut codec = codec(&file);
    let good = codec.encode(&picture(40, 40), 60.0).unwrap();
    for bit in 0..8 * good.len() {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(codec.decode(&bad).is_err(), "bit {bit}");
    }
    for length in 0..good.len() {
        assert!(codec.decode(&good[..length]).is_err(), "{length} bytes");
    }
    let longer = [&good[..], &[0]].concat();
    let message = codec.decode(&longer).unwrap_err().to_string();
    assert!(message.contains("longer than its stream"), "{message}");
}

#[test]
fn a_payload_with_a_good_checksum_is_not_trusted() {
    let file = file(1, true);
    let mut codec = codec(&file);
    let good = codec.encode(&picture(40, 40), 60.0).unwrap();
    let start = LEVELS_HEADER_BYTES + STRIP_FRAME_BYTES;
    for seed in 0..200 {
        let mut payload = good[start..].to_vec();
        let at = random_word(seed, 1, 0) as usize % payload.len();
        payload[at] ^= random_word(seed, 2, 0) as u8 | 1;
        let mut bad = good[..LEVELS_HEADER_BYTES].to_vec();
        frames::write_strip(&mut bad, 0, &payload).unwrap();
        // Whatever it decodes to, if anything.
        let _ = codec.decode(&bad);
    }
}

#[test]
fn damaged_strips_are_filled_in_where_that_is_asked_for() {
    let file = file(2, true);
    let picture = picture(40, STRIP + 200);
    let mut codec = codec(&file);
    let mut stream = codec.encode(&picture, 30.0).unwrap();
    let message = {
        let last = stream.len() - 1;
        stream[last] ^= 1;
        codec.decode(&stream).unwrap_err().to_string()
    };
    assert!(message.contains("tile 2 of 2"), "{message}");
    let mut reader = &stream[..];
    let header = LevelsHeader::read(&mut reader).unwrap();
    let mut rows = 0;
    let mut write = |_: &[u8]| {
        rows += 1;
        Ok(())
    };
    let report = codec.decode_rows(&header, reader, true, &mut write, &mut |_| {});
    assert_eq!(report.unwrap().damage.len(), 1);
    assert_eq!(rows, picture.height);
}

/// Whatever strip is lost, what stands for it has the colour of what is beside it.
#[test]
fn a_damaged_strip_has_the_colours_of_its_neighbour() {
    let file = crate::pretrained::open_codec("default").unwrap();
    let mut codec = LevelsCodec::new(&file, CompileOptions::default()).unwrap();
    let (width, height) = (64, 2 * STRIP + 64);
    let pixel = [200, 60, 90];
    let picture = Picture::new(width, height, pixel.repeat(width * height));
    let stream = codec.encode(&picture, 20.0).unwrap();
    let header = LevelsHeader::read(&mut &stream[..]).unwrap();
    let sizes = strip_frames(&stream[LEVELS_HEADER_BYTES..], &header);
    let mut end = LEVELS_HEADER_BYTES;
    for (strip, size) in sizes.enumerate() {
        end += size.unwrap().unwrap();
        let mut damaged = stream.clone();
        damaged[end - 1] ^= 1;
        let mut rows = Vec::new();
        let mut write = |row: &[u8]| {
            rows.push(row[3 * 32..][..3].to_vec());
            Ok(())
        };
        let rest = &damaged[LEVELS_HEADER_BYTES..];
        let report = codec.decode_rows(&header, rest, true, &mut write, &mut |_| {});
        assert_eq!(report.unwrap().damage.len(), 1);
        for (y, row) in rows.iter().enumerate() {
            let near = row.iter().zip(pixel).all(|(&a, b)| a.abs_diff(b) < 12);
            assert!(near, "strip {strip}, row {y}: {row:?}");
        }
    }
}

#[test]
fn another_codec_is_refused_and_one_with_another_encoder_is_not() {
    let own = file(1, true);
    let stream = codec(&own).encode(&picture(20, 20), 60.0).unwrap();
    let message = codec(&file(2, true))
        .decode(&stream)
        .unwrap_err()
        .to_string();
    assert!(message.contains("--model"), "{message}");
    let mut other = own.clone();
    let changed = other.parameters.get_mut("encoder.output.weight").unwrap();
    *changed = HostTensor::zeros(bsq_ir::DType::F32, changed.shape().to_vec()).unwrap();
    codec(&other).decode(&stream).unwrap();
}
