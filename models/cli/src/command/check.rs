//! `bsq check`: this implementation against recorded cases of another.

use super::Verdict;
use super::error::{CliError, Context};
use super::output::Output;
use super::progress::Progress;
use crate::check::{CaseReport, Comparison, check};
use bsq_runtime::CompileOptions;
use bsq_runtime::executor::Compiler;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Compares this implementation with recorded cases of another one, tensor by tensor.
#[derive(Args)]
#[command(long_about = "\
Compares this implementation with recorded cases of another one, tensor by tensor.

A case is CASE.json, a configuration with scalars, and the recorded weights, inputs and results \
beside it as CASE.weights.safetensors and CASE.io.safetensors. The case is compiled and run; every \
recorded tensor is printed with its error and the largest error that passes. Cases of kinds that \
are not supported yet are listed as such and count neither as passed nor as failed.

The exit code is 1 if any tensor is off.")]
#[command(after_long_help = "\
Examples:
  bsq check parity/b36_gs1_analytical.json
  bsq check parity/*.json --json > report.json")]
pub struct Arguments {
    /// Descriptions of recorded cases
    #[arg(required = true, value_name = "CASE.json")]
    cases: Vec<PathBuf>,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let options = CompileOptions {
        threads: output.threads,
        ..CompileOptions::default()
    };
    let compiler = Compiler { options };
    let progress = Progress::new("checking", "cases", arguments.cases.len());
    let mut reports = Vec::new();
    for (number, path) in arguments.cases.iter().enumerate() {
        progress.set(number);
        let name = path.display().to_string();
        let report = check(path, &compiler).map_err(|error| {
            // Some errors name the file themselves.
            let message = error.to_string();
            match message.starts_with(&*name) {
                true => CliError::new(message),
                false => CliError::new(format_args!("{name}: {message}")),
            }
        })?;
        reports.push(report);
    }
    drop(progress);
    let count = |wanted: Outcome| reports.iter().filter(|r| Outcome::of(r) == wanted).count();
    let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
    let unsupported = count(Outcome::NotSupported);
    for report in &reports {
        say_case(report, output).in_(&report.name)?;
    }
    output.say(format_args!(
        "{passed} passed, {failed} failed, {unsupported} not supported yet"
    ))?;
    output.value(&json!({
        "passed": passed,
        "failed": failed,
        "not_supported": unsupported,
        "cases": reports.iter().map(case_json).collect::<Vec<Value>>(),
    }))?;
    Ok(match failed {
        0 => Verdict::Good,
        _ => Verdict::CheckFailed,
    })
}

/// What became of a case.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Passed,
    Failed,
    NotSupported,
}

impl Outcome {
    fn of(report: &CaseReport) -> Outcome {
        match (report.is_supported(), report.passes()) {
            (false, _) => Outcome::NotSupported,
            (true, true) => Outcome::Passed,
            (true, false) => Outcome::Failed,
        }
    }
}

fn say_case(report: &CaseReport, output: &Output) -> Result<(), CliError> {
    let CaseReport {
        name,
        kind,
        comparisons,
    } = report;
    let outcome = match Outcome::of(report) {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::NotSupported => "not supported yet",
    };
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
