//! `bsq eval --samples`: how good generated pictures are.

use super::{Arguments, say_sets};
use crate::command::Verdict;
use crate::command::error::CliError;
use crate::command::output::Output;
use crate::command::progress::Progress;
use crate::evaluation::compare_samples;
use bsq_runtime::CompileOptions;
use serde_json::json;
use std::path::Path;

pub fn run(samples: &Path, arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let (Some(weights), Some(reference)) = (&arguments.inception, &arguments.reference) else {
        unreachable!("--samples requires --reference, which requires --inception");
    };
    let options = CompileOptions {
        threads: output.threads,
        device: arguments.device.open(output)?,
        ..CompileOptions::default()
    };
    let network = (weights.as_path(), arguments.convention.get());
    let mut bar: Option<Progress> = None;
    let mut progress = |done: usize, total: usize| {
        bar.get_or_insert_with(|| Progress::new("looking", "pictures", total))
            .set(done);
    };
    let (figures, [count, of_reference]) =
        compare_samples(samples, reference, network, &options, &mut progress)?;
    drop(bar);
    output.say(format_args!(
        "{count} samples, {of_reference} pictures of the reference"
    ))?;
    say_sets(&figures, arguments, output)?;
    output.value(&json!({
        "samples": samples.display().to_string(),
        "reference": reference.display().to_string(),
        "pictures": count,
        "reference_pictures": of_reference,
        "sets": figures,
    }))?;
    Ok(Verdict::Good)
}
