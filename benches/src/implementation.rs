//! Who takes part in a comparison.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Something that does a piece of work again and again.
pub trait Implementation {
    /// Does it once; how long that took.
    fn run(&mut self) -> Duration;
    /// What the last run computed, to be compared with what others computed.
    fn result(&mut self) -> Vec<f64>;
}

/// An implementation's name, and how to make it: only those that a filter selects are made.
pub struct Candidate<'a> {
    pub(crate) name: &'static str,
    pub(crate) make: Box<dyn FnOnce() -> Box<dyn Implementation> + 'a>,
}

impl<'a> Candidate<'a> {
    pub fn new<C: Implementation + 'static>(
        name: &'static str,
        make: impl FnOnce() -> C + 'a,
    ) -> Candidate<'a> {
        let make = Box::new(|| Box::new(make()) as Box<dyn Implementation>);
        Candidate { name, make }
    }
}

/// An implementation made of two closures: one that does the work, one that reads its result.
pub struct Peer<T, F, R> {
    work: F,
    read: R,
    last: Option<T>,
}

impl<T, F: FnMut() -> T, R: Fn(&T) -> Vec<f64>> Peer<T, F, R> {
    pub fn new(work: F, read: R) -> Self {
        let last = None;
        Peer { work, read, last }
    }
}

impl<T, F: FnMut() -> T, R: Fn(&T) -> Vec<f64>> Implementation for Peer<T, F, R> {
    fn run(&mut self) -> Duration {
        // The memory of the last result is given back outside of what is measured.
        self.last = None;
        let start = Instant::now();
        let result = black_box((self.work)());
        let time = start.elapsed();
        self.last = Some(result);
        time
    }

    fn result(&mut self) -> Vec<f64> {
        self.last.as_ref().map_or(Vec::new(), &self.read)
    }
}
