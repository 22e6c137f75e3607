//! How hard an encoder searches for fewer bits.

use std::fmt;
use std::str::FromStr;

/// Rounds of the search by effort: each costs about as much as eight encodings.
const ROUNDS: [usize; 10] = [0, 3, 6, 10, 16, 25, 40, 64, 100, 160];

/// From 0, which takes the encoder's levels, to 9. Streams of any effort decode alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort(u8);

impl Effort {
    /// The largest.
    pub const MAX: u8 = 9;

    /// From 0 to 9.
    pub fn new(effort: u8) -> Option<Effort> {
        (effort <= Effort::MAX).then_some(Effort(effort))
    }

    /// Rounds of the search for a strip.
    pub fn rounds(self) -> usize {
        ROUNDS[usize::from(self.0)]
    }

    /// Units of progress of a strip.
    pub(super) fn work(self) -> usize {
        self.rounds() + 1
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Effort {
    type Err = String;

    fn from_str(text: &str) -> Result<Effort, String> {
        let effort = text.parse().ok().and_then(Effort::new);
        effort.ok_or_else(|| format!("it is from 0 to {}", Effort::MAX))
    }
}
