//! Several files, some of them bad; folders that are made; models and priors that do not fit.

use crate::common::{Bench, CONFIG, PRIOR};
use bsq::config::PriorConfig;
use bsq::pipeline::fingerprint;
use bsq::prior::PriorFile;
use bsq_ir::DType;
use bsq_runtime::checkpoint::safetensors;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

const MODEL: [&str; 2] = ["--model", "model.safetensors"];

fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &MODEL[..]].concat()
}

fn names(bench: &Bench, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(bench.path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Two streams without a prior, and the bytes of one.
fn streams(bench: &Bench) -> Vec<u8> {
    for name in ["a.png", "c.png"] {
        bench.picture(name, 40, 20);
        bench.good(&with(&["encode", name, "--raw"]));
    }
    bench.bytes("a.bsq")
}

#[test]
fn a_bad_stream_of_any_kind_keeps_no_other_from_being_decoded() {
    let bench = Bench::new();
    let good = streams(&bench);
    let changed = |position: usize| {
        let mut bytes = good.clone();
        bytes[position] ^= 0xff;
        bytes
    };
    let bad: Vec<Vec<u8>> = [0, 4, 5, 8, 12, 20, 30, 40, 51, 60, good.len() - 1]
        .map(changed)
        .into_iter()
        .chain([0, 3, 30, 52, 60].map(|length| good[..length].to_vec()))
        .chain([b"nonsense".to_vec()])
        .collect();
    for (number, bytes) in bad.iter().enumerate() {
        fs::write(bench.path("bad.bsq"), bytes).unwrap();
        let folder = format!("out{number}");
        let files = ["decode", "a.bsq", "bad.bsq", "c.bsq", "-o", &folder];
        let ran = bench.run(&with(&files));
        assert_eq!(ran.code, Some(2), "{number}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("bsq: bad.bsq: "), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        let written = names(&bench, &folder);
        assert_eq!(written, ["a.bsq.png", "c.bsq.png"], "{number}");
    }
}

#[test]
fn all_that_failed_are_named_with_their_reasons() {
    let bench = Bench::new();
    streams(&bench);
    fs::write(bench.path("bad.bsq"), "nonsense").unwrap();
    fs::create_dir(bench.path("folder.bsq")).unwrap();
    fs::write(bench.path("bad.png"), "nonsense").unwrap();
    fs::write(bench.path("empty.png"), "").unwrap();

    let files = ["decode", "bad.bsq", "a.bsq", "none.bsq", "folder.bsq"];
    let ran = bench.run(&with(&[&files[..], &["-o", "d"]].concat()));
    assert_eq!(ran.code, Some(2));
    for line in [
        "bsq: bad.bsq: not a .bsq",
        "bsq: none.bsq: no such file",
        "bsq: folder.bsq: ",
    ] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    assert_eq!(ran.stderr.lines().count(), 3, "{}", ran.stderr);
    assert_eq!(names(&bench, "d"), ["a.bsq.png"]);

    let pictures = ["bad.png", "a.png", "empty.png", "c.png"];
    for (command, suffix, more) in [
        ("encode", "bsq", &["--raw"][..]),
        ("reconstruct", "bsq.png", &[]),
    ] {
        let arguments = [&[command][..], &pictures, &["-o", command], more].concat();
        let ran = bench.run(&with(&arguments));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.stderr);
        for name in ["bsq: bad.png: ", "bsq: empty.png: "] {
            assert!(ran.stderr.contains(name), "{}", ran.stderr);
        }
        let expected = [format!("a.{suffix}"), format!("c.{suffix}")];
        assert_eq!(names(&bench, command), expected);
    }
    let arguments = [&["tokens"][..], &pictures, &["-o", "t.safetensors"]].concat();
    assert_eq!(bench.run(&with(&arguments)).code, Some(2));
    bench.good(&with(&["detokenize", "t.safetensors", "-o", "back"]));
    assert_eq!(names(&bench, "back"), ["a.bsq.png", "c.bsq.png"]);

    let ran = bench.run(&["inspect", "a.bsq", "bad.bsq", "c.bsq", "--json"]);
    assert_eq!(ran.code, Some(2));
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["files"].as_array().unwrap().len(), 2);
    assert_eq!(value["failed"][0]["input"], "bad.bsq");
    assert!(value["error"].as_str().unwrap().starts_with("bad.bsq: "));
}

#[test]
fn a_folder_is_made_for_the_results() {
    let bench = Bench::new();
    streams(&bench);
    bench.good(&with(&["encode", "a.png", "--raw", "-o", "new/"]));
    assert_eq!(names(&bench, "new"), ["a.bsq"]);
    bench.good(&with(&["decode", "a.bsq", "c.bsq", "-o", "deep/er"]));
    assert_eq!(names(&bench, "deep/er"), ["a.bsq.png", "c.bsq.png"]);
    // Nothing is made for what cannot be read.
    fs::write(bench.path("bad.png"), "nonsense").unwrap();
    bench.refused(
        &with(&["reconstruct", "bad.png", "-o", "never/"]),
        &["bad.png"],
    );
}

#[test]
fn a_damaged_stream_has_the_size_that_it_has() {
    let bench = Bench::new();
    let mut bytes = streams(&bench);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(bench.path("bad.bsq"), &bytes).unwrap();
    let ran = bench.run(&["inspect", "bad.bsq"]);
    assert_eq!(ran.code, Some(1));
    let size = format!("{} bytes, ", bytes.len());
    assert!(ran.stdout.contains(&size), "{size}: {}", ran.stdout);
}

/// A prior for the tokens of the folder's model, as it says.
fn save_prior(bench: &Bench, name: &str, bits: usize) {
    let model = bench.model(1);
    let config = PRIOR.replace("bits = 12", &format!("bits = {bits}"));
    let config = PriorConfig::from_toml(&config).unwrap();
    let own = fingerprint(model.tokenizer.config(), &model.parameters);
    let prior = PriorFile::untrained("prior", config, &own).unwrap();
    prior.save(&bench.path(name), DType::F16).unwrap();
}

#[test]
fn models_are_taken_from_folders_and_by_key() {
    let bench = Bench::new();
    bench.picture("a.png", 20, 20);
    fs::create_dir(bench.path("run")).unwrap();
    fs::copy(
        bench.path("model.safetensors"),
        bench.path("run/checkpoint.safetensors"),
    )
    .unwrap();
    bench.good(&["tokens", "a.png", "-o", "t.safetensors", "--model", "run"]);
    bench.good(&with(&["detokenize", "t.safetensors", "-o", "back.png"]));
    let ran = bench.good(&["inspect", "run"]);
    assert!(ran.stdout.contains("tokenizer model"), "{}", ran.stdout);

    // Two models in one file.
    let model = bench.model(1);
    let named = |start: &str| {
        let parameters = model.parameters.iter();
        let named = parameters.map(|(name, tensor)| (format!("{start}.{name}"), tensor.clone()));
        named.collect::<Vec<_>>()
    };
    let both: BTreeMap<_, _> = named("a.net").into_iter().chain(named("b")).collect();
    safetensors::save(&bench.path("two.safetensors"), &both, &BTreeMap::new()).unwrap();
    fs::write(bench.path("two.toml"), CONFIG).unwrap();
    let two = [
        "tokens",
        "a.png",
        "-o",
        "u.safetensors",
        "--model",
        "two.safetensors",
    ];
    bench.refused(&two, &["missing"]);
    bench.refused(
        &[&two[..], &["--key", "c"]].concat(),
        &["names start with a, b"],
    );
    bench.good(&[&two[..], &["--key", "a.net"]].concat());
    bench.good(&with(&["detokenize", "u.safetensors", "-o", "same.png"]));
    assert!(bench.bytes("back.png") == bench.bytes("same.png"));
}

#[test]
fn a_prior_and_a_tokenizer_that_do_not_fit_are_refused_by_name() {
    let bench = Bench::new();
    bench.picture("a.png", 64, 64);
    save_prior(&bench, "fits.safetensors", 12);
    save_prior(&bench, "other.safetensors", 8);
    let encode = |prior| with(&["encode", "a.png", "-o", "x.bsq", "--prior", prior]);
    bench.good(&encode("fits.safetensors"));
    fs::remove_file(bench.path("x.bsq")).unwrap();
    let words = [
        "tokens of 8 bits",
        "model.safetensors have 12",
        "prior.bits",
    ];
    bench.refused(&encode("other.safetensors"), &words);
    bench.refused(
        &[
            "tokens",
            "a.png",
            "-o",
            "t.safetensors",
            "--model",
            "fits.safetensors",
        ],
        &["fits.safetensors: a prior, not a tokenizer: name it with --prior"],
    );
    bench.refused(
        &encode("model.safetensors"),
        &["model.safetensors: not a prior"],
    );

    // Before the first step, whichever has more bits; left out, they are the tokenizer's.
    fs::create_dir(bench.path("photos")).unwrap();
    fs::copy(bench.path("a.png"), bench.path("photos/a.png")).unwrap();
    let train = [
        "train", "p.toml", "--data", "photos", "--out", "run", "--steps", "1",
    ];
    for bits in [8, 36] {
        let config = PRIOR.replace("bits = 12", &format!("bits = {bits}"));
        fs::write(bench.path("p.toml"), config).unwrap();
        let tokens = format!("tokens of {bits} bits");
        bench.refused(&with(&train), &[&tokens, "have 12"]);
    }
    fs::write(bench.path("p.toml"), PRIOR.replace("bits = 12", "")).unwrap();
    bench.good(&with(&train));
    let config = fs::read_to_string(bench.path("run/config.toml")).unwrap();
    assert!(config.contains("\nbits = 12\n"), "{config}");
}
