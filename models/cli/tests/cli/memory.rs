//! What commands take of memory does not grow with a clip's length.

use crate::common::{Bench, CONFIG};
use bsq::config::{Config, TransformCodecConfig};
use bsq::image_io::{ImageSize, Picture};
use bsq::pipeline::ModelFile;
use bsq::transform_codec::TransformCodecFile;
use bsq::video_io::{ClipFormat, create};
use bsq_ir::DType;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

const SIZE: ImageSize = ImageSize {
    height: 96,
    width: 128,
};
const FRAME_BYTES: usize = 3 * SIZE.height * SIZE.width;
const SHORT: usize = 60;
const LONG: usize = 4 * SHORT;
/// What a run may take more than another of the same: a heap's pieces, and when it was looked at.
const NOISE: usize = 3 << 20;

/// A folder with a codec, a tokenizer of clips, and a short and a long clip.
fn bench() -> Bench {
    let bench = Bench::new();
    let config = include_str!("../../../tests/tiny_codec.toml");
    let config = TransformCodecConfig::from_toml(config).unwrap();
    let codec = TransformCodecFile::untrained("codec", config).unwrap();
    codec
        .save(&bench.path("codec.safetensors"), DType::F32)
        .unwrap();
    let section = "[model.vitconfig]\n";
    let keys = "num_frames = 3\nmask_type = \"block-causal\"\n";
    let config = CONFIG.replace(section, &format!("{section}{keys}"));
    let model = ModelFile::untrained("clips", Config::from_toml(&config).unwrap(), 3).unwrap();
    model
        .save(&bench.path("tokenizer.safetensors"), DType::F32)
        .unwrap();
    for (name, frames) in [("short.y4m", SHORT), ("long.y4m", LONG)] {
        clip(&bench.path(name), frames);
    }
    bench
}

/// A clip of a pattern that moves; no two frames are in memory together.
fn clip(path: &Path, frames: usize) {
    let format = ClipFormat {
        size: SIZE,
        rate: Default::default(),
        frames: None,
    };
    let mut writer = create(path, &format).unwrap();
    for time in 0..frames {
        let sample = |i: usize| ((i / 3 % SIZE.width + time) * (i / 3 / SIZE.width) / 8) as u8;
        let samples = (0..FRAME_BYTES).map(sample).collect();
        let frame = Picture::new(SIZE.width, SIZE.height, samples);
        writer.write(&frame).unwrap();
    }
    writer.finish().unwrap();
}

/// The most memory that a command had, as far as it was seen: it is looked at many times a second.
fn peak(bench: &Bench, arguments: &[&str]) -> usize {
    let mut command = bench.command(arguments);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        most = most.max(kilobytes.unwrap_or(0_usize) << 10);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{arguments:?}");
            return most;
        }
        sleep(Duration::from_millis(2));
    }
}

/// Commands, with what they may keep of each frame.
#[test]
fn memory_does_not_grow_with_a_clips_length() {
    let bench = bench();
    let codec = ["--model", "codec.safetensors"];
    let tokens = ["--model", "tokenizer.safetensors"];
    // A token file is written as a whole: 192 tokens a frame, and twice their 12 bits and 4 groups as tensors.
    let of_tokens = 192 * (8 + 2 * (12 + 4 * 8));
    assert!(of_tokens < FRAME_BYTES);
    let cases = [
        ("encode", ["y4m", "levels.bsq"], codec, 0),
        ("decode", ["levels.bsq", "back.y4m"], codec, 0),
        ("reconstruct", ["y4m", "found.y4m"], codec, 0),
        ("encode", ["y4m", "tokens.bsq"], tokens, 0),
        ("decode", ["tokens.bsq", "shown.y4m"], tokens, 0),
        ("reconstruct", ["y4m", "seen.y4m"], tokens, 0),
        ("tokens", ["y4m", "tokens.safetensors"], tokens, of_tokens),
    ];
    for (command, [input, output], model, kept) in cases {
        // These tokens have no prior.
        let raw = (command == "encode" && model == tokens).then_some("--raw");
        let [short, long] = ["short", "long"].map(|clip| {
            let [input, output] = [input, output].map(|name| format!("{clip}.{name}"));
            let mut arguments = vec![command, &input, "-o", &output];
            arguments.extend(model);
            arguments.extend(raw);
            peak(&bench, &arguments)
        });
        let grown = long.saturating_sub(short);
        println!("{command} {input}: {short} and {long} bytes");
        assert!(
            grown < NOISE + kept * (LONG - SHORT),
            "{command} {input}: {short} bytes for {SHORT} frames, {long} for {LONG}"
        );
    }
}
