//! Files that cannot be read, each said once.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

/// What was left out.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Lines that nobody has asked for yet.
    lines: Mutex<Vec<String>>,
    broken: usize,
}

impl LeftOut {
    /// What was left out of a listing, a line each.
    pub fn of_listing(notices: Vec<String>) -> LeftOut {
        LeftOut {
            lines: Mutex::new(notices),
            broken: 0,
        }
    }

    /// A file that cannot be read; the error names it.
    pub fn add(&mut self, error: &dyn Display) {
        let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
        lines.push(format!("left out: {error}"));
        self.broken += 1;
    }

    /// The lines since the last call.
    pub fn take_lines(&self) -> Vec<String> {
        // A panic elsewhere cannot leave lines half written.
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many files cannot be read.
    pub fn broken(&self) -> usize {
        self.broken
    }
}
