//! Checks random programs, as many as are wanted, and keeps what fails; see `tests/README.md`.
//!
//!     cargo run -p bsq-tests --example fuzz_programs -- --programs 200000 --seed 1

mod arguments;
mod worker;

use arguments::{Task, arguments};
use bsq_tests::programs::shrink::shrink;
use bsq_tests::programs::{Program, Way, check, file};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match &arguments.task {
        Task::Search => return worker::watch(&arguments),
        Task::Work => worker::work(&arguments),
        Task::Replay(path) => return replay(path),
        Task::Shrink(path) => shrink_crash(path),
        Task::Print(seed) => match arguments.search.program(*seed) {
            Ok(program) => print!("{}", file::print(&program, "")),
            Err(panic) => println!("{panic}"),
        },
    }
    ExitCode::SUCCESS
}

fn read(path: &Path) -> Program {
    let text = std::fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Checks one program in every way; says which before it starts, since it may be the last word.
fn replay(path: &Path) -> ExitCode {
    let program = read(path);
    let mut failed = false;
    for way in Way::all() {
        println!("{way}");
        if let Err(failure) = check(&program, way) {
            println!("{}\n", failure.what);
            failed = true;
        }
    }
    ExitCode::from(u8::from(failed))
}

/// Shrinks a program that ends its process or hangs: each candidate has a process.
fn shrink_crash(path: &Path) {
    let program = read(path);
    let candidate = path.with_extension("candidate");
    let fails = |program: &Program| {
        std::fs::write(&candidate, file::print(program, "")).expect("a file can be written");
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.arg("--replay").arg(&candidate);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("a process");
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            if let Some(status) = process.try_wait().expect("a process") {
                return status.code().is_none();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let ended = process.kill().and_then(|()| process.wait());
        ended.expect("a process to end");
        true
    };
    let small = shrink(&program, 3000, fails);
    std::fs::remove_file(&candidate).expect("the last candidate");
    let comment = format!("{}: ends its process or hangs", path.display());
    let text = file::print(&small, &comment);
    std::fs::write(path.with_extension("shrunk.txt"), &text).expect("a file can be written");
    print!("{text}");
}
