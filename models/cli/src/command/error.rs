//! The one error that reaches the user: a line of text.

use std::fmt::Display;

/// Why a command stopped.
#[derive(Debug)]
pub enum CliError {
    /// Bad input, or a machine that refuses: what, where, and what to do about it.
    Message(String),
    /// Standard output cannot be written.
    Output(String),
    /// Bad input, of which all has been said.
    Reported,
    /// Nobody reads the output any more.
    BrokenPipe,
}

impl CliError {
    pub fn new(message: impl Display) -> Self {
        CliError::Message(message.to_string())
    }
}

impl<E: std::error::Error> From<E> for CliError {
    fn from(error: E) -> Self {
        CliError::new(error)
    }
}

/// Adds where an error happened, on its way up.
pub trait Context<T> {
    /// Puts `place: ` before the message.
    fn in_(self, place: impl Display) -> Result<T, CliError>;
}

impl<T, E: Into<CliError>> Context<T> for Result<T, E> {
    fn in_(self, place: impl Display) -> Result<T, CliError> {
        self.map_err(|error| match error.into() {
            CliError::Message(message) => CliError::Message(format!("{place}: {message}")),
            other => other,
        })
    }
}
