//! What a training says while it runs.

/// A listener to a training. All methods do nothing unless they are written.
pub trait Progress {
    /// Before the first step: steps done, steps to come to, and how compilation went.
    fn begin(&mut self, _done: u64, _last: u64, _compilation: &str) {}
    /// After a step, with the number of steps that are done and the loss of the last.
    fn step(&mut self, _done: u64, _loss: f32) {}
    /// A line for the user.
    fn note(&mut self, _line: &str) {}
    /// After the last step.
    fn end(&mut self) {}
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}

/// Lines on standard error, and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notes;

impl Progress for Notes {
    fn note(&mut self, line: &str) {
        eprintln!("{line}");
    }
}
