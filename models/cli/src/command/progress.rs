//! Progress: a bar on a terminal for what takes more than a second; elsewhere a line now and then.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Work that takes less is done without a bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between lines where there is no terminal.
const LINES: Duration = Duration::from_secs(30);

/// Whether another rank shows how far the work is.
static HIDDEN: AtomicBool = AtomicBool::new(false);

/// Shows no progress from now on: another rank does.
pub fn hide() {
    HIDDEN.store(true, Ordering::Relaxed);
}

/// Whether a bar may be shown on standard error.
pub fn is_hidden() -> bool {
    HIDDEN.load(Ordering::Relaxed)
}

/// A bar that appears when the work has taken a second, and goes when this is dropped.
pub struct Progress {
    bar: ProgressBar,
    /// Dropping it tells the thread that shows it that the work is done.
    _done: Sender<()>,
}

impl Progress {
    /// Work of `total` steps; `what` stands before the bar.
    pub fn new(what: &str, unit: &str, total: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        let template = format!("{{msg}} {{wide_bar}} {{pos}}/{{len}} {unit}, {{eta}} left");
        bar.set_style(ProgressStyle::with_template(&template).expect("the template is valid"));
        bar.set_message(what.to_string());
        let (done, receiver) = channel::<()>();
        let shown = bar.clone();
        match stderr().is_terminal() {
            _ if is_hidden() => return Progress { bar, _done: done },
            true => thread::spawn(move || {
                if is_going_on(&receiver, PATIENCE) {
                    shown.set_draw_target(ProgressDrawTarget::stderr());
                    shown.enable_steady_tick(Duration::from_millis(200));
                }
            }),
            false => {
                let (what, unit) = (what.to_string(), unit.to_string());
                thread::spawn(move || {
                    while is_going_on(&receiver, LINES) {
                        eprintln!("{what}: {} of {total} {unit}", shown.position());
                    }
                })
            }
        };
        Progress { bar, _done: done }
    }

    /// `done` steps are done.
    pub fn set(&self, done: usize) {
        self.bar.set_position(done as u64);
    }
}

/// Whether work still goes on after some time: nothing is ever sent, and the wait ends early when the
/// other end is gone.
fn is_going_on(done: &Receiver<()>, time: Duration) -> bool {
    let waited = done.recv_timeout(time);
    waited.is_err_and(|error| error == RecvTimeoutError::Timeout)
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
