//! `-` in the place of a file: standard input and standard output.

use super::error::{CliError, Context};
use super::output::Output;
use bsq_collectives::Ranks;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Files that stand for standard input and output while a command runs.
pub struct Standard {
    _folder: TempDir,
    /// What goes to standard output in the end.
    result: Option<PathBuf>,
}

/// Puts files in the place of `-`: for an input one that holds all of standard input, for the output one
/// named `result` that [`around`] prints in the end. An input `-` without an output goes to
/// standard output. `None` if there is no `-`.
pub fn take(
    inputs: &mut [PathBuf],
    given: &mut Option<PathBuf>,
    result: &str,
    ranks: &Ranks,
    output: &Output,
) -> Result<Option<Standard>, CliError> {
    let is_standard = |path: &Path| path.as_os_str() == "-";
    let of_input = inputs.iter().filter(|path| is_standard(path)).count();
    let is_output = match given {
        Some(path) => is_standard(path),
        None => of_input > 0,
    };
    if of_input == 0 && !is_output {
        return Ok(None);
    }
    if ranks.are_several() {
        let message = "standard input and output (-) are for a process alone: name files";
        return Err(CliError::new(message));
    }
    let several = "standard input or output (-) is one file: give it alone";
    if inputs.len() > 1 {
        return Err(CliError::new(several));
    }
    if is_output && output.is_json() {
        let message = "--json prints on standard output too: name a file with -o";
        return Err(CliError::new(message));
    }
    if is_output && io::stdout().is_terminal() {
        let message = "standard output is a terminal, which shows no such file: name one with -o";
        return Err(CliError::new(message));
    }
    let folder = tempfile::tempdir().in_("a temporary folder")?;
    if of_input > 0 {
        let path = folder.path().join("standard input");
        let mut file = File::create(&path).in_(path.display())?;
        io::copy(&mut io::stdin().lock(), &mut file).in_("standard input")?;
        inputs[0] = path;
    }
    let result = is_output.then(|| folder.path().join(result));
    if let Some(path) = &result {
        *given = Some(path.clone());
    }
    let standard = Standard {
        _folder: folder,
        result,
    };
    Ok(Some(standard))
}

/// Does a command's work, which speaks elsewhere where its result goes to standard output, and prints that.
pub fn around<T>(
    standard: Option<Standard>,
    output: &Output,
    run: impl FnOnce(&Output) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let Some(result) = standard
        .as_ref()
        .and_then(|standard| standard.result.as_deref())
    else {
        return run(output);
    };
    let done = run(&output.aside())?;
    let mut file = File::open(result).in_("standard output")?;
    match io::copy(&mut file, &mut io::stdout().lock()) {
        Ok(_) => Ok(done),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(CliError::BrokenPipe),
        Err(error) => Err(CliError::Output(format!("standard output: {error}"))),
    }
}
