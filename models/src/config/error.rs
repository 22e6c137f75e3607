//! What can be wrong with a configuration, as one line that names the place and the remedy.

use std::fmt;
use std::path::{Path, PathBuf};

/// A configuration that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, if it came from one.
    pub file: Option<PathBuf>,
    /// The line in the file, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong there.
    pub problem: Problem,
}

/// The kinds of [`ConfigError`]; keys are given with their sections, as in `model.embed_dim`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file's name says nothing about its format.
    #[error("a configuration is a .toml file, or a .yaml file of the reference implementation")]
    UnknownFormat,
    /// The text is not TOML or YAML at all.
    #[error("{0}")]
    Syntax(String),
    /// A key that nothing reads.
    #[error("unknown key {key}{}", suggestion.as_ref().map_or_else(String::new, |near| format!("; did you mean {near}?")))]
    UnknownKey {
        /// The key with its sections.
        key: String,
        /// The known key of this section that is spelled most alike.
        suggestion: Option<String>,
    },
    /// A key that has no default is absent.
    #[error("{key} is missing: expected {expected}")]
    Missing {
        /// The key with its sections.
        key: String,
        /// What belongs there.
        expected: String,
    },
    /// A value of the wrong kind.
    #[error("{key}: expected {expected}, found {found}")]
    WrongType {
        /// The key with its sections.
        key: String,
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A value of the right kind that makes no sense, alone or beside another.
    #[error("{key}: {reason}")]
    Invalid {
        /// The key with its sections.
        key: String,
        /// What the value has to satisfy.
        reason: String,
    },
}

impl ConfigError {
    pub(super) fn at(line: Option<usize>, problem: Problem) -> ConfigError {
        ConfigError {
            file: None,
            line,
            problem,
        }
    }

    pub(super) fn in_file(self, file: &Path) -> ConfigError {
        let file = Some(file.into());
        ConfigError { file, ..self }
    }

    pub(crate) fn invalid(key: impl Into<String>, reason: impl Into<String>) -> ConfigError {
        let problem = Problem::Invalid {
            key: key.into(),
            reason: reason.into(),
        };
        ConfigError::at(None, problem)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for ConfigError {}
