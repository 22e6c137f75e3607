//! A setting that is not what it was when a training was begun.

use std::fmt;

/// A key whose value has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub key: String,
    /// None if it was not, or is not set.
    pub old: Option<String>,
    pub new: Option<String>,
    /// Whether a checkpoint of the one setting is none of the other.
    pub is_another_model: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [old, new] = [&self.old, &self.new].map(|v| v.as_deref().unwrap_or("not set"));
        write!(f, "{}: {old} -> {new}", self.key)
    }
}
