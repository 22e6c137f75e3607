//! How a program of ours takes turns with peers: commands on standard input, each answered with a line of
//! JSON. `benches/peers/turns.py` asks, and `benches/peers/worker.py` is the same for peers.
//!
//! | command | answer |
//! |---|---|
//! | `run` | `{"seconds": .., "cpu_seconds": ..}` of one run, by the clock and of all threads |
//! | `save FILE` | writes the results of the last run as safetensors |
//! | `quit` | `{"peak_bytes": ..}`, the most memory that the process has had |
//!
//! What else a program understands it answers in [`Served::answer`].

use super::program::Tensors;
use bsq_runtime::checkpoint::safetensors;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;
use std::time::Instant;

/// Work that is done when it is asked for.
pub trait Served {
    /// Does it once.
    fn run(&mut self) -> Result<(), Box<dyn Error>>;

    /// What the last run computed, by name.
    fn results(&self) -> Result<Tensors, Box<dyn Error>>;

    /// The answer to another command, if it is one.
    fn answer(&mut self, _command: &str) -> Result<Option<Value>, Box<dyn Error>> {
        Ok(None)
    }

    /// The most memory that the work has taken, where the system tells.
    fn peak_bytes(&self) -> Option<u64> {
        peak_bytes()
    }
}

/// Says that `served` is ready, with what is known `about` it, and answers until it is told to quit.
///
/// # Errors
/// If a command is unknown, or what it asks for fails.
pub fn serve(mut served: impl Served, mut about: Value) -> Result<(), Box<dyn Error>> {
    about["ready"] = json!(true);
    about["version"] = json!(concat!("bsq ", env!("CARGO_PKG_VERSION")));
    say(&about)?;
    for line in stdin().lock().lines() {
        let line = line?;
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match command {
            "run" => {
                let (start, cpu_start) = (Instant::now(), cpu_seconds());
                served.run()?;
                let seconds = start.elapsed().as_secs_f64();
                let cpu_seconds = cpu_seconds().zip(cpu_start).map(|(end, start)| end - start);
                json!({ "seconds": seconds, "cpu_seconds": cpu_seconds })
            }
            "save" => {
                safetensors::save(Path::new(rest), &served.results()?, &BTreeMap::new())?;
                json!({ "saved": rest })
            }
            "quit" => break,
            other => served
                .answer(other)?
                .ok_or_else(|| format!("{other}: no such command"))?,
        };
        say(&answer)?;
    }
    say(&json!({ "peak_bytes": served.peak_bytes() }))
}

fn say(value: &Value) -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

/// What all threads of this process have run so far, where the system tells.
fn cpu_seconds() -> Option<f64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let of_task = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    let nanoseconds: u64 = tasks.map(of_task).sum::<Option<u64>>()?;
    Some(nanoseconds as f64 / 1e9)
}

/// The most memory that this process has had, where the system tells.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
