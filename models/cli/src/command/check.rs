//! `bsq check`: this implementation against recorded cases of another.

use super::Verdict;
use super::error::CliError;
use super::output::Output;
use super::progress::Progress;
use crate::check::{CaseReport, CheckError, Comparison, check};
use bsq_runtime::CompileOptions;
use bsq_runtime::executor::Compiler;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Compares this implementation with recorded cases of another one, tensor by tensor.
#[derive(Args)]
#[command(long_about = "\
Compares this implementation with recorded cases of another one, tensor by tensor.

A case is CASE.json, a configuration with scalars, and the recorded weights, inputs and results \
beside it as CASE.weights.safetensors and CASE.io.safetensors. The case is compiled and run; every \
recorded tensor is printed with its error and the largest error that passes. Cases with real weights \
that are not at hand are skipped, with the name of the file, and count neither as passed nor as failed.

A file that cannot be read or is no such case does not keep the others from being checked. The exit \
code is then 2; it is 1 if any tensor is off.")]
#[command(after_long_help = "\
Examples:
  bsq check parity/b36_gs1_analytical.json
  bsq check parity/*.json --json > report.json")]
pub struct Arguments {
    /// Descriptions of recorded cases
    #[arg(required = true, value_name = "CASE.json")]
    cases: Vec<PathBuf>,

    /// Folder of real weights that cases name, LPIPS's networks and I3D [default: BSQ_WEIGHTS, and
    /// the folder of the case]
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let options = CompileOptions {
        threads: output.threads,
        ..CompileOptions::default()
    };
    let compiler = Compiler { options };
    let progress = Progress::new("checking", "cases", arguments.cases.len());
    let weights = arguments
        .weights
        .or_else(|| std::env::var_os("BSQ_WEIGHTS").map(PathBuf::from));
    let mut entries = Vec::new();
    for (number, path) in arguments.cases.iter().enumerate() {
        progress.set(number);
        let entry = match check(path, weights.as_deref(), &compiler) {
            Ok(report) => Entry::Checked(report),
            Err(error @ CheckError::NoWeights { .. }) => Entry::skipped(path, &error),
            Err(error) => Entry::failed(path, &error),
        };
        entries.push(entry);
    }
    drop(progress);
    if let Some(last) = refusals(&entries) {
        let before = entries.len() - 1;
        entries[..before]
            .iter()
            .try_for_each(|entry| entry.say(output))?;
        return Err(CliError::new(last));
    }
    for entry in &entries {
        entry.say(output)?;
    }
    let count = |wanted: Outcome| {
        entries
            .iter()
            .filter(|entry| entry.outcome() == wanted)
            .count()
    };
    let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
    let (skipped, errors) = (count(Outcome::Skipped), count(Outcome::Error));
    let mut summary = format!("{passed} passed, {failed} failed");
    if skipped > 0 {
        summary += &format!(", {skipped} skipped");
    }
    if errors > 0 {
        summary += &format!(", {errors} not read");
    }
    output.say(summary)?;
    output.value(&json!({
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
        "errors": errors,
        "cases": entries.iter().map(Entry::json).collect::<Vec<Value>>(),
    }))?;
    match (errors, failed) {
        (0, 0) => Ok(Verdict::Good),
        (0, _) => Ok(Verdict::CheckFailed),
        _ => Err(CliError::Reported),
    }
}

/// The last message, if there is nothing but messages to say.
fn refusals(entries: &[Entry]) -> Option<&str> {
    let mut last = None;
    for entry in entries {
        match entry {
            Entry::Error { message } => last = Some(message.as_str()),
            Entry::Checked(_) | Entry::Skipped { .. } => return None,
        }
    }
    last
}

/// What became of a file.
enum Entry {
    Checked(CaseReport),
    /// Real weights are not at hand.
    Skipped {
        name: String,
        reason: String,
    },
    /// It is no case, or cannot be run.
    Error {
        message: String,
    },
}

impl Entry {
    fn skipped(path: &Path, error: &CheckError) -> Entry {
        Entry::Skipped {
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            reason: error.to_string(),
        }
    }

    fn failed(path: &Path, error: &CheckError) -> Entry {
        let (name, message) = (path.display().to_string(), error.to_string());
        // Some errors name the file themselves.
        let message = match message.starts_with(&*name) {
            true => message,
            false => format!("{name}: {message}"),
        };
        Entry::Error { message }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Entry::Checked(report) => Outcome::of(report),
            Entry::Skipped { .. } => Outcome::Skipped,
            Entry::Error { .. } => Outcome::Error,
        }
    }

    fn say(&self, output: &Output) -> Result<(), CliError> {
        match self {
            Entry::Checked(report) => say_case(report, output),
            Entry::Skipped { name, reason } => {
                output.say(format_args!("{name}: {}: {reason}", self.outcome().words()))
            }
            Entry::Error { message } => {
                output.failure(message);
                Ok(())
            }
        }
    }

    fn json(&self) -> Value {
        let outcome = self.outcome();
        match self {
            Entry::Checked(report) => case_json(report),
            Entry::Skipped { name, reason } => {
                json!({ "name": name, "outcome": outcome, "reason": reason })
            }
            Entry::Error { message } => json!({ "outcome": outcome, "reason": message }),
        }
    }
}

/// What became of a case.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Passed,
    Failed,
    Skipped,
    Error,
}

impl Outcome {
    fn words(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "skipped",
            Outcome::Error => "not read",
        }
    }

    fn of(report: &CaseReport) -> Outcome {
        match report.passes() {
            true => Outcome::Passed,
            false => Outcome::Failed,
        }
    }
}

fn say_case(report: &CaseReport, output: &Output) -> Result<(), CliError> {
    let CaseReport {
        name,
        kind,
        comparisons,
    } = report;
    let outcome = Outcome::of(report).words();
    output.say(format_args!(
        "{name} ({kind}, {} tensors): {outcome}",
        comparisons.len()
    ))?;
    let width = comparisons.iter().map(|c| c.name.len()).max().unwrap_or(0);
    for comparison in comparisons {
        let Comparison {
            name, error, limit, ..
        } = comparison;
        let mark = match comparison.passes() {
            true => "",
            false => "  OFF",
        };
        output.say(format_args!(
            "  {name:width$}  {error:9.2e}  of {limit:.1e} {}{mark}",
            measure(comparison)
        ))?;
    }
    Ok(())
}

/// What the error is, in words.
fn measure(comparison: &Comparison) -> String {
    let value = serde_json::to_value(comparison.measure).unwrap_or(Value::Null);
    value.as_str().unwrap_or_default().replace('_', " ")
}

fn case_json(report: &CaseReport) -> Value {
    let mut value = serde_json::to_value(report).unwrap_or(Value::Null);
    if let Some(object) = value.as_object_mut() {
        object.insert("outcome".to_string(), json!(Outcome::of(report)));
        let worst = report.worst().map(|worst| worst.name.clone());
        object.insert("worst".to_string(), json!(worst));
    }
    value
}
