//! Training from the command line, and models that ship.

use crate::common::{Bench, repository};
use bsq::train::{FILE_NAME, TrainingCheckpoint};
use bsq_runtime::checkpoint::Weights;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// A training of so many steps, two samples each.
fn steps_of(config: &str, loss: &str, steps: usize) -> String {
    let rest = format!("[data]\nbatch_size = 2\n[optimizer]\nlr = 1e-3\nmax_iter = {steps}\n");
    format!("{config}\n{loss}{rest}")
}

/// A training of six steps.
fn config() -> String {
    let loss = "[loss]\ncodebook_weight = 0.1\nperceptual_weight = 0.0\nskip_disc = true\n";
    steps_of(crate::common::CONFIG, loss, 6)
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
fn what_ships_is_listed_and_written_and_nothing_is_left_out() {
    let bench = Bench::new();
    let listed = bench.good(&["train", "--list"]).stdout;
    let listed: Vec<&str> = listed
        .lines()
        .map(|line| line.split_once(' ').unwrap().0)
        .collect();
    let mut files = Vec::new();
    for folder in ["models/configs", "models/configs/reference"] {
        for entry in fs::read_dir(repository(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.push(path.file_stem().unwrap().to_str().unwrap().to_string());
            }
        }
    }
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    files.sort_unstable();
    assert_eq!(sorted, files);
    for name in listed {
        bench.good(&["init", name]);
    }
    let refused = bench.run(&["train"]);
    assert_eq!(refused.code, Some(2));
    let asked = |word: &str| refused.stderr.contains(word);
    assert!(
        asked("--out <DIR>") && asked("<CONFIG>"),
        "{}",
        refused.stderr
    );
}

/// Started as one of several processes, a build without MPI does not train as if it were alone.
#[cfg(not(feature = "mpi"))]
#[test]
fn a_build_without_mpi_says_so_where_there_are_several_processes() {
    let bench = bench();
    for name in [
        "OMPI_COMM_WORLD_SIZE",
        "PMI_SIZE",
        "SLURM_STEP_NUM_TASKS",
        "WORLD_SIZE",
    ] {
        let mut command = bench.command(&train("run", &[]));
        let ran = crate::common::Ran::from(command.env(name, "4").output().unwrap());
        assert_eq!(ran.code, Some(2));
        let words = [name, "4 processes", "--features mpi"];
        let has_all = words.iter().all(|word| ran.stderr.contains(word));
        assert!(has_all && ran.stderr.lines().count() == 1, "{}", ran.stderr);
        let mut command = bench.command(&train(name, &["--steps", "1"]));
        let ran = crate::common::Ran::from(command.env(name, "1").output().unwrap());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    assert!(!bench.path("run").exists());
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
    let written = |from: &str, to: &str| {
        fs::write(bench.path("c.toml"), config().replacen(from, to, 1)).unwrap();
    };
    written("lr =", "lrr =");
    bench.refused(&train("other", &[]), &["c.toml", "optimizer.lrr"]);
    // What is misspelt is named before it is missed.
    written("heads =", "haeds =");
    let words = ["haeds; did you mean", "vitconfig.heads?"];
    bench.refused(&train("other", &[]), &words);
    written("skip_disc = true\n", "");
    let words = ["loss.disc_num_layers", "too small for 3"];
    bench.refused(&train("other", &[]), &words);
    written("perceptual_weight = 0.0\n", "");
    let ran = bench.good(&train("other", &["--steps", "1"]));
    let words = "loss.perceptual_weight = 1, but there are no weights of LPIPS (--lpips FILE)";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
}

#[test]
fn weights_to_start_from_are_taken_by_init_from_and_not_by_model() {
    let bench = bench();
    let model = train("other", &["--model", "model.safetensors"]);
    bench.refused(&model, &["--init-from model.safetensors"]);
    let still = config().replace("lr = 1e-3", "lr = 0.0");
    fs::write(bench.path("c.toml"), still).unwrap();
    for (out, from) in [("one", "model.safetensors"), ("two", "one")] {
        bench.good(&train(out, &["--init-from", from, "--steps", "1"]));
        let trained = TrainingCheckpoint::read(bench.path(out).join(FILE_NAME)).unwrap();
        assert_eq!(trained.step, 1);
        assert!(trained.parameters(Weights::Raw) == bench.model(1).parameters);
    }
    let both = train("one", &["--resume", "--init-from", "model.safetensors"]);
    assert_eq!(bench.run(&both).code, Some(2));
    let missing = train("other", &["--init-from", "nowhere"]);
    bench.refused(&missing, &["nowhere"]);
    bench.refused(&train("other", &["--init-from", "default"]), &["default"]);

    fs::write(bench.path("p.toml"), prior()).unwrap();
    let train_prior = |out: &str, more: &[&str]| {
        let fixed = ["train", "p.toml", "--data", "photos", "--out", out];
        bench.run(&[&fixed[..], &["--model", "model.safetensors"], more].concat())
    };
    let first = train_prior("prior", &[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let second = train_prior("prior2", &["--init-from", "prior"]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    let of_tokenizer = train_prior("prior3", &["--init-from", "model.safetensors"]);
    assert_eq!(of_tokenizer.code, Some(2));
    assert!(
        of_tokenizer.stderr.contains("not a prior"),
        "{}",
        of_tokenizer.stderr
    );
    let default = train_prior("prior3", &["--init-from", "default"]);
    assert_eq!(default.code, Some(2), "{}", default.stderr);
    let of_prior = train("other", &["--init-from", "prior"]);
    bench.refused(&of_prior, &["it is a prior"]);
}

#[test]
fn a_rate_is_a_term_with_a_prior_and_left_out_without() {
    let bench = bench();
    fs::write(bench.path("p.toml"), prior()).unwrap();
    let fixed = ["train", "p.toml", "--data", "photos", "--out", "prior"];
    bench.good(&[&fixed[..], &["--model", "model.safetensors"]].concat());
    let weighted = config().replace("[loss]\n", "[loss]\nrate_weight = 0.01\n");
    fs::write(bench.path("c.toml"), weighted + "[train]\nprint_freq = 1\n").unwrap();
    let begun = ["--init-from", "model.safetensors", "--steps", "1"];
    let rate_of = |out: &str| {
        let log = fs::read_to_string(bench.path(out).join("log.jsonl")).unwrap();
        let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        first["train/rate"].as_f64()
    };
    let ran = bench.good(&train("without", &begun));
    assert!(
        ran.stderr.contains("(--rate-prior NAME|PATH)"),
        "{}",
        ran.stderr
    );
    assert_eq!(rate_of("without"), None);

    let with = [&begun[..], &["--rate-prior", "prior"]].concat();
    let ran = bench.good(&train("with", &with));
    let bits = rate_of("with").expect("the rate is logged");
    assert!(bits > 0.0, "{bits}");
    assert!(!ran.stderr.contains("another tokenizer"), "{}", ran.stderr);
    let other = ["--steps", "1", "--rate-prior", "prior"];
    let ran = bench.good(&train("other", &other));
    assert!(ran.stderr.contains("another tokenizer"), "{}", ran.stderr);
    let missing = train("none", &["--rate-prior", "nowhere"]);
    bench.refused(&missing, &["nowhere"]);
    let wrong = train("none", &["--rate-prior", "bsq36"]);
    bench.refused(&wrong, &["36 bits", "--rate-prior"]);
}

/// A prior that is trained for two steps.
fn prior() -> String {
    steps_of(crate::common::PRIOR, "", 2)
}

#[test]
fn a_finished_training_goes_on_and_says_what_has_changed() {
    let bench = bench();
    bench.good(&train("run", &[]));
    let idle = bench.good(&train("run", &["--resume"]));
    assert!(
        idle.stderr.contains("all 6 steps are done"),
        "{}",
        idle.stderr
    );
    let more = bench.good(&train("run", &["--resume", "--steps", "7", "--json"]));
    let value: Value = serde_json::from_str(&more.stdout).unwrap();
    assert_eq!(value["step"], 7);
    let changed = config().replace("max_iter = 6", "max_iter = 9");
    fs::write(
        bench.path("c.toml"),
        changed.replace("lr = 1e-3", "lr = 1e-4"),
    )
    .unwrap();
    let more = bench.good(&train("run", &["--resume"]));
    let said = more.stderr;
    assert!(
        said.contains("changed: optimizer.lr: 0.001 -> 0.0001"),
        "{said}"
    );
    assert!(
        said.contains("changed: optimizer.max_iter: 6 -> 9"),
        "{said}"
    );
    bench.picture("photos/c.png", 20, 20);
    let resume = train("run", &["--resume", "--steps", "10"]);
    bench.refused(
        &resume,
        &["other data (2 samples; here are 3", "--other-data"],
    );
    bench.good(&[&resume[..], &["--other-data"]].concat());
}

#[test]
fn the_second_training_in_a_folder_is_refused_and_a_kill_leaves_no_lock() {
    let bench = bench();
    let endless = config().replace("max_iter = 6", "max_iter = 1_000_000");
    fs::write(bench.path("c.toml"), endless + "[train]\nsave_freq = 2\n").unwrap();
    let mut child = bench
        .command(&train("run", &[]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    bench.refused(
        &train("run", &["--resume"]),
        &["another training is running", "run"],
    );
    let checkpoint = bench.path("run").join(FILE_NAME);
    while !checkpoint.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let steps = TrainingCheckpoint::read(checkpoint).unwrap().step + 1;
    let steps = steps.to_string();
    bench.good(&train("run", &["--resume", "--steps", &steps]));
}

#[test]
fn a_training_that_diverges_leaves_no_unusable_checkpoint() {
    let bench = bench();
    for lr in ["1e39", "1e4"] {
        let text = config().replace("lr = 1e-3", &format!("lr = {lr}"));
        fs::write(bench.path("c.toml"), text).unwrap();
        let ran = bench.run(&train(lr, &["--steps", "1"]));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("step 0"), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("no checkpoint was saved"),
            "{}",
            ran.stderr
        );
        assert!(!bench.path(lr).join(FILE_NAME).exists());
    }
}

#[test]
fn broken_pictures_are_named_and_counted() {
    let bench = bench();
    fs::write(bench.path("photos/bad.png"), "no picture").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("gone.png", bench.path("photos/link.png")).unwrap();
    let ran = bench.good(&train("run", &["--json"]));
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["broken_pictures"], 1);
    assert!(ran.stderr.contains("bad.png: not a"), "{}", ran.stderr);
    #[cfg(unix)]
    assert!(
        ran.stderr.contains("link.png: left out: a link that"),
        "{}",
        ran.stderr
    );
    for name in ["a.png", "b.png"] {
        fs::write(bench.path("photos").join(name), "").unwrap();
    }
    bench.refused(
        &train("other", &[]),
        &["none of its 3 pictures can be read"],
    );
}

/// Paths are bytes to the system, and JSON is text.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_whose_name_is_not_utf_8_is_shown_in_json() {
    use std::os::unix::ffi::OsStrExt;
    let bench = bench();
    let out = std::ffi::OsStr::from_bytes(b"l\xe4uft");
    let arguments = ["train", "c.toml", "--data", "photos", "--steps", "1"];
    let mut command = bench.command(&arguments);
    command.args(["--json", "--out"]).arg(out);
    let ran: crate::common::Ran = command.output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let shown = "l\u{fffd}uft/checkpoint.safetensors";
    assert!(value["checkpoint"].as_str().unwrap().ends_with(shown));
    assert!(bench.path("").join(out).join(FILE_NAME).exists());
}

#[test]
fn configurations_that_ship_are_trained_by_name() {
    let bench = bench();
    bench.refused(
        &["train", "nothing", "--data", "photos", "--out", "run"],
        &[
            "nothing: neither a file",
            "default, default_ms_ssim, default_clips, default-1, bsq36",
        ],
    );
    fs::create_dir(bench.path("empty")).unwrap();
    bench.refused(
        &["train", "prior", "--data", "empty", "--out", "run"],
        &["empty: no pictures"],
    );
    bench.refused(
        &["train", "default", "--data", "empty", "--out", "run"],
        &["empty: no pictures"],
    );
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
    assert!(said.contains("transform codec"), "{said}");
}

/// What is asked for on the command line is in the configuration of the training; keys without effect are said.
#[test]
fn a_training_in_bf16_is_one_in_its_configuration() {
    let bench = bench();
    let unused = config() + "[train]\nvis_freq = 5\n";
    fs::write(bench.path("c.toml"), unused).unwrap();
    let ran = bench.good(&train("run", &["--precision", "bf16", "--steps", "2"]));
    let line = "train.vis_freq is of no effect";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
    let written = fs::read_to_string(bench.path("run/config.toml")).unwrap();
    assert!(written.contains("precision = \"bf16\""), "{written}");
    let ran = bench.good(&train("run", &["--resume"]));
    let line = "changed: train.precision: \"bf16\" -> \"f32\"";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
}
