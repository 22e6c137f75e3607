//! Progress bars: on a terminal only, and only for what takes more than a second.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// Work that takes less is done without a bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar that appears when the work has taken a second, and goes when this is dropped.
pub struct Progress {
    bar: ProgressBar,
    /// Dropping it tells the waiting thread that the work is done.
    _done: Option<Sender<()>>,
}

impl Progress {
    /// Work of `total` steps; `what` stands before the bar.
    pub fn new(what: &str, unit: &str, total: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        let template = format!("{{msg}} {{wide_bar}} {{pos}}/{{len}} {unit}, {{eta}} left");
        bar.set_style(ProgressStyle::with_template(&template).expect("the template is valid"));
        bar.set_message(what.to_string());
        let done = stderr().is_terminal().then(|| {
            let (sender, receiver) = channel::<()>();
            let bar = bar.clone();
            thread::spawn(move || {
                // Nothing is ever sent: the wait ends early when the other end is gone.
                if receiver
                    .recv_timeout(PATIENCE)
                    .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    bar.enable_steady_tick(Duration::from_millis(200));
                }
            });
            sender
        });
        Progress { bar, _done: done }
    }

    /// `done` steps are done.
    pub fn set(&self, done: usize) {
        self.bar.set_position(done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
