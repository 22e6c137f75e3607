//! Files of levels, and what the bits of a stream of levels go to.

use bsq::config::TransformCodecConfig;
use bsq::image_io::{ImageError, Picture};
use bsq::pipeline::{CompileOptions, TokenFileError};
use bsq::transform_codec::level_coder::MAX_LEVEL;
use bsq::transform_codec::stream::{
    LEVELS_HEADER_BYTES, LevelsCodec, LevelsHeader, STRIP_FRAME_BYTES, StreamBits,
};
use bsq::transform_codec::{LevelsFile, NamedLevels, TransformCodecFile};
use bsq_ir::philox::random_word;
use bsq_runtime::checkpoint::{self, Checkpoint, Weights};
use bsq_runtime::tensor_data::HostTensor;

const STEP: f32 = 21.3;

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

fn named(file: &TransformCodecFile, picture: &Picture, quality: Option<f32>) -> NamedLevels {
    let mut rows = picture.rows();
    let (header, levels) = codec(file).levels_of(&mut rows, STEP, &mut |_| {}).unwrap();
    NamedLevels {
        name: "a.png".to_string(),
        header,
        quality,
        levels,
    }
}

fn pixels(file: &TransformCodecFile, levels: &NamedLevels) -> Vec<u8> {
    let mut rgb = Vec::new();
    let mut write = |row: &[u8]| {
        rgb.extend_from_slice(row);
        Ok::<_, ImageError>(())
    };
    let mut codec = codec(file);
    let written = codec.write_levels(&levels.header, &levels.levels, &mut write, &mut |_| {});
    written.unwrap();
    rgb
}

fn bits_of(file: &TransformCodecFile, stream: &[u8]) -> StreamBits {
    let mut reader = stream;
    let header = LevelsHeader::read(&mut reader).unwrap();
    codec(file).bits_of(&header, reader, &mut |_| {}).unwrap()
}

/// Three strips, and less than one patch; the step is rounded alike.
#[test]
fn levels_of_a_file_have_the_pixels_of_their_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("levels.safetensors");
    for second_level in [true, false] {
        let file = file(1, second_level);
        let sizes = [(40, 1100), (3, 5)].map(|(width, height)| picture(width, height));
        let pictures = sizes.each_ref().map(|one| named(&file, one, Some(30.0)));
        let levels = LevelsFile::new(&file, pictures.to_vec());
        levels.save(&file, &path).unwrap();
        let back = LevelsFile::load(&path, &file).unwrap();
        assert_eq!(back, levels);
        assert_eq!(back.pictures[0].header.step() * 64.0, 1363.0);
        for (picture, levels) in sizes.iter().zip(&back.pictures) {
            let stream = codec(&file).encode(picture, STEP).unwrap();
            let decoded = codec(&file).decode(&stream).unwrap();
            assert_eq!(pixels(&file, levels), decoded.rgb);
            assert!(
                levels
                    .levels
                    .iter()
                    .all(|part| part.levels.iter().any(|&q| q != 0))
            );
        }
    }
}

#[test]
fn files_that_contradict_themselves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("levels.safetensors");
    let file = file(1, true);
    let levels = LevelsFile::new(&file, vec![named(&file, &picture(40, 33), None)]);
    levels.save(&file, &path).unwrap();
    let error = LevelsFile::load(&path, &self::file(2, true)).unwrap_err();
    assert!(
        matches!(error, TokenFileError::OtherModel { .. }),
        "{error}"
    );
    let good = checkpoint::load(&path, Weights::Ema).unwrap();
    let refused = |change: &dyn Fn(&mut Checkpoint), words: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let error = LevelsFile::from_checkpoint(&path, &bad, &file).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    let entry = |from: &'static str, to: &'static str| {
        move |file: &mut Checkpoint| {
            let text = file.metadata["pictures.0"].replace(from, to);
            file.metadata.insert("pictures.0".into(), text);
        }
    };
    refused(
        &entry("\"width\":40", "\"width\":400"),
        "but a picture of this size and codec has",
    );
    refused(&entry("\"width\":40", "\"width\":0"), "0x33 pixels");
    refused(&entry("21.296875", "21.3"), "a step of 21.3: not in 64ths");
    refused(&entry("21.296875", "0.5"), "a step of 0.5");
    refused(&entry("21.296875", "\"a\""), "its metadata");
    refused(
        &|file| {
            file.metadata.remove("format");
        },
        "no file of levels",
    );
    refused(
        &|file| {
            file.metadata.remove("pictures.0");
        },
        "3 tensors for 0 pictures",
    );
    refused(
        &|file| {
            file.tensors.remove("pictures.0.base");
        },
        "`pictures.0.base` is missing",
    );
    refused(
        &|file| {
            let levels = file.tensors.get_mut("pictures.0.detail").unwrap();
            levels.as_mut_slice::<i32>().unwrap()[3] = MAX_LEVEL + 1;
        },
        "a level of 16384",
    );
}

/// Bits of groups, counts, frames and what the range coder adds are the stream; those of a part are what its encoder reports.
#[test]
fn bits_of_groups_add_up_to_the_stream() {
    for second_level in [true, false] {
        let file = file(1, second_level);
        let picture = picture(40, 1100);
        let (stream, report) = codec(&file)
            .encode_rows(&mut picture.rows(), Vec::new(), STEP, &mut |_| {})
            .unwrap();
        let found = bits_of(&file, &stream);
        assert_eq!(found.all, 8 * stream.len() as u64);
        let parts = report.parts.len() as u64;
        assert_eq!(found.group_counts, 3 * 8 * parts);
        let framing = LEVELS_HEADER_BYTES + 3 * STRIP_FRAME_BYTES;
        assert_eq!(found.framing, 8 * framing as u64);
        // Few bytes a strip.
        assert!((-8.0..120.0).contains(&found.coder), "{}", found.coder);
        for part in &report.parts {
            let own = found.groups.iter().filter(|group| group.part == part.kind);
            let sum = |of: fn(&bsq::transform_codec::stream::GroupBits) -> f64| {
                own.clone().map(of).sum::<f64>()
            };
            let bits = sum(|group| group.bits());
            assert!(
                (bits - part.bits).abs() < 1e-6 * part.bits,
                "{bits} {}",
                part.bits
            );
            assert_eq!(sum(|group| group.nonzero as f64), part.nonzero as f64);
            assert_eq!(sum(|group| group.levels as f64), part.levels as f64);
            assert!(
                [sum(|group| group.nearest), sum(|group| group.side)]
                    .iter()
                    .all(|&x| x > 0.0)
            );
            let mut next = 0;
            for group in own {
                assert_eq!(group.coordinates.start, next);
                assert_eq!(group.levels > 0, group.bits() > 0.0, "{group:?}");
                next = group.coordinates.end;
            }
        }
    }
}

#[test]
fn bits_of_damaged_streams_and_of_other_codecs_are_refused() {
    let file = file(1, true);
    let mut stream = codec(&file).encode(&picture(40, 33), STEP).unwrap();
    let mut reader = &stream[..];
    let header = LevelsHeader::read(&mut reader).unwrap();
    let other = codec(&self::file(2, true)).bits_of(&header, reader, &mut |_| {});
    assert!(other.unwrap_err().to_string().contains("codec"));
    stream.push(0);
    let longer = codec(&file).bits_of(&header, &stream[LEVELS_HEADER_BYTES..], &mut |_| {});
    assert!(longer.unwrap_err().to_string().contains("follows"));
    stream[60] ^= 1;
    let damaged = codec(&file).bits_of(&header, &stream[LEVELS_HEADER_BYTES..], &mut |_| {});
    assert!(damaged.is_err());
}
