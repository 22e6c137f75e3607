//! What became of the files of a command that takes several: one that fails does not keep the
//! others from being done, and all that failed are named at the end.

use super::Verdict;
use super::error::CliError;
use super::output::Output;
use serde_json::{Value, json};
use std::path::Path;

/// The files that failed so far.
#[derive(Debug, Default)]
pub struct Failures {
    failed: Vec<(String, String)>,
}

impl Failures {
    /// What was made of a file; `None` if it failed, which is noted.
    ///
    /// # Errors
    /// If nobody reads the output any more.
    pub fn keep<T>(
        &mut self,
        file: &Path,
        result: Result<T, CliError>,
    ) -> Result<Option<T>, CliError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(CliError::Message(message)) => {
                let name = file.display().to_string();
                // Most messages begin with the file already.
                let message = match message.starts_with(&name) {
                    true => message,
                    false => format!("{name}: {message}"),
                };
                self.failed.push((name, message));
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// The first of them, with its reason.
    #[cfg(test)]
    pub fn first(&self) -> Option<&str> {
        self.failed.first().map(|(_, message)| message.as_str())
    }

    /// Says at the end of a command what failed, each file with its reason; `value` is what the
    /// others came to.
    ///
    /// # Errors
    /// If anything failed, or nobody reads the output.
    pub fn finish(
        self,
        output: &Output,
        mut value: Value,
        verdict: Verdict,
    ) -> Result<Verdict, CliError> {
        if self.failed.is_empty() {
            output.value(&value)?;
            return Ok(verdict);
        }
        let messages: Vec<&str> = self.failed.iter().map(|(_, text)| text.as_str()).collect();
        value["error"] = json!(messages.join("\n"));
        let failed = self.failed.iter();
        value["failed"] = failed
            .map(|(file, text)| json!({ "input": file, "error": text }))
            .collect();
        for message in messages {
            output.failure(message);
        }
        output.value(&value)?;
        Err(CliError::Reported)
    }
}
