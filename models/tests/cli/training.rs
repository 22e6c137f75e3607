//! Training from the command line, and models that ship.

use crate::common::{Bench, repository};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// A training of six steps.
fn config() -> String {
    let rest = "
[loss]
codebook_weight = 0.1
perceptual_weight = 0.0
skip_disc = true
[data]
batch_size = 2
[optimizer]
lr = 1e-3
max_iter = 6
";
    crate::common::CONFIG.to_string() + rest
}

fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("c.toml"), config()).unwrap();
    fs::create_dir(bench.path("photos")).unwrap();
    bench.picture("photos/a.png", 40, 30);
    bench.picture("photos/b.png", 30, 40);
    bench
}

fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "c.toml", "--data", "photos", "--out", out], more].concat()
}

#[test]
fn a_training_in_two_parts_gives_a_model_with_the_same_bits() {
    let bench = bench();
    bench.good(&train("whole", &[]));
    bench.good(&train("parts", &["--steps", "2", "--threads", "1"]));
    let ran = bench.good(&train("parts", &["--resume", "--json"]));
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["step"], 6);
    let checkpoint = |folder| bench.bytes(&format!("{folder}/checkpoint.safetensors"));
    assert!(checkpoint("whole") == checkpoint("parts"));

    let said = bench
        .good(&["inspect", "whole/checkpoint.safetensors"])
        .stdout;
    assert!(said.contains("checkpoint of a training"), "{said}");
    assert!(said.contains("6 steps done"), "{said}");
    bench.picture("a.png", 20, 20);
    let model = "whole/checkpoint.safetensors";
    bench.good(&["reconstruct", "a.png", "--model", model]);
}

#[test]
fn a_training_is_not_started_on_bad_input() {
    let bench = bench();
    bench.refused(&train("run", &["--resume"]), &["nothing to resume"]);
    let nowhere = ["train", "c.toml", "--data", "nowhere", "--out", "run"];
    bench.refused(&nowhere, &["nowhere"]);
    fs::create_dir(bench.path("empty")).unwrap();
    let empty = ["train", "c.toml", "--data", "empty", "--out", "run"];
    bench.refused(&empty, &["empty"]);
    bench.refused(
        &["train", "none.toml", "--data", "photos", "--out", "run"],
        &["none.toml"],
    );
    bench.good(&train("run", &["--steps", "1"]));
    bench.refused(&train("run", &[]), &["already", "--resume"]);
    fs::write(bench.path("c.toml"), config().replace("lr =", "lrr =")).unwrap();
    bench.refused(&train("other", &[]), &["c.toml", "optimizer.lrr"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_a_training_that_can_go_on() {
    let bench = bench();
    let endless = config().replace("max_iter = 6", "max_iter = 1_000_000");
    fs::write(bench.path("c.toml"), endless).unwrap();
    let mut child = bench
        .command(&train("run", &[]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first line says that the step has been compiled.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("compiled"), "{line}");
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let ran = bench.good(&train("run", &["--resume", "--json", "--steps", "1"]));
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(value["step"].as_u64().unwrap() >= 1, "{value}");
}

#[test]
fn the_default_model_ships() {
    let bench = Bench::new();
    fs::copy(repository("samples/rocket.jpg"), bench.path("rocket.jpg")).unwrap();
    let ran = bench.good(&["reconstruct", "rocket.jpg", "--json"]);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["model"], "default");
    assert!(
        value["images"][0]["psnr"].as_f64().unwrap() > 25.0,
        "{value}"
    );
    let said = bench.good(&["inspect", "default"]).stdout;
    assert!(said.contains("tokenizer model"), "{said}");
}
