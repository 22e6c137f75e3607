//! The bar of a training.

use bsq::train::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error with steps per second, time left and loss; notes are lines above it.
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
