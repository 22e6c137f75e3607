//! What is wrong with a text, and where.

/// A text that is not a function.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What was expected there and what was found, or why the node is not well formed.
    pub problem: String,
}
