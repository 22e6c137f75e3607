//! The process that checks programs, and the one that watches it.
//!
//! A worker says `at SEED` before each program and `find NAME` for each that fails. If it ends or
//! falls silent, the program that it was at is a find, and another goes on behind it.

use crate::arguments::Arguments;
use bsq_tests::programs::file;
use bsq_tests::programs::search::signature;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A program that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Panics at one place are shrunk this often.
const SHRUNK: usize = 2;

/// Checks programs one after another.
pub fn work(arguments: &Arguments) {
    let search = &arguments.search;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for seed in arguments.seed..arguments.seed + arguments.programs {
        say(&format!("at {seed}"));
        let program = match search.program(seed) {
            Ok(program) => program,
            Err(panic) => {
                let place = panic.lines().next().unwrap_or_default();
                let name = format!("building-{}", place.replace([':', '/', '.', ' '], "-"));
                keep(arguments, &name, &format!("# seed {seed}\n# {panic}\n"));
                continue;
            }
        };
        let Some(failure) = search.failure(&program, seed) else {
            continue;
        };
        let early = signature(&program, &failure);
        if failure.kind().starts_with("panic at") {
            let count = seen.entry(early.clone()).or_default();
            *count += 1;
            if *count > SHRUNK {
                say(&format!("find {early}"));
                continue;
            }
        }
        let find = search.shrunk(&program, &failure);
        keep(arguments, &find.signature, &find.text(seed));
    }
}

/// Writes a find unless there is one of its name.
fn keep(arguments: &Arguments, name: &str, text: &str) {
    let path = arguments.finds.join(format!("{name}.txt"));
    if !path.exists() {
        std::fs::write(path, text).expect("a find can be written");
    }
    say(&format!("find {name}"));
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let said = writeln!(out, "{line}").and_then(|()| out.flush());
    said.expect("somebody listens");
}

struct Worker {
    process: Child,
    lines: Receiver<String>,
}

fn start(seed: u64, programs: u64) -> Worker {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(std::env::args().skip(1)).arg("--work");
    command.args(["--seed", &seed.to_string()]);
    command.args(["--programs", &programs.to_string()]);
    let mut process = command.stdout(Stdio::piped()).spawn().expect("a process");
    let out = process.stdout.take().expect("its output is piped");
    let (send, lines) = channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        lines.all(|line| send.send(line).is_ok())
    });
    Worker { process, lines }
}

/// Has all programs checked, and says what was found.
pub fn watch(arguments: &Arguments) -> ExitCode {
    std::fs::create_dir_all(&arguments.finds).expect("a folder for finds");
    let end = arguments.seed + arguments.programs;
    let mut next = arguments.seed;
    let mut finds: BTreeMap<String, usize> = BTreeMap::new();
    let (begin, mut reported) = (Instant::now(), Instant::now());
    while next < end {
        let mut worker = start(next, end - next);
        let mut at = next;
        let hung = loop {
            match worker.lines.recv_timeout(PATIENCE) {
                Ok(line) => match line.split_once(' ') {
                    Some(("at", seed)) => at = seed.parse().expect("a seed"),
                    Some(("find", name)) => found(&mut finds, name, at),
                    _ => {}
                },
                Err(RecvTimeoutError::Timeout) => break true,
                Err(RecvTimeoutError::Disconnected) => break false,
            }
            if reported.elapsed() > Duration::from_secs(30) {
                reported = Instant::now();
                let done = at - arguments.seed;
                let rate = done as f64 / begin.elapsed().as_secs_f64();
                println!("{done} programs, {rate:.0} a second");
            }
        };
        if hung {
            worker.process.kill().expect("a process to end");
        }
        let status = worker.process.wait().expect("a process that ended");
        if !hung && status.success() {
            break;
        }
        let what = if hung { "hang" } else { "crash" };
        found(&mut finds, &format!("{what}-{at}"), at);
        if let Ok(program) = arguments.search.program(at) {
            let text = file::print(&program, &format!("seed {at}: {what}, {status}"));
            let path = arguments.finds.join(format!("{what}-{at}.txt"));
            std::fs::write(path, text).expect("a find can be written");
        }
        next = at + 1;
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{} programs in {seconds:.0} s", arguments.programs);
    for (name, count) in &finds {
        println!("{count:6} {name}");
    }
    ExitCode::from(u8::from(!finds.is_empty()))
}

fn found(finds: &mut BTreeMap<String, usize>, name: &str, seed: u64) {
    let count = finds.entry(name.to_string()).or_default();
    *count += 1;
    if *count == 1 {
        println!("new: {name} (seed {seed})");
    }
}
