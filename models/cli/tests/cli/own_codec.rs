//! From a folder of photos to a codec of one's own, as README has it.

use crate::common::Bench;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// A folder `photos` with six pictures of 48x40 pixels.
fn photos() -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.path("photos")).unwrap();
    for number in 0..6 {
        bench.picture(&format!("photos/{number}.png"), 48, 40);
    }
    bench.picture("new.png", 70, 50);
    bench
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A configuration that ships, made small.
fn small(bench: &Bench, name: &str, file: &str, changes: &[(&str, &str)]) {
    bench.good(&["init", name, "-o", file]);
    let mut text = fs::read_to_string(bench.path(file)).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in {text}");
        text = text.replace(from, to);
    }
    fs::write(bench.path(file), text).unwrap();
}

#[test]
fn a_codec_of_ones_own_takes_one_command_and_one_name() {
    let bench = photos();
    let train = ["train", "default", "--data", "photos", "--out", "run"];
    bench.good(&[&train[..], &["--steps", "2"]].concat());
    bench.good(&["encode", "new.png", "--model", "run"]);
    bench.good(&["decode", "new.bsq", "--model", "run"]);
    assert_eq!(bench.picture_of("new.bsq.png").width, 70);
    let said = bench.good(&["inspect", "run"]).stdout;
    assert!(said.contains("checkpoint of a training"), "{said}");
    assert!(
        said.contains("transform codec of 192 coordinates"),
        "{said}"
    );
}

/// bsq18, made small; its prior, too.
fn small_tokenizer(bench: &Bench) {
    let tokenizer = [
        ("image_size = 128", "image_size = 32"),
        ("layers = 3", "layers = 1"),
        ("width = 160", "width = 32"),
        ("width = 128", "width = 32"),
        ("heads = 5", "heads = 2"),
        ("eval_freq = 250", "eval_freq = 0"),
        ("save_freq = 250", "save_freq = 1"),
        ("batch_size = ", "batch_size = 2 # "),
        ("resize_min = ", "resize_min = 32 # "),
        ("resize_max = ", "resize_max = 48 # "),
    ];
    small(bench, "bsq18", "tokenizer.toml", &tokenizer);
    let prior = [
        ("side = 32", "side = 4"),
        ("width = 64", "width = 16"),
        ("layers = 2", "layers = 1"),
        ("resize_min = 400", "resize_min = 32"),
        ("resize_max = 1000", "resize_max = 48"),
    ];
    small(bench, "prior", "prior.toml", &prior);
}

#[test]
fn a_tokenizer_takes_its_prior_with_it() {
    let bench = photos();
    small_tokenizer(&bench);
    let train = |steps: &str, more: &[&str]| {
        let arguments = [
            "train",
            "tokenizer.toml",
            "--data",
            "photos",
            "--out",
            "run",
        ];
        let prior = ["--prior", "prior.toml", "--json", "--steps", steps];
        json(&bench.good(&[&arguments[..], &prior, more].concat()).stdout)
    };
    let value = train("2", &[]);
    assert_eq!(
        (&value["step"], &value["prior"]["step"]),
        (&2.into(), &2.into())
    );
    bench.good(&["encode", "new.png", "--model", "run"]);
    bench.good(&["decode", "new.bsq", "--model", "run"]);
    assert_eq!(bench.picture_of("new.bsq.png").height, 50);
    // A tokenizer that has learned more needs another prior, which begins with this one.
    let value = train("3", &["--resume"]);
    assert_eq!(
        (&value["step"], &value["prior"]["step"]),
        (&3.into(), &3.into())
    );
    assert!(
        bench
            .path("run/prior-before/checkpoint.safetensors")
            .is_file()
    );
    bench.good(&["encode", "new.png", "--model", "run"]);
    // Without it, the error says what to do.
    fs::remove_dir_all(bench.path("run/prior")).unwrap();
    bench.refused(
        &["encode", "new.png", "--model", "run"],
        &[
            "run: no prior for its tokens",
            "bsq train prior --model run",
            "--raw",
        ],
    );
    bench.refused(
        &[
            "train",
            "prior.toml",
            "--prior",
            "prior",
            "--data",
            "photos",
            "--out",
            "x",
        ],
        &["--prior is for tokenizers"],
    );
}

#[test]
fn a_share_of_the_folder_is_kept_apart_to_evaluate_on() {
    let bench = photos();
    small_tokenizer(&bench);
    let arguments = [
        "train",
        "tokenizer.toml",
        "--data",
        "photos",
        "--out",
        "run",
        "--steps",
        "2",
    ];
    let evaluated = [&arguments[..], &["--val-fraction", "0.3"]].concat();
    let ran = bench.good(&evaluated);
    assert!(ran.stderr.contains("evaluating every"), "{}", ran.stderr);
    let log = fs::read_to_string(bench.path("run/log.jsonl")).unwrap();
    assert!(log.contains("eval/psnr"), "{log}");
    let whole = [&arguments[..], &["--val-fraction", "1"]].concat();
    let ran = bench.run(&whole);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("between 0 and 1"), "{}", ran.stderr);
    for number in 1..6 {
        fs::remove_file(bench.path(&format!("photos/{number}.png"))).unwrap();
    }
    let one = [
        "train",
        "tokenizer.toml",
        "--data",
        "photos",
        "--out",
        "one",
        "--val-fraction",
        "0.5",
    ];
    let ran = bench.run(&one);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("one alone"), "{}", ran.stderr);
}

#[test]
fn models_are_exported_for_use_and_for_pytorch() {
    let bench = Bench::new();
    let run = |output: &str, more: &[&str]| {
        let arguments = ["export-model", "model.safetensors", "-o", output, "--json"];
        json(&bench.good(&[&arguments[..], more].concat()).stdout)
    };
    bench.picture("a.png", 40, 30);
    bench.good(&[
        "reconstruct",
        "a.png",
        "--model",
        "model.safetensors",
        "-o",
        "whole.png",
    ]);
    // Exact, in a folder that is made.
    run("new/copy.safetensors", &[]);
    bench.good(&[
        "reconstruct",
        "a.png",
        "--model",
        "new/copy.safetensors",
        "-o",
        "copy.png",
    ]);
    assert_eq!(bench.bytes("copy.png"), bench.bytes("whole.png"));
    // Two bytes less for each weight, and the same header but for what it counts in.
    let half = run("half.safetensors", &["--format", "f16"]);
    let whole = fs::metadata(bench.path("new/copy.safetensors"))
        .unwrap()
        .len();
    let [bytes, weights] = ["bytes", "parameters"].map(|key| half[key].as_u64().unwrap());
    assert!(
        (whole - bytes).abs_diff(2 * weights) < 1000,
        "{half}, {whole}"
    );
    // A PyTorch state dict has the weights alone, so that --config says what they are of.
    let value = run("copy.pt", &[]);
    assert_eq!(value["format"], "pytorch");
    bench.refused(
        &["reconstruct", "a.png", "--model", "copy.pt"],
        &["weights without a configuration", "--config"],
    );
    fs::write(bench.path("c.toml"), crate::common::CONFIG).unwrap();
    let with_config = [
        "reconstruct",
        "a.png",
        "--model",
        "copy.pt",
        "--config",
        "c.toml",
        "-o",
        "pt.png",
    ];
    bench.good(&with_config);
    assert_eq!(bench.bytes("pt.png"), bench.bytes("whole.png"));
    bench.refused(
        &[
            "reconstruct",
            "a.png",
            "--model",
            "copy.pt",
            "--config",
            "bsq_256",
        ],
        &[
            "bsq_256: neither a file nor a configuration that ships",
            "bsq_256_b36g36",
        ],
    );
    bench.refused(
        &["reconstruct", "a.png", "--model", "c.toml"],
        &["c.toml: a configuration, which has no weights", "--config"],
    );
    bench.refused(
        &[
            "export-model",
            "model.safetensors",
            "-o",
            "x.safetensors",
            "--keep",
            "u8",
        ],
        &["--keep is for priors", "tokenizer"],
    );
}

#[test]
fn a_picture_goes_through_a_pipe() {
    let bench = Bench::new();
    bench.picture("a.png", 60, 40);
    let pipe = |arguments: &[&str], input: &[u8]| {
        let mut command = bench.command(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), output.stdout, said)
    };
    bench.good(&["encode", "a.png", "-o", "a.bsq"]);
    bench.good(&["decode", "a.bsq", "-o", "back.png"]);
    let (code, stream, said) = pipe(&["encode", "-"], &bench.bytes("a.png"));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(stream, bench.bytes("a.bsq"));
    let (code, picture, said) = pipe(&["decode", "-", "-o", "-"], &stream);
    assert_eq!(code, Some(0), "{said}");
    assert!(picture == bench.bytes("back.png"));
    let (code, _, _) = pipe(&["encode", "-", "-o", "b.bsq"], &bench.bytes("a.png"));
    assert_eq!(code, Some(0));
    assert_eq!(bench.bytes("b.bsq"), bench.bytes("a.bsq"));
    let (code, _, said) = pipe(&["encode", "-", "--json"], &bench.bytes("a.png"));
    assert_eq!(code, Some(2));
    assert!(said.contains("--json"), "{said}");
    let (code, _, said) = pipe(&["encode", "-", "a.png"], &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("alone"), "{said}");
    let (code, _, said) = pipe(&["decode", "-"], b"no stream");
    assert_eq!(code, Some(2));
    assert!(said.contains("standard input"), "{said}");
}

#[test]
fn pictures_of_an_earlier_run_are_left_out() {
    let bench = Bench::new();
    bench.picture("a.png", 30, 30);
    bench.good(&["encode", "a.png"]);
    bench.good(&["decode", "a.bsq"]);
    let ran = bench.good(&["encode", "a.png", "a.bsq.png", "-o", "all"]);
    assert!(ran.stderr.contains("a.bsq.png: left out"), "{}", ran.stderr);
    assert!(!Path::exists(&bench.path("all/a.bsq.bsq")));
    bench.good(&["encode", "a.bsq.png"]);
    assert!(Path::exists(&bench.path("a.bsq.bsq")));
}

#[test]
fn shells_and_manuals_know_the_commands() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = bench.good(&["completions", shell]).stdout;
        assert!(script.contains("reconstruct") && script.contains("val-fraction"));
    }
    bench.good(&["man", "-o", "pages"]);
    let page = fs::read_to_string(bench.path("pages/bsq-encode.1")).unwrap();
    assert!(page.contains("quality") && page.contains(".TH"), "{page}");
    assert!(bench.path("pages/bsq.1").is_file());
}

#[test]
fn a_configuration_is_written_to_be_edited() {
    let bench = Bench::new();
    bench.good(&["init"]);
    let text = fs::read_to_string(bench.path("default.toml")).unwrap();
    assert!(text.contains("[transform_codec]"), "{text}");
    bench.refused(&["init"], &["default.toml: is there already", "--force"]);
    bench.good(&["init", "--full", "--force"]);
    let full = fs::read_to_string(bench.path("default.toml")).unwrap();
    assert!(full.contains("val_fraction") && full.len() > 2 * text.len());
    bench.good(&["inspect", "default.toml"]);
    bench.good(&["init", "bsq_256_b36g36", "-o", "authors.toml"]);
    bench.good(&["inspect", "authors.toml"]);
    bench.refused(
        &["init", "defautl"],
        &["neither a file nor a configuration"],
    );
}
