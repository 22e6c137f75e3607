//! Clips as tokens: files, and streams with a prior that sees the frame before.

use crate::common::{Bench, CONFIG};
use bsq::config::{Config, PriorConfig};
use bsq::image_io::{ImageSize, Picture};
use bsq::pipeline::{ModelFile, fingerprint};
use bsq::prior::PriorFile;
use bsq::video_io::{ClipFormat, ClipOptions, create, open};
use bsq_ir::DType;
use serde_json::Value;
use std::path::Path;

const FRAMES: usize = 7;
const SIZE: ImageSize = ImageSize {
    height: 21,
    width: 37,
};

/// A folder with a tokenizer of clips of 3 frames, a prior for it, and a clip.
fn bench() -> Bench {
    let bench = Bench::new();
    let keys = "num_frames = 3\nmask_type = \"block-causal\"\n";
    let mut text = CONFIG.to_string();
    for name in ["[model.vitconfig]\n", "[model.dvitconfig]\n"] {
        text = text.replace(name, &format!("{name}{keys}"));
    }
    let mut model = ModelFile::untrained("clips", Config::from_toml(&text).unwrap(), 3).unwrap();
    // As it begins a model sees too little of other frames to tell chunks apart.
    for (name, tensor) in &mut model.parameters {
        let values = tensor.as_mut_slice::<f32>().unwrap();
        values.iter_mut().for_each(|x| *x *= 4.0);
        if name.contains("temporal") {
            let place = |i: usize| (i * 5 % 7) as f32 - 3.0;
            (0..).zip(values).for_each(|(i, x)| *x = place(i));
        }
    }
    model
        .save(&bench.path("clips.safetensors"), DType::F32)
        .unwrap();
    let own = fingerprint(model.tokenizer.config(), &model.parameters);
    let prior = PriorConfig::from_toml(
        "[prior]\nbits = 12\nside = 4\nwidth = 16\nlayers = 1\nheads = 2\nhead_width = 8\nframe_before = 5\n",
    );
    let prior = PriorFile::untrained("prior", prior.unwrap(), &own).unwrap();
    let path = bench.path("prior.safetensors");
    prior.save(&path, DType::F16).unwrap();
    let format = ClipFormat {
        size: SIZE,
        rate: "10".parse().unwrap(),
        frames: None,
    };
    let mut writer = create(&bench.path("a.y4m"), &format).unwrap();
    for time in 0..FRAMES {
        let sample = |i: usize| (i / 3 % SIZE.width * 5 + 3 * time + i % 3 * 40) as u8;
        let samples = (0..3 * SIZE.width * SIZE.height).map(sample).collect();
        let frame = Picture::new(SIZE.width, SIZE.height, samples);
        writer.write(&frame).unwrap();
    }
    writer.finish().unwrap();
    bench
}

fn frames(path: &Path) -> Vec<Picture> {
    let mut clip = open(path, &ClipOptions::default()).unwrap();
    std::iter::from_fn(|| clip.next_frame().unwrap()).collect()
}

const MODEL: [&str; 2] = ["--model", "clips.safetensors"];

#[test]
fn tokens_of_clips_go_to_files_and_back() {
    let bench = bench();
    let good = |arguments: &[&str]| bench.good(&[arguments, &MODEL].concat());
    let ran = good(&["tokens", "a.y4m", "-o", "a.safetensors", "--json"]);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let clip = &value["clips"][0];
    // 2 x 3 windows of 2 x 2 tokens.
    assert_eq!((&clip["frames"], &clip["tokens"]), (&7.into(), &168.into()));
    good(&["detokenize", "a.safetensors", "-o", "back.y4m"]);
    good(&["reconstruct", "a.y4m", "-o", "whole.y4m"]);
    assert_eq!(bench.bytes("back.y4m"), bench.bytes("whole.y4m"));
    assert_eq!(frames(&bench.path("back.y4m")).len(), FRAMES);
    let ran = bench.good(&["inspect", "a.safetensors"]);
    assert!(ran.stdout.contains("1 clips"), "{}", ran.stdout);
    // Beside pictures, and of a folder that has clips alone.
    bench.picture("b.png", 20, 20);
    good(&["tokens", "a.y4m", "b.png", "-o", "both.safetensors"]);
    let ran = good(&["detokenize", "both.safetensors", "-o", "both/"]);
    assert!(ran.stdout.contains("7 frames of 37x21"), "{}", ran.stdout);
    std::fs::create_dir(bench.path("clips")).unwrap();
    std::fs::copy(bench.path("a.y4m"), bench.path("clips/a.y4m")).unwrap();
    good(&["tokens", "clips", "-o", "c.safetensors"]);
    assert_eq!(bench.bytes("c.safetensors"), bench.bytes("a.safetensors"));
}

/// Tokens of three words.
#[test]
fn long_tokens_go_to_files_and_streams_and_back() {
    let bench = Bench::new();
    let text = CONFIG
        .replace("embed_dim = 12", "embed_dim = 130")
        .replace("group_size = 3", "group_size = 10");
    let config = Config::from_toml(&text).unwrap();
    let model = ModelFile::untrained("long", config, 3).unwrap();
    model
        .save(&bench.path("clips.safetensors"), DType::F32)
        .unwrap();
    bench.picture("a.png", 40, 20);
    std::fs::create_dir(bench.path("clip")).unwrap();
    for name in ["clip/1.png", "clip/2.png"] {
        bench.picture(name, 20, 20);
    }
    let good = |arguments: &[&str]| bench.good(&[arguments, &MODEL].concat());
    let value = |ran: crate::common::Ran| serde_json::from_str::<Value>(&ran.stdout).unwrap();
    let told = value(good(&["tokens", "a.png", "-o", "a.safetensors", "--json"]));
    let image = &told["images"][0];
    let figures = ["tokens", "bits_per_token"].map(|what| image[what].as_u64().unwrap());
    assert_eq!(figures, [24, 130]);
    good(&["detokenize", "a.safetensors", "-o", "tokens.png"]);
    let told = value(good(&["reconstruct", "a.png", "-o", "whole.png", "--json"]));
    assert_eq!(told["images"][0]["bits"], 24 * 130);
    assert_eq!(bench.bytes("tokens.png"), bench.bytes("whole.png"));
    good(&["encode", "a.png", "--raw"]);
    let ran = bench.good(&["inspect", "a.bsq"]);
    assert!(ran.stdout.contains("tokens of 130 bits"), "{}", ran.stdout);
    good(&["decode", "a.bsq", "-o", "stream.png"]);
    assert_eq!(bench.bytes("stream.png"), bench.bytes("whole.png"));
    // Of a clip, too.
    let clip = ["a.y4m", "--fps", "10"];
    good(&[&["reconstruct", "clip", "-o"], &clip[..]].concat());
    let told = value(good(&["tokens", "a.y4m", "-o", "c.safetensors", "--json"]));
    assert_eq!(told["clips"][0]["tokens"], 2 * 16);
    good(&["detokenize", "c.safetensors", "-o", "back.y4m"]);
    good(&["encode", "a.y4m", "--raw", "-o", "c.bsq"]);
    good(&["decode", "c.bsq", "-o", "stream.y4m"]);
    assert_eq!(bench.bytes("back.y4m"), bench.bytes("stream.y4m"));
}

#[test]
fn clips_are_streams_of_tokens() {
    let bench = bench();
    let good = |arguments: &[&str]| bench.good(&[arguments, &MODEL].concat());
    good(&["reconstruct", "a.y4m", "-o", "whole.y4m"]);
    let prior = ["--prior", "prior.safetensors"];
    for (name, how) in [("raw", &["--raw"][..]), ("prior", &prior[..])] {
        let stream = format!("{name}.bsq");
        let encode = ["encode", "a.y4m", "-o", &stream, "--group", "6", "--json"];
        let ran = good(&[&encode[..], how].concat());
        let value: Value = serde_json::from_str(&ran.stdout).unwrap();
        let clip = &value["clips"][0];
        assert_eq!(clip["bytes"], bench.bytes(&stream).len());
        assert_eq!((&clip["frames"], &clip["groups"]), (&7.into(), &2.into()));
        assert_eq!(clip["raw_bits"], 168 * 12);
        let given = if name == "raw" { &[][..] } else { how };
        let decode = ["decode", &stream, "-o", "back.y4m"];
        good(&[&decode[..], given].concat());
        // Six frames are two times three: chunks are those of the whole clip.
        assert_eq!(bench.bytes("back.y4m"), bench.bytes("whole.y4m"), "{name}");
        let ran = bench.good(&["inspect", &stream]);
        assert!(
            ran.stdout.contains("3 frames seen together"),
            "{}",
            ran.stdout
        );
    }
    let mut bad = bench.bytes("prior.bsq");
    let middle = bad.len() / 2;
    bad[middle] ^= 4;
    std::fs::write(bench.path("bad.bsq"), bad).unwrap();
    let decode = [
        &["decode", "bad.bsq", "-o", "bad.y4m"],
        &MODEL[..],
        &prior[..],
    ]
    .concat();
    bench.refused(&decode, &["group 1 is damaged", "--recover"]);
    let ran = bench.run(&[&decode[..], &["--recover"]].concat());
    assert!(
        ran.stderr.contains("frames 1 to 6 are filled in"),
        "{}",
        ran.stderr
    );
    assert_eq!(frames(&bench.path("bad.y4m")).len(), FRAMES);
    let quality = [&["encode", "a.y4m", "-q", "20"], &MODEL[..]].concat();
    bench.refused(&quality, &["--quality"]);
}

/// Chunks that overlap: files, streams and clips agree, and say it; other models refuse it.
#[test]
fn chunks_of_clips_overlap() {
    let bench = bench();
    let good = |arguments: &[&str]| bench.good(&[arguments, &MODEL].concat());
    let overlap = ["--overlap", "1"];
    let with = |arguments: &[&str]| good(&[arguments, &overlap].concat());
    good(&["reconstruct", "a.y4m", "-o", "apart.y4m"]);
    with(&["reconstruct", "a.y4m", "-o", "whole.y4m"]);
    assert!(bench.bytes("apart.y4m") != bench.bytes("whole.y4m"));
    with(&["tokens", "a.y4m", "-o", "a.safetensors"]);
    good(&["detokenize", "a.safetensors", "-o", "tokens.y4m"]);
    assert_eq!(bench.bytes("tokens.y4m"), bench.bytes("whole.y4m"));
    with(&["encode", "a.y4m", "-o", "a.bsq", "--raw"]);
    good(&["decode", "a.bsq", "-o", "stream.y4m"]);
    assert_eq!(bench.bytes("stream.y4m"), bench.bytes("whole.y4m"));
    let ran = bench.good(&["inspect", "a.bsq"]);
    let expected = "3 frames seen together, 1 of them again";
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    // It costs no bits.
    good(&["encode", "a.y4m", "-o", "apart.bsq", "--raw"]);
    assert_eq!(bench.bytes("apart.bsq").len(), bench.bytes("a.bsq").len());

    let encode = ["encode", "a.y4m", "-o", "b.bsq", "--overlap", "3"];
    let words = ["an overlap of 3 frames", "3 frames"];
    bench.refused(&[&encode[..], &MODEL, &["--raw"]].concat(), &words);
    bench.refused(&encode, &["--overlap is for tokenizers of clips"]);
}

/// The priors that ship for clips are taken, and found again; what predicts patches takes no overlap.
#[test]
fn clips_have_priors_that_ship() {
    for (model, prior) in [("bsq36", "bsq36-clips"), ("video36", "video36")] {
        let bench = bench();
        let ran = bench.good(&["encode", "a.y4m", "--model", model, "-v"]);
        let said = format!("prior {prior}");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        bench.good(&["decode", "a.bsq", "-o", "back.y4m"]);
        bench.good(&["reconstruct", "a.y4m", "-o", "whole.y4m", "--model", model]);
        assert_eq!(bench.bytes("back.y4m"), bench.bytes("whole.y4m"), "{model}");
    }
    let encode = ["encode", "a.y4m", "--overlap", "1", "--model", "video36"];
    bench().refused(&encode, &["predicts patches"]);
}
