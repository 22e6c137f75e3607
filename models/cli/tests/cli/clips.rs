//! `bsq encode`, `bsq decode`, `bsq reconstruct` and `bsq inspect` with clips.

use crate::common::{Bench, CONFIG};
use bsq::config::Config;
use bsq::image_io::{ImageSize, Picture, save_png};
use bsq::pipeline::ModelFile;
use bsq::video_io::{ClipFormat, ClipOptions, create, open};
use serde_json::Value;
use std::fs;

const SIZE: ImageSize = ImageSize {
    height: 40,
    width: 56,
};

/// A folder with a clip of five frames, `a.y4m`.
fn bench() -> Bench {
    let bench = Bench::new();
    let format = ClipFormat {
        size: SIZE,
        rate: "12".parse().unwrap(),
        frames: None,
    };
    let mut writer = create(&bench.path("a.y4m"), &format).unwrap();
    for time in 0..5 {
        let sample =
            |i: usize| (60 + (i / 3 % SIZE.width + 2 * time) * 2 + i / 3 / SIZE.width) as u8;
        let frame = Picture::new(
            SIZE.width,
            SIZE.height,
            (0..3 * 40 * 56).map(sample).collect(),
        );
        writer.write(&frame).unwrap();
    }
    writer.finish().unwrap();
    bench
}

fn frames(bench: &Bench, name: &str) -> Vec<Picture> {
    let mut clip = open(&bench.path(name), &ClipOptions::default()).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = clip.next_frame().unwrap() {
        frames.push(frame);
    }
    frames
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_clip_comes_back_with_its_rate_and_as_it_was_reconstructed() {
    let bench = bench();
    let ran = bench.good(&["encode", "a.y4m", "--group", "2", "--json"]);
    let value = &json(&ran.stdout)["clips"][0];
    assert_eq!((&value["frames"], &value["groups"]), (&5.into(), &3.into()));
    assert_eq!(value["bytes"], bench.bytes("a.bsq").len() as u64);
    bench.good(&["decode", "a.bsq", "-o", "back.y4m"]);
    bench.good(&["decode", "a.bsq", "-o", "frames", "--threads", "1"]);
    bench.good(&["decode", "a.bsq", "-o", "preview.gif"]);
    let text = String::from_utf8_lossy(&bench.bytes("back.y4m")[..40]).to_string();
    assert!(text.contains("W56 H40 F12:1"), "{text}");
    assert!(bench.bytes("preview.gif").starts_with(b"GIF89a"));
    // A folder has the frames themselves, y4m those through 4:2:0.
    let (folder, back) = (frames(&bench, "frames"), frames(&bench, "back.y4m"));
    assert_eq!((folder.len(), back.len()), (5, 5));
    let ran = bench.good(&[
        "reconstruct",
        "a.y4m",
        "-o",
        "again",
        "--group",
        "2",
        "--json",
    ]);
    assert_eq!(frames(&bench, "again"), folder);
    let found = &json(&ran.stdout)["clips"][0];
    assert_eq!(found["bits"], 8 * bench.bytes("a.bsq").len() as u64);
    assert!(found["psnr"].as_f64().unwrap() > 30.0, "{found}");
    let ran = bench.good(&["inspect", "a.bsq", "--json"]);
    let value = json(&ran.stdout);
    assert_eq!(
        (&value["frames"], &value["frame_rate"]),
        (&5.into(), &"12".into())
    );
}

#[test]
fn a_folder_of_frames_is_a_clip_and_tokenizers_take_clips_frame_by_frame() {
    let bench = bench();
    bench.good(&["encode", "a.y4m"]);
    bench.good(&["decode", "a.bsq", "-o", "frames"]);
    let ran = bench.good(&["encode", "frames", "-o", "b.bsq", "--fps", "30000/1001"]);
    assert!(ran.stdout.contains("5 frames"), "{}", ran.stdout);
    let ran = bench.good(&["inspect", "b.bsq"]);
    assert!(
        ran.stdout.contains("30000/1001 frames a second"),
        "{}",
        ran.stdout
    );
    let ran = bench.good(&[
        "reconstruct",
        "a.y4m",
        "-o",
        "c.y4m",
        "--model",
        "model.safetensors",
        "--json",
    ]);
    let value = &json(&ran.stdout)["clips"][0];
    // 3 x 4 windows of 4 tokens of 12 bits.
    assert_eq!(value["bits"], 5 * 12 * 4 * 12);
}

#[test]
fn damage_costs_a_group_and_is_told() {
    let bench = bench();
    bench.good(&["encode", "a.y4m", "--group", "2"]);
    let mut bytes = bench.bytes("a.bsq");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(bench.path("bad.bsq"), &bytes).unwrap();
    bench.refused(
        &["decode", "bad.bsq", "-o", "x.y4m"],
        &["bad.bsq", "--recover"],
    );
    let ran = bench.run(&["decode", "bad.bsq", "-o", "x.y4m", "--recover"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("are filled in"), "{}", ran.stderr);
    assert_eq!(frames(&bench, "x.y4m").len(), 5);
    let ran = bench.run(&["inspect", "bad.bsq"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("DAMAGED"), "{}", ran.stdout);
    fs::write(bench.path("cut.bsq"), &bytes[..middle]).unwrap();
    bench.refused(
        &["decode", "cut.bsq", "-o", "y.y4m"],
        &["cut.bsq", "ends in or before group"],
    );
}

#[test]
fn what_clips_cannot_be_is_refused_in_a_line() {
    let bench = bench();
    bench.refused(&["encode", "none.mp4"], &["none.mp4", "no such file"]);
    bench.refused(&["encode", "a.y4m", "--bpp", "0.1"], &["--quality"]);
    bench.refused(
        &["encode", "a.y4m", "--model", "model.safetensors"],
        &["--prior"],
    );
    fs::write(bench.path("bad.y4m"), "no clip").unwrap();
    bench.refused(&["encode", "bad.y4m"], &["bad.y4m"]);
    fs::write(bench.path("planes.yuv"), [0; 100]).unwrap();
    bench.refused(&["encode", "planes.yuv"], &["planes.yuv", "--size"]);
    fs::create_dir(bench.path("empty")).unwrap();
    bench.refused(&["encode", "empty"], &["empty", "without pictures"]);
    bench.picture("p.png", 8, 8);
    bench.refused(&["reconstruct", "a.y4m", "p.png"], &["by themselves"]);
    bench.refused(
        &["encode", "a.y4m", "--max-pixels", "100"],
        &["at most 100"],
    );
}

/// A clip's figures are the means over its frames, as pictures, whatever range the model has.
#[test]
fn figures_of_a_clip_are_means_over_its_frames() {
    let bench = bench();
    fs::create_dir(bench.path("clips")).unwrap();
    fs::rename(bench.path("a.y4m"), bench.path("clips/a.y4m")).unwrap();
    fs::create_dir(bench.path("frames")).unwrap();
    for (number, frame) in frames(&bench, "clips/a.y4m").iter().enumerate() {
        save_png(frame, bench.path(&format!("frames/{number}.png"))).unwrap();
    }
    let ranged = format!("{CONFIG}\n[data]\nzero_mean = false\n");
    let ranged = ranged.replacen("[model]\n", "[model]\nclamp_range = [0.0, 1.0]\n", 1);
    let ranged = ModelFile::untrained("ranged", Config::from_toml(&ranged).unwrap(), 1).unwrap();
    ranged
        .save(&bench.path("ranged.safetensors"), bsq_ir::DType::F32)
        .unwrap();
    for model in ["model.safetensors", "ranged.safetensors"] {
        let eval = |data: &str, more: &[&str]| {
            let own = ["eval", "--model", model, "--data", data, "--json"];
            json(&bench.good(&[&own[..], more].concat()).stdout)
        };
        let (clip, pictures) = (eval("clips", &["--frames", "5"]), eval("frames", &[]));
        for (key, name) in [("psnr", "PSNR"), ("ssim", "SSIM")] {
            let of_clip = clip["clips"][0][key].as_f64().unwrap();
            let mean = pictures["means"][name]["mean"].as_f64().unwrap();
            assert!(
                (of_clip - mean).abs() < 1e-6,
                "{model}: {key} {of_clip}, {mean}"
            );
        }
    }
}

/// In the layout of UCF-101: a folder for each class, and lists of what belongs to a split.
#[test]
fn clips_are_measured_whole_or_in_their_middle() {
    let bench = bench();
    for (folder, name) in [
        ("Biking", "v_Biking_g01_c01"),
        ("Diving", "v_Diving_g02_c03"),
    ] {
        fs::create_dir_all(bench.path(&format!("ucf/{folder}"))).unwrap();
        let to = bench.path(&format!("ucf/{folder}/{name}.y4m"));
        fs::copy(bench.path("a.y4m"), to).unwrap();
    }
    let eval = |more: &[&str]| {
        let own = [
            "eval",
            "--model",
            "model.safetensors",
            "--data",
            "ucf",
            "--json",
        ];
        json(&bench.good(&[&own[..], more].concat()).stdout)
    };
    let middle = eval(&["--frames", "3"]);
    let clips = middle["clips"].as_array().unwrap();
    assert_eq!(clips.len(), 2);
    assert_eq!(clips[0]["start"], 1);
    assert_eq!(clips[0]["psnr"], clips[1]["psnr"]);
    assert!(middle["means"]["SSIM"]["mean"].as_f64().unwrap() > 0.0);
    let starts = eval(&["--frames", "2", "--every-window"]);
    let starts: Vec<_> = starts["clips"]
        .as_array()
        .unwrap()
        .iter()
        .map(|clip| clip["start"].clone())
        .collect();
    assert_eq!(starts, [0, 2, 0, 2]);

    let list = "Diving/v_Diving_g02_c03.y4m 2\nDiving/v_Diving_g09_c01.y4m 2\n";
    fs::write(bench.path("testlist01.txt"), list).unwrap();
    let own = [
        "eval",
        "--model",
        "model.safetensors",
        "--data",
        "ucf",
        "--frames",
        "5",
    ];
    let ran = bench.good(&[&own[..], &["--list", "testlist01.txt"]].concat());
    assert!(
        ran.stderr.contains("left out: 1 of the list"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.starts_with("ucf/Diving"), "{}", ran.stdout);

    let ran = bench.good(&[
        "eval",
        "--model",
        "model.safetensors",
        "--data",
        "ucf",
        "--frames",
        "6",
    ]);
    assert!(
        ran.stderr.contains("has 5 frames, and 6 are measured"),
        "{}",
        ran.stderr
    );
    bench.refused(&[&own[..], &["--metrics", "fvd"]].concat(), &["--i3d"]);
    bench.refused(&[&own[..5], &["--every-window"]].concat(), &["--frames"]);
}
