//! What is printed where: results to standard output, everything else to standard error.

use super::Global;
use super::error::CliError;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// The user's wishes about output, and the number of threads.
pub struct Output {
    /// Threads to compute with; 0 means as many as the CPU has.
    pub threads: usize,
    json: bool,
    verbose: bool,
    /// Standard output has what the command makes: what it says goes to standard error.
    aside: bool,
    /// Another rank says it.
    elsewhere: bool,
    /// What is said is kept for another rank to say.
    recorded: Option<RefCell<Vec<Line>>>,
}

/// What was said, and as what.
#[derive(Debug, Serialize, Deserialize)]
pub enum Line {
    Result(String),
    Note(String),
    Detail(String),
}

impl Output {
    pub fn new(global: &Global) -> Self {
        Output {
            threads: global.threads.map_or(0, usize::from),
            json: global.json,
            verbose: global.verbose,
            aside: false,
            elsewhere: false,
            recorded: None,
        }
    }

    /// The same, but lines of results go to standard error.
    pub fn aside(&self) -> Output {
        Output {
            aside: true,
            recorded: None,
            ..*self
        }
    }

    /// The same of a rank with `threads` threads, of which only the first says what all have to say.
    pub fn of_rank(&self, is_first: bool, threads: usize) -> Output {
        Output {
            threads,
            elsewhere: !is_first,
            recorded: None,
            ..*self
        }
    }

    /// The same, but lines are kept.
    pub fn recording(&self) -> Output {
        Output {
            recorded: Some(RefCell::default()),
            ..*self
        }
    }

    /// The lines that were kept.
    pub fn recorded(self) -> Vec<Line> {
        self.recorded.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Says lines that another rank has kept.
    pub fn replay(&self, lines: Vec<Line>) -> Result<(), CliError> {
        for line in lines {
            match line {
                Line::Result(line) => self.say(line)?,
                Line::Note(line) => self.note(line),
                Line::Detail(line) => self.detail(line),
            }
        }
        Ok(())
    }

    /// Whether a line was kept.
    fn records(&self, line: impl FnOnce() -> Line) -> bool {
        let lines = self.recorded.as_ref();
        lines.map(|lines| lines.borrow_mut().push(line())).is_some()
    }

    /// Whether results are for a program.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether lists are shown in full.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// A line of results for people; with `--json` there are none.
    pub fn say(&self, line: impl Display) -> Result<(), CliError> {
        match (self.json || self.elsewhere, self.aside) {
            _ if self.records(|| Line::Result(line.to_string())) => Ok(()),
            (true, _) => Ok(()),
            (false, true) => {
                to_stderr(&line.to_string());
                Ok(())
            }
            (false, false) => print(&format!("{line}\n")),
        }
    }

    /// The results for programs: the one value on standard output, with `--json` only.
    pub fn value(&self, value: &serde_json::Value) -> Result<(), CliError> {
        match self.json && !self.elsewhere {
            true => print(&format!("{value:#}\n")),
            false => Ok(()),
        }
    }

    /// Something the user should know although all is well.
    pub fn note(&self, line: impl Display) {
        if !self.records(|| Line::Note(line.to_string())) && !self.elsewhere {
            to_stderr(&format!("bsq: {line}"));
        }
    }

    /// Something the user asked to know with `-v`.
    pub fn detail(&self, line: impl Display) {
        let is_kept = self.records(|| Line::Detail(line.to_string()));
        if self.verbose && !is_kept && !self.elsewhere {
            to_stderr(&line.to_string());
        }
    }

    /// Why a file failed: one line, in full with `-v`.
    pub fn failure(&self, message: &str) {
        let line = match self.verbose {
            true => message.to_string(),
            false => one_line(message),
        };
        to_stderr(&format!("bsq: {line}"));
    }

    /// Why the command failed: one line, in full with `-v`.
    pub fn error(&self, message: &str) {
        self.failure(message);
        if self.json {
            // The reader of the value learns of the failure; that it cannot is no second error.
            let _ = self.value(&serde_json::json!({ "error": message }));
        }
    }
}

/// A message with a list below it, as one line: the first of each list stands for all.
fn one_line(message: &str) -> String {
    let mut lines = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let mut result = lines.next().unwrap_or_default().to_string();
    let rest: Vec<&str> = lines.collect();
    let mut examples = Vec::new();
    for (index, heading) in rest.iter().enumerate() {
        if let (true, Some(example)) = (heading.ends_with(':'), rest.get(index + 1)) {
            examples.push(format!("{heading} {example}"));
        }
    }
    if !examples.is_empty() {
        result += &format!(" ({}; -v lists all)", examples.join(", "));
    } else if !rest.is_empty() {
        result += &format!(" {}", rest.join(" "));
    }
    result
}

fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => CliError::BrokenPipe,
        ErrorKind::StorageFull => {
            CliError::Output("standard output: no space left on the disk".to_string())
        }
        _ => CliError::Output(format!("standard output: {error}")),
    })
}

/// There is nobody left to tell if standard error cannot be written.
fn to_stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_list_becomes_its_first_entries() {
        let message = "m.pt: does not fit: 2 missing, 1 unexpected\n  missing:\n    a [2]\n    b [3]\n  unexpected:\n    c f32[4]";
        assert_eq!(
            one_line(message),
            "m.pt: does not fit: 2 missing, 1 unexpected (missing: a [2], unexpected: c f32[4]; -v lists all)"
        );
        assert_eq!(one_line("plain"), "plain");
        assert_eq!(one_line("two\n  lines\n"), "two lines");
    }
}
