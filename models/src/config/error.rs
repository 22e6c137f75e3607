//! What can be wrong with a configuration, as one line that names the place and the remedy.

use std::{fmt, path::PathBuf};

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

/// The known key nearest to `key`, if at most a third of its letters have to change.
pub(super) fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (edit_distance(key, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= candidate.len().max(key.len()).div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete or replace to turn one word into the other.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_letter_changes() {
        assert_eq!(edit_distance("heads", "heads"), 0);
        assert_eq!(edit_distance("head", "heads"), 1);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }

    #[test]
    fn only_similar_keys_are_suggested() {
        let known = ["embed_dim", "embed_group_size", "l2_norm"];
        assert_eq!(nearest("embeddim", known.into_iter()), Some("embed_dim"));
        assert_eq!(nearest("l2norm", known.into_iter()), Some("l2_norm"));
        assert_eq!(nearest("optimizer", known.into_iter()), None);
    }
}
