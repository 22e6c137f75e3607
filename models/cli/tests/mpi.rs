//! Trainings of several processes, started by `mpirun` on this machine.

#[allow(dead_code)]
#[path = "cli/common.rs"]
mod common;

use bsq::train::{FILE_NAME, TrainingCheckpoint};
use common::{Bench, Ran};
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A tokenizer of 16x16 pictures with clipped gradients, with more lines of the loss.
fn config(loss: &str) -> String {
    format!(
        "{}\n[loss]\ncodebook_weight = 0.1\nperceptual_weight = 0.0\n{loss}\n[data]\nbatch_size = 2\n\
         [optimizer]\nlr = 1e-3\nmax_iter = 6\ngrad_clip_norm = 0.5\n\
         [train]\nmicro_batches = 4\nsave_freq = 2\nuse_ema = true\n",
        common::CONFIG
    )
}

fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("c.toml"), config("skip_disc = true")).unwrap();
    for class in ["cat", "dog"] {
        fs::create_dir_all(bench.path(&format!("photos/{class}"))).unwrap();
        bench.picture(&format!("photos/{class}/a.png"), 40, 30);
        bench.picture(&format!("photos/{class}/b.png"), 30, 40);
    }
    bench
}

fn mpirun(bench: &Bench) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "--allow-run-as-root"]);
    command.args([
        "--mca",
        "btl",
        "self,vader,tcp",
        "--mca",
        "btl_tcp_if_include",
        "lo",
    ]);
    command.current_dir(bench.path("."));
    command
}

/// The command on so many ranks.
fn ranks(bench: &Bench, size: usize, arguments: &[&str]) -> Ran {
    let mut command = mpirun(bench);
    command.args(["-n", &size.to_string(), env!("CARGO_BIN_EXE_bsq")]);
    Ran::from(command.args(arguments).output().unwrap())
}

fn train<'a>(config: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own = ["train", config, "--data", "photos", "--out", out];
    [&own[..], more].concat()
}

fn checkpoint(bench: &Bench, out: &str) -> Vec<u8> {
    bench.bytes(&format!("{out}/{FILE_NAME}"))
}

/// The bytes of one process, and those of 2 and 4, are the same.
fn compare(bench: &Bench, config: &str, more: &[&str]) {
    bench.good(&train(config, "one", more));
    for size in [2, 4] {
        let out = format!("on-{size}");
        // Of four each keeps a share of the optimizer's state.
        let shards: &[&str] = if size == 4 {
            &["--shard-optimizer"]
        } else {
            &[]
        };
        let ran = ranks(bench, size, &train(config, &out, &[more, shards].concat()));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        // One rank speaks.
        assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
        assert!(checkpoint(bench, "one") == checkpoint(bench, &out), "{out}");
    }
}

#[test]
fn a_tokenizer_has_the_bytes_of_one_process() {
    let bench = bench();
    compare(&bench, "c.toml", &[]);
    // It goes on with another number of ranks, too.
    for (size, steps) in [(4, "2"), (1, "3"), (2, "6")] {
        let resume: &[&str] = if steps == "2" { &[] } else { &["--resume"] };
        let arguments = train("c.toml", "parts", &[resume, &["--steps", steps]].concat());
        let ran = ranks(&bench, size, &arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    assert!(checkpoint(&bench, "one") == checkpoint(&bench, "parts"));
}

#[test]
fn a_step_against_a_discriminator_has_the_bytes_of_one_process() {
    let bench = bench();
    let loss = "disc_type = \"stylegan\"\ndisc_input_size = 16\ndisc_channel_base = 64\n\
        disc_loss = \"vanilla\"\ndisc_weight = 0.1\ndisc_reg_freq = 2";
    fs::write(bench.path("gan.toml"), config(loss)).unwrap();
    compare(&bench, "gan.toml", &["--steps", "3"]);
}

#[test]
fn an_entropy_over_the_step_has_the_bytes_of_one_process() {
    let bench = bench();
    let loss = "skip_disc = true\nentropy_over = \"step\"";
    fs::write(bench.path("entropy.toml"), config(loss)).unwrap();
    compare(&bench, "entropy.toml", &["--steps", "3"]);
    bench.good(&train("c.toml", "local", &["--steps", "3"]));
    let local = checkpoint(&bench, "local");
    assert!(
        checkpoint(&bench, "one") != local,
        "of micro-batches it is another"
    );
}

#[test]
fn a_masked_language_model_has_the_bytes_of_one_process() {
    let bench = bench();
    let text = "[masked_lm]\nwidth = 16\nlayers = 1\nheads = 2\n[data]\nbatch_size = 2\n\
        [optimizer]\nlr = 1e-3\nmax_iter = 4\n[train]\nmicro_batches = 4\n";
    fs::write(bench.path("lm.toml"), text).unwrap();
    compare(&bench, "lm.toml", &["--model", "model.safetensors"]);
}

#[test]
fn ranks_on_different_instructions_agree() {
    let bench = bench();
    bench.good(&train("c.toml", "one", &[]));
    let mut command = mpirun(&bench);
    let arguments = train("c.toml", "two", &[]);
    let own = |command: &mut Command, cpu: &str| {
        command.args([
            "-n",
            "1",
            "-x",
            &format!("BSQ_CPU={cpu}"),
            env!("CARGO_BIN_EXE_bsq"),
        ]);
        command.args(&arguments);
    };
    own(&mut command, "avx2");
    command.arg(":");
    own(&mut command, "portable");
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(checkpoint(&bench, "one") == checkpoint(&bench, "two"));
}

#[test]
fn without_a_word_each_rank_has_a_micro_batch() {
    let bench = bench();
    let text = config("skip_disc = true").replace("micro_batches = 4\n", "");
    fs::write(bench.path("plain.toml"), text).unwrap();
    let ran = ranks(&bench, 2, &train("plain.toml", "run", &["--steps", "2"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let saved = TrainingCheckpoint::read(bench.path("run").join(FILE_NAME)).unwrap();
    assert!(
        saved.settings.contains("micro_batches = 2"),
        "{}",
        saved.settings
    );
    // One process goes on with as many.
    bench.good(&train("plain.toml", "run", &["--resume"]));
    let straight = ranks(&bench, 2, &train("plain.toml", "straight", &[]));
    assert_eq!(straight.code, Some(0), "{}", straight.stderr);
    assert!(checkpoint(&bench, "run") == checkpoint(&bench, "straight"));
}

#[test]
fn what_is_wrong_is_said_once() {
    let bench = bench();
    let of = |size, more: &[&str]| {
        let ran = ranks(&bench, size, &train("c.toml", "run", more));
        assert_ne!(ran.code, Some(0));
        let own = ran.stderr.lines().filter(|line| line.starts_with("bsq: "));
        own.map(String::from).collect::<Vec<_>>()
    };
    let lines = of(2, &["--resume"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("nothing to resume"), "{lines:?}");
    let lines = of(3, &[]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("4 micro-batches cannot be shared by 3 ranks"),
        "{lines:?}"
    );
    assert!(!bench.path("run").join(FILE_NAME).exists());
}

#[test]
fn a_folder_is_measured_as_by_one_process() {
    let bench = bench();
    fs::write(bench.path("photos/cat/c.png"), "nonsense").unwrap();
    let model = ["--model", "model.safetensors"];
    let arguments = [&["eval", "--data", "photos", "--json"], &model[..]].concat();
    let one = bench.good(&arguments);
    let ran = ranks(&bench, 3, &arguments);
    assert_eq!(
        (ran.code, &ran.stdout),
        (Some(0), &one.stdout),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains(one.stderr.trim()), "{}", ran.stderr);
}

/// A rank is killed: the others end within seconds, the checkpoint is whole, and the training goes on
/// from it to the bits of one that was not killed, on another number of ranks.
#[test]
fn a_killed_rank_ends_the_others_and_the_training_goes_on() {
    let bench = bench();
    let mut command = mpirun(&bench);
    // Each rank leaves its process's number, and what it says: mpirun need not pass on what ranks say that it
    // ends. On a busy machine they have three seconds to speak before they are killed, not one.
    command.args(["--mca", "odls_base_sigkill_timeout", "3"]);
    let shell =
        "echo $$ > pid.$OMPI_COMM_WORLD_RANK; exec \"$0\" \"$@\" 2> said.$OMPI_COMM_WORLD_RANK";
    command.args(["-n", "4", "sh", "-c", shell, env!("CARGO_BIN_EXE_bsq")]);
    command.args(train("c.toml", "killed", &["--steps", "100000"]));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let file = bench.path("killed").join(FILE_NAME);
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint");
        assert!(running.try_wait().unwrap().is_none(), "it ended by itself");
        sleep(Duration::from_millis(20));
    }
    let pid = |rank: usize| fs::read_to_string(bench.path(&format!("pid.{rank}"))).unwrap();
    let killed = Command::new("kill").args(["-KILL", pid(2).trim()]).status();
    assert!(killed.unwrap().success());
    let begun = Instant::now();
    let ran = Ran::from(running.wait_with_output().unwrap());
    let is_there = |rank: usize| {
        let found = Command::new("kill").args(["-0", pid(rank).trim()]).output();
        found.unwrap().status.success()
    };
    while (0..4).any(is_there) && begun.elapsed() < Duration::from_secs(10) {
        sleep(Duration::from_millis(20));
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    println!("the others ended within {took:?}");
    assert_ne!(ran.code, Some(0));
    let said = (0..4).map(|rank| fs::read_to_string(bench.path(&format!("said.{rank}"))).unwrap());
    let said: String = said.collect();
    let own: Vec<_> = said.lines().filter(|l| l.starts_with("bsq: ")).collect();
    assert_eq!(own.len(), 1, "{said}{}", ran.stderr);
    assert!(
        own[0].contains("another rank has ended") && own[0].contains("--resume"),
        "{own:?}"
    );
    let step = TrainingCheckpoint::read(&file).unwrap().step;
    let steps = (step + 4).to_string();
    let resumed = ranks(
        &bench,
        2,
        &train("c.toml", "killed", &["--resume", "--steps", &steps]),
    );
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    bench.good(&train("c.toml", "straight", &["--steps", &steps]));
    assert!(checkpoint(&bench, "killed") == checkpoint(&bench, "straight"));
}
