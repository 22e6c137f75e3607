//! `bsq bench codec`: what it writes, with the other codecs' programs there, missing and broken.

use crate::common::{Bench, Ran, has};
use bsq::config::PriorConfig;
use bsq::image_io::{Picture, save_png};
use bsq::pipeline::fingerprint;
use bsq::prior::PriorFile;
use bsq_ir::DType;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

const ARGUMENTS: [&str; 9] = [
    "bench",
    "codec",
    "--model",
    "model.safetensors",
    "--prior",
    "prior.safetensors",
    "--json",
    "--data",
    "photos",
];

/// A folder with models, and in `photos` two smooth pictures that every codec makes small.
fn bench(sizes: [(usize, usize); 2]) -> Bench {
    let bench = Bench::new();
    let model = bench.model(1);
    let config = PriorConfig::from_toml(
        "[prior]\nbits = 12\nsub_token_bits = 3\nside = 16\nwidth = 8\nlayers = 1\nheads = 1\n\
         head_width = 4\n",
    )
    .unwrap();
    let own = fingerprint(model.tokenizer.config(), &model.parameters);
    let prior = PriorFile::untrained("prior", config, &own).unwrap();
    prior
        .save(&bench.path("prior.safetensors"), DType::F16)
        .unwrap();
    fs::create_dir(bench.path("photos")).unwrap();
    for (number, (width, height)) in sizes.into_iter().enumerate() {
        let sample = |i: usize| (i / 3 % width + i / 3 / width + 40 * (i % 3)) as u8 / 2;
        let picture = Picture::new(width, height, (0..3 * width * height).map(sample).collect());
        save_png(&picture, bench.path(&format!("photos/{number}.png"))).unwrap();
    }
    bench
}

/// The command with `path` as `PATH`.
fn run(bench: &Bench, more: &[&str], path: Option<&Path>) -> Ran {
    let mut command = bench.command(&[&ARGUMENTS[..], more].concat());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    Ran::from(command.output().unwrap())
}

fn measured(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn list(value: &Value, key: &str) -> Vec<f64> {
    let list = value["results"][key].as_array();
    let list = list.unwrap_or_else(|| panic!("{key} in {value}"));
    list.iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn missing_programs_are_reported_and_the_rest_is_measured() {
    let bench = bench([(300, 260), (260, 300)]);
    let empty = tempfile::tempdir().unwrap();
    let value = measured(&run(&bench, &["--out", "figures"], Some(empty.path())));
    let mut files: Vec<String> = fs::read_dir(bench.path("figures"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "avif-same-size.json",
            "avif.json",
            "bsq-same-size.json",
            "bsq.json",
            "index.html",
            "jpeg-same-size.json",
            "jpeg-xl-same-size.json",
            "jpeg-xl.json",
            "jpeg.json",
            "jpeg2000-same-size.json",
            "jpeg2000.json",
            "plot.svg",
            "webp-same-size.json",
            "webp.json",
        ]
    );
    for (id, program) in [("webp", "cwebp"), ("jpeg2000", "opj_compress")] {
        let codec = &value["codecs"][id];
        let description = codec["description"].as_str().unwrap();
        assert!(
            description.contains(&format!("{program} is not on PATH")),
            "{description}"
        );
        assert!(list(codec, "bpp").is_empty());
        assert!(value["bd_rates"][id]["psnr"].is_null());
    }
    // Both curves have four points and more; whether they have a quality in common is theirs.
    assert!(value["bd_rates"]["jpeg"].is_object());
    let page = String::from_utf8(bench.bytes("figures/index.html")).unwrap();
    assert!(page.contains("cwebp is not on PATH"));
    // Four rungs of ours, ascending; JPEG's whole curve, each with all figures.
    let rates = list(&value["codecs"]["bsq"], "bpp");
    assert!(rates.len() == 4 && rates.is_sorted(), "{rates:?}");
    let jpeg = &value["codecs"]["jpeg"];
    let keys = [
        "psnr-rgb",
        "ms-ssim-rgb",
        "bpp",
        "encoding_time",
        "decoding_time",
    ];
    for key in keys {
        assert_eq!(list(jpeg, key).len(), list(jpeg, "psnr-rgb").len(), "{key}");
    }
    let psnr = list(jpeg, "psnr-rgb");
    assert!(psnr[0] + 3.0 < psnr[psnr.len() - 1], "{psnr:?}");
    // What is written is what is printed.
    let file: Value = serde_json::from_slice(&bench.bytes("figures/jpeg.json")).unwrap();
    assert_eq!(file, *jpeg);
}

/// What a browser shows of two pictures over each other.
#[test]
fn the_page_lays_pictures_over_each_other() {
    if !has("chromium") {
        return;
    }
    let bench = bench([(600, 260), (260, 300)]);
    let empty = tempfile::tempdir().unwrap();
    let ran = run(&bench, &["--out", "figures"], Some(empty.path()));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let shown = bench.browse("figures/index.html", include_str!("bench_codec.js"));
    // Codec and part of both pictures; 1 is ours, 2 JPEG.
    let expected = [
        "start 0.0 1.0 inset(0px 0px 0px 50%) normal none flicker",
        "line 0.0 1.0 inset(0px 0px 0px 20%) normal none flicker",
        "right 0.0 1.0 inset(0px 0px 0px 25%) normal none flicker",
        "chosen 1.2 2.2 inset(0px 0px 0px 25%) normal none flicker",
        "difference 1.2 2.2 none difference brightness(4) flicker",
        "flicker 1.2 2.2 none normal none stop",
        "seen hidden visible",
        "steady 1.2 2.2 inset(0px 0px 0px 25%) normal none flicker",
        "caption true true",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn files_of_the_others_are_not_larger_than_ours() {
    let bench = bench([(300, 260), (260, 300)]);
    let value = measured(&run(&bench, &["--keep", "2,4"], None));
    let codecs = &value["codecs"];
    let ours = list(&codecs["bsq-same-size"], "bpp");
    assert_eq!(ours.len(), 2);
    let there = |program: &str| Command::new(program).arg("-h").output().is_ok();
    for (id, programs) in [
        ("jpeg", vec![]),
        ("webp", vec!["cwebp", "dwebp"]),
        ("jpeg2000", vec!["opj_compress", "opj_decompress"]),
    ] {
        if !programs.into_iter().all(there) {
            eprintln!("{id} is not measured: its programs are not here");
            continue;
        }
        let rates = list(&codecs[&format!("{id}-same-size")], "bpp");
        let curve = &codecs[id];
        assert!(list(curve, "bpp").is_sorted(), "{curve}");
        // A smooth picture: each codec is better than a random tokenizer.
        let psnr = |name: &str| list(&codecs[name], "psnr-rgb");
        assert!(
            psnr(id).iter().all(|&psnr| psnr > 20.0),
            "{id}: {:?}",
            psnr(id)
        );
        assert!(
            !rates.is_empty(),
            "{id} has no file of {ours:?} bits per pixel"
        );
        let above = ours.len() - rates.len();
        for (ours, theirs) in ours[above..].iter().zip(&rates) {
            assert!(theirs <= ours, "{id}: {theirs} of {ours}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_program_that_fails_is_an_error_with_its_name() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench([(70, 35), (20, 20)]);
    for name in ["cwebp", "dwebp"] {
        let path = bench.path(name);
        fs::write(&path, "#!/bin/sh\necho broken >&2\nexit 3\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = bench.path("");
    let ran = run(&bench, &["--codecs", "webp"], Some(&path));
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("bsq: cwebp: exit status: 3: broken"),
        "{}",
        ran.stderr
    );
}

#[test]
fn small_pictures_have_no_ms_ssim() {
    let bench = bench([(70, 35), (20, 20)]);
    let value = measured(&run(&bench, &["--codecs", "jpeg", "--keep", "4"], None));
    let results = value["codecs"]["jpeg"]["results"].as_object().unwrap();
    assert!(!results.contains_key("ms-ssim-rgb"));
    // No JPEG file is as small as ours of 20x20 pixels: its tables alone are larger.
    assert!(list(&value["codecs"]["jpeg-same-size"], "bpp").is_empty());
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let bench = bench([(70, 35), (20, 20)]);
    let with = |more: &[&'static str]| -> Vec<&'static str> {
        let plain = ARGUMENTS
            .into_iter()
            .filter(|argument| *argument != "--json");
        plain.chain(more.iter().copied()).collect()
    };
    bench.refused(&with(&["--keep", "5"]), &["--keep 5", "1 to 4"]);
    bench.refused(&with(&["--out", "none/figures"]), &["none"]);
    bench.refused(&with(&["--out", "prior.safetensors"]), &["not a folder"]);
    let mut none = with(&[]);
    *none.last_mut().unwrap() = "nowhere";
    bench.refused(&none, &["nowhere"]);
}

#[test]
fn weights_that_are_not_those_of_lpips_are_refused() {
    let bench = bench([(32, 32), (40, 33)]);
    let ran = run(&bench, &["--lpips", "model.safetensors"], None);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("no weights of LPIPS"), "{}", ran.stderr);
    assert!(!bench.path("bench-codec").exists());
}
