//! `bsq bench codec` of clips: figures beside H.264 and HEVC, and the page on which clips play together.

use crate::common::{Bench, Ran, has};
use bsq::image_io::{ImageSize, Picture};
use bsq::video_io::{ClipFormat, create};
use serde_json::Value;
use std::fs;

const SIZE: ImageSize = ImageSize {
    height: 64,
    width: 96,
};
const FRAMES: usize = 6;

/// A folder with a clip, `clips/pan.y4m`.
fn bench() -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.path("clips")).unwrap();
    let format = ClipFormat {
        size: SIZE,
        rate: "10".parse().unwrap(),
        frames: None,
    };
    let mut writer = create(&bench.path("clips/pan.y4m"), &format).unwrap();
    for time in 0..FRAMES {
        let sample = |i: usize| {
            let (y, x) = (i / 3 / SIZE.width, i / 3 % SIZE.width + 2 * time);
            (90.0 + 60.0 * (x as f64 * 0.2).sin() + 40.0 * (y as f64 * 0.3).cos()) as u8
        };
        let samples = (0..3 * SIZE.width * SIZE.height).map(sample);
        let frame = Picture::new(SIZE.width, SIZE.height, samples.collect());
        writer.write(&frame).unwrap();
    }
    writer.finish().unwrap();
    bench
}

const ARGUMENTS: [&str; 8] = [
    "bench",
    "codec",
    "--data",
    "clips",
    "--quality",
    "20,60",
    "--out",
    "figures",
];

#[test]
fn clips_are_measured_beside_video_codecs() {
    if !has("ffmpeg") {
        return;
    }
    let bench = bench();
    let ran = bench.good(&[&ARGUMENTS[..], &["--json"]].concat());
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["clips"], serde_json::json!(["pan.y4m"]));
    for (codec, points) in [("bsq", 2), ("h264", 8), ("hevc", 8)] {
        let results = &value["codecs"][codec]["results"];
        let list =
            |name: &str| -> Vec<f64> { serde_json::from_value(results[name].clone()).unwrap() };
        let (rates, quality) = (list("bpp"), list("psnr-rgb"));
        assert_eq!((rates.len(), quality.len()), (points, points), "{codec}");
        assert!(
            rates.is_sorted() && quality.is_sorted(),
            "{codec}: {results}"
        );
        let file = bench.bytes(&format!("figures/{codec}.json"));
        let written: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(written, value["codecs"][codec]);
    }
    // Ours are whole files, the same that `bsq encode` writes.
    bench.good(&["encode", "clips/pan.y4m", "-o", "a.bsq", "-q", "20"]);
    let pixels = (SIZE.width * SIZE.height * FRAMES) as f64;
    let rate = 8.0 * bench.bytes("a.bsq").len() as f64 / pixels;
    let found = &value["codecs"]["bsq"]["results"]["bpp"][0];
    assert_eq!(found.as_f64().unwrap(), rate);
    let page = String::from_utf8(bench.bytes("figures/index.html")).unwrap();
    for view in ["original", "bsq", "h264", "hevc"] {
        let name = format!("clips/0-{view}.mp4");
        assert!(page.contains(&format!("src=\"{name}\"")), "{name}");
        assert!(bench.path(&format!("figures/{name}")).exists(), "{name}");
    }
}

/// A tokenizer has one rate of files, and two more of its tokens.
#[test]
fn tokens_of_clips_have_three_rates() {
    let bench = bench();
    let data = [
        "bench",
        "codec",
        "--data",
        "clips",
        "--model",
        "model.safetensors",
    ];
    let ran = bench.run(&data);
    assert!(ran.stderr.contains("or give --raw"), "{}", ran.stderr);
    let raw = ["--raw", "--out", "figures", "--json"];
    let mut command = bench.command(&[&data[..], &raw].concat());
    let ran = Ran::from(command.env("PATH", bench.path("nothing")).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let results = &value["codecs"]["bsq"]["results"];
    let rate = |name: &str| results[name][0].as_f64().unwrap();
    // Tokens of 12 bits for 8x8 pixels.
    assert_eq!(rate("bpp-raw"), 12.0 / 64.0);
    assert!(rate("bpp-zero-order") < 12.0 / 64.0, "{results}");
    assert!(rate("bpp") > rate("bpp-raw"), "{results}");
    let page = String::from_utf8(bench.bytes("figures/index.html")).unwrap();
    assert!(page.contains("<td>as they are</td><td>0.1875</td><td>12.00</td>"));
    bench.refused(
        &[&data[..], &["--raw", "--quality", "5"]].concat(),
        &["--quality"],
    );
    bench.refused(
        &[&ARGUMENTS[..], &["--raw"]].concat(),
        &["--raw is for tokenizers"],
    );
}

#[test]
fn without_ffmpeg_ours_is_measured_alone() {
    let bench = bench();
    let nothing = bench.path("nothing");
    let mut command = bench.command(&ARGUMENTS);
    let ran = Ran::from(command.env("PATH", nothing).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("ffmpeg is not on PATH"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("figures alone"), "{}", ran.stderr);
    let page = String::from_utf8(bench.bytes("figures/index.html")).unwrap();
    assert!(page.contains("quality 60") && !page.contains("<video"));
}

#[test]
fn options_of_the_other_kind_are_refused() {
    let bench = bench();
    bench.refused(
        &[&ARGUMENTS[..4], &["--codecs", "jpeg"]].concat(),
        &["jpeg", "h264 and hevc for clips"],
    );
    fs::create_dir(bench.path("photos")).unwrap();
    bench.picture("photos/a.png", 32, 32);
    bench.refused(
        &["bench", "codec", "--data", "photos", "--frames", "3"],
        &["--frames is for clips"],
    );
}

/// What a browser shows after a slider is moved and keys are pressed.
#[test]
fn the_page_plays_clips_together() {
    if !has("ffmpeg") || !has("chromium") {
        return;
    }
    let bench = bench();
    bench.good(&ARGUMENTS);
    let shown = bench.browse("figures/index.html", include_str!("bench_clips.js"));
    // Ten frames a second: the middle of frame 3 is at .35 s.
    let expected = [
        "slider 0.350 0.350 0.350 0.350 4 of 6 play",
        "right 0.450 0.450 0.450 0.450 5 of 6 play",
        "end 0.550 0.550 0.550 0.550 6 of 6 play",
        "beyond 0.550 0.550 0.550 0.550 6 of 6 play",
        "home 0.050 0.050 0.050 0.050 1 of 6 play",
        "space pause",
    ];
    assert_eq!(shown, expected);
}
