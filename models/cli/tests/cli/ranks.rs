//! Several processes, as torchrun starts them: by variables, and without an MPI.

use crate::common::{Bench, CONFIG, PRIOR, Ran};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const MODEL: [&str; 2] = ["--model", "model.safetensors"];

fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &MODEL[..]].concat()
}

/// So many processes, each with its number.
fn start(bench: &Bench, size: usize, arguments: &[&str]) -> Vec<Child> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let rank = |rank: usize| {
        let mut command: Command = bench.command(arguments);
        command.env("RANK", rank.to_string());
        command.env("WORLD_SIZE", size.to_string());
        command.env("MASTER_ADDR", "127.0.0.1");
        command.env("MASTER_PORT", port.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    (0..size).map(rank).collect()
}

/// What they leave.
fn run(bench: &Bench, size: usize, arguments: &[&str]) -> Vec<Ran> {
    let ends = |child: Child| Ran::from(child.wait_with_output().unwrap());
    start(bench, size, arguments)
        .into_iter()
        .map(ends)
        .collect()
}

/// That rank 0 says what one process does, and the others nothing.
fn compare(one: &Ran, ranks: &[Ran]) {
    assert_eq!(ranks[0].code, one.code, "{}", ranks[0].stderr);
    assert_eq!(ranks[0].stderr, one.stderr);
    assert_eq!(untimed(&ranks[0].stdout), untimed(&one.stdout));
    for other in &ranks[1..] {
        assert_eq!(
            (other.code, &*other.stdout, &*other.stderr),
            (Some(0), "", "")
        );
    }
}

/// Without what differs from run to run.
fn untimed(stdout: &str) -> String {
    let without = |value: &mut Value| {
        if let Value::Object(members) = value {
            members.retain(|name, _| !name.contains("seconds"));
            if let Some(Value::Array(images)) = members.get_mut("images") {
                for image in images {
                    let image = image.as_object_mut().unwrap();
                    image.retain(|name, _| !name.contains("seconds"));
                }
            }
        }
    };
    match serde_json::from_str(stdout) {
        Ok(mut value) => {
            without(&mut value);
            value.to_string()
        }
        Err(_) => stdout.to_string(),
    }
}

/// Five pictures, and one that is none.
fn photos(bench: &Bench) {
    fs::create_dir(bench.path("photos")).unwrap();
    for (number, name) in ["a", "b", "d", "e", "f"].iter().enumerate() {
        bench.picture(&format!("photos/{name}.png"), 40 - 3 * number, 30);
    }
    fs::write(bench.path("photos/c.png"), "nonsense").unwrap();
}

#[test]
fn a_folder_is_measured_as_by_one_process() {
    let bench = Bench::new();
    photos(&bench);
    let plain = with(&["eval", "--data", "photos"]);
    let json = [&plain[..], &["--json", "--html"]].concat();
    let one = [
        bench.good(&plain),
        bench.good(&[&json[..], &["one.html"]].concat()),
    ];
    assert!(one[0].stderr.contains("c.png"), "{}", one[0].stderr);
    for size in [2, 3, 7] {
        compare(&one[0], &run(&bench, size, &plain));
        let page = format!("{size}.html");
        compare(&one[1], &run(&bench, size, &[&json[..], &[&page]].concat()));
        assert!(bench.bytes(&page) == bench.bytes("one.html"));
    }
}

#[test]
fn files_are_coded_as_by_one_process() {
    let bench = Bench::new();
    photos(&bench);
    let files: Vec<String> = ["a", "b", "c", "d", "e", "f"]
        .map(|name| format!("photos/{name}.png"))
        .into();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let streams = ["a", "b", "d", "e", "f"].map(|name| format!("one/{name}.bsq"));
    let streams: Vec<&str> = streams.iter().map(String::as_str).collect();
    let encode = [&["encode", "--raw", "--json"], &files[..]].concat();
    let tokens = [&["tokens"], &files[..], &["-o"]].concat();
    let decode = [&["decode", "--json"], &streams[..]].concat();
    let reconstruct = [&["reconstruct", "--json"], &files[..]].concat();
    for (what, arguments) in [
        ("bsq", &encode),
        ("bsq.png", &decode),
        ("bsq.png", &reconstruct),
    ] {
        let into = |folder: &str| {
            with(&[&arguments[..], &["-o", folder]].concat())
                .into_iter()
                .map(String::from)
                .collect::<Vec<_>>()
        };
        let name = arguments[0];
        let folder = if name == "encode" {
            "one".to_string()
        } else {
            format!("{name}-one")
        };
        let spelled = into(&format!("{folder}/"));
        let spelled: Vec<&str> = spelled.iter().map(String::as_str).collect();
        let one = bench.run(&spelled);
        let is_bad = name != "decode";
        assert_eq!(one.code, Some(if is_bad { 2 } else { 0 }), "{}", one.stderr);
        assert_eq!(one.stderr.contains("c.png"), is_bad, "{}", one.stderr);
        let other = format!("{name}-3");
        let spelled = into(&format!("{other}/"));
        let spelled: Vec<&str> = spelled.iter().map(String::as_str).collect();
        let ranks = run(&bench, 3, &spelled);
        assert_eq!(ranks[0].stderr, one.stderr);
        let named = |ran: &Ran| untimed(&ran.stdout).replace(&other, &folder);
        assert_eq!(named(&ranks[0]), named(&one));
        for stem in ["a", "b", "d", "e", "f"] {
            let file = |folder: &str| bench.bytes(&format!("{folder}/{stem}.{what}"));
            assert!(file(&folder) == file(&other), "{name} {stem}");
        }
    }
    bench.run(&with(&[&tokens[..], &["one.safetensors"]].concat()));
    run(
        &bench,
        2,
        &with(&[&tokens[..], &["two.safetensors"]].concat()),
    );
    assert!(bench.bytes("one.safetensors") == bench.bytes("two.safetensors"));
}

/// A small training with more lines of its section [train].
fn training(bench: &Bench, more: &str) {
    let text = format!(
        "{CONFIG}\n[loss]\ncodebook_weight = 0.1\nperceptual_weight = 0.0\nskip_disc = true\n\
         [data]\nbatch_size = 2\n[optimizer]\nlr = 1e-3\nmax_iter = 6\ngrad_clip_norm = 0.5\n\
         [train]\nmicro_batches = 4\nsave_freq = 2\nuse_ema = true\n{more}\n"
    );
    fs::write(bench.path("c.toml"), text).unwrap();
    photos(bench);
    fs::remove_file(bench.path("photos/c.png")).unwrap();
}

/// Lines of the log that are of evaluations.
fn evaluations(bench: &Bench, out: &str) -> Vec<String> {
    let log = fs::read_to_string(bench.path(&format!("{out}/log.jsonl"))).unwrap();
    let lines = log.lines().filter(|line| line.contains("eval/"));
    lines.map(String::from).collect()
}

#[test]
fn a_training_its_evaluations_and_its_prior_have_the_bits_of_one_process() {
    let bench = Bench::new();
    training(&bench, "eval_freq = 2");
    let prior = format!(
        "{PRIOR}[data]\nbatch_size = 2\n[optimizer]\nlr = 1e-3\nmax_iter = 3\n[train]\nmicro_batches = 2\n"
    );
    fs::write(bench.path("prior.toml"), prior).unwrap();
    let train = |out: &'static str| {
        vec![
            "train",
            "c.toml",
            "--data",
            "photos",
            "--val",
            "photos",
            "--prior",
            "prior.toml",
            "--out",
            out,
        ]
    };
    bench.good(&train("one"));
    for (size, out) in [(2, "two"), (4, "four")] {
        let arguments = match size {
            // A prior's micro-batches are two.
            4 => train(out)
                .into_iter()
                .filter(|text| !text.contains("prior"))
                .collect(),
            _ => train(out),
        };
        let ranks = run(&bench, size, &arguments);
        for ran in &ranks {
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        }
        let mut files = vec!["checkpoint.safetensors", "best.safetensors"];
        if size == 2 {
            files.push("prior/checkpoint.safetensors");
        }
        for file in files {
            let of = |out: &str| bench.bytes(&format!("{out}/{file}"));
            assert!(of("one") == of(out), "{out}/{file}");
        }
        assert!(!evaluations(&bench, out).is_empty());
        assert_eq!(evaluations(&bench, out), evaluations(&bench, "one"));
    }
}

/// A process is killed: the others end within seconds, one of them says which one it was, and the training
/// goes on with another number.
#[test]
fn a_killed_process_ends_the_others_and_is_named() {
    let bench = Bench::new();
    training(&bench, "");
    let train = ["train", "c.toml", "--data", "photos", "--out", "run"];
    let mut running = start(&bench, 4, &[&train[..], &["--steps", "100000"]].concat());
    let (file, begun) = (bench.path("run/checkpoint.safetensors"), Instant::now());
    while !file.exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint");
        sleep(Duration::from_millis(20));
    }
    running[2].kill().unwrap();
    let begun = Instant::now();
    let ran: Vec<Ran> = running
        .into_iter()
        .map(|child| Ran::from(child.wait_with_output().unwrap()))
        .collect();
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    let said: Vec<&str> = ran
        .iter()
        .flat_map(|ran| ran.stderr.lines())
        .filter(|line| line.starts_with("bsq: "))
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("rank 2 has ended") && said[0].contains("--resume"),
        "{said:?}"
    );
    let saved = bsq::train::TrainingCheckpoint::read(&file).unwrap().step;
    let steps = (saved + 2).to_string();
    for ran in run(
        &bench,
        2,
        &[&train[..], &["--resume", "--steps", &steps]].concat(),
    ) {
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
}

#[test]
fn what_a_process_is_not_told_is_said() {
    let bench = Bench::new();
    photos(&bench);
    let arguments = with(&["eval", "--data", "photos"]);
    let told = |variables: &[(&str, &str)]| {
        let mut command = bench.command(&arguments);
        command.envs(variables.iter().copied());
        Ran::from(command.output().unwrap())
    };
    for (variables, words) in [
        (&[("WORLD_SIZE", "2")][..], "MASTER_ADDR and MASTER_PORT"),
        (
            &[
                ("WORLD_SIZE", "2"),
                ("MASTER_ADDR", "localhost"),
                ("MASTER_PORT", "1"),
            ],
            "RANK does not say which",
        ),
        (
            &[
                ("WORLD_SIZE", "2"),
                ("RANK", "0"),
                ("MASTER_ADDR", "localhost"),
                ("MASTER_PORT", "x"),
            ],
            "no port",
        ),
    ] {
        let ran = told(variables);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
    let alone = told(&[("WORLD_SIZE", "1"), ("RANK", "0")]);
    assert_eq!(alone.code, Some(0), "{}", alone.stderr);
}
