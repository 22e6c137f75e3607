//! What a training says while it runs.

use indicatif::{ProgressBar, ProgressStyle};

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

/// A bar on standard error with steps per second, time left and loss; notes are lines above it.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
}

impl Default for Bar {
    fn default() -> Bar {
        let style = "{bar:30} {pos}/{len} steps, {per_sec}, {eta} left, {msg}";
        let style = ProgressStyle::with_template(style).expect("a template without errors");
        let bar = ProgressBar::new(0).with_style(style);
        Bar { bar }
    }
}

impl Progress for Bar {
    fn begin(&mut self, done: u64, last: u64, compilation: &str) {
        self.note(compilation);
        self.bar.set_length(last);
        self.bar.set_position(done);
        // Only this run's own steps say how fast it is.
        self.bar.reset_eta();
    }

    fn step(&mut self, done: u64, loss: f32) {
        self.bar.set_position(done);
        self.bar.set_message(format!("loss {loss:.6}"));
    }

    fn note(&mut self, line: &str) {
        match self.bar.is_hidden() {
            true => eprintln!("{line}"),
            false => self.bar.println(line),
        }
    }

    fn end(&mut self) {
        self.bar.finish();
    }
}
