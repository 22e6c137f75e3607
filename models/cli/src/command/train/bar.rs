//! The bar of a training.

use bsq::train::Progress;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Seconds between lines where there is no terminal.
const LINE_SECONDS: u64 = 30;

/// A bar on standard error with steps per second, time left and loss; notes are lines above it. Off a
/// terminal the same as a line now and then.
pub struct Bar {
    bar: ProgressBar,
    last_line: Instant,
    began: (u64, Instant),
}

impl Default for Bar {
    fn default() -> Bar {
        let style = "{bar:30} {pos}/{len} steps, {per_sec}, {eta} left, {msg}";
        let style = ProgressStyle::with_template(style).expect("a template without errors");
        let bar = ProgressBar::new(0).with_style(style);
        Bar {
            bar,
            last_line: Instant::now(),
            began: (0, Instant::now()),
        }
    }
}

impl Progress for Bar {
    fn begin(&mut self, done: u64, last: u64, compilation: &str) {
        self.note(compilation);
        self.bar.set_length(last);
        self.bar.set_position(done);
        // Only this run's own steps say how fast it is.
        self.bar.reset_eta();
        self.began = (done, Instant::now());
    }

    fn step(&mut self, done: u64, loss: f32) {
        self.bar.set_position(done);
        self.bar.set_message(format!("loss {loss:.6}"));
        if self.bar.is_hidden() && self.last_line.elapsed().as_secs() >= LINE_SECONDS {
            self.last_line = Instant::now();
            let (before, start) = self.began;
            let seconds = start.elapsed().as_secs_f64() / (done - before).max(1) as f64;
            let last = self.bar.length().unwrap_or(done);
            let left = HumanDuration(Duration::from_secs_f64(
                seconds * last.saturating_sub(done) as f64,
            ));
            let rate = 1.0 / seconds;
            eprintln!("step {done} of {last}, {rate:.2} steps/s, {left} left, loss {loss:.6}");
        }
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
