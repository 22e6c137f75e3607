//! Waiting for what is about to happen.

use std::time::{Duration, Instant};

/// How long a thread spins before it sleeps: a few times what waking a sleeping thread costs.
const SPIN: Duration = Duration::from_micros(50);

/// A bounded busy wait.
pub struct Spin {
    turns: u32,
    until: Option<Instant>,
}

impl Spin {
    pub fn new() -> Self {
        Spin {
            turns: 0,
            until: None,
        }
    }

    /// Waits an instant; false when the time is up. Reads the clock on few of the turns.
    pub fn again(&mut self) -> bool {
        std::hint::spin_loop();
        self.turns += 1;
        if !self.turns.is_multiple_of(64) {
            return true;
        }
        let now = Instant::now();
        now < *self.until.get_or_insert(now + SPIN)
    }
}
