//! The log of a training: a TensorBoard event file, a file of JSON lines, and a page.
//!
//! All say the same; the lines are for scripts, the others for looking at. Opening a log that exists
//! keeps what lies before the step that training goes on from: a run that was killed after a
//! checkpoint repeats some steps, and the log then has them once. What a crash left half written
//! at the end is cut off.

mod event_file;
mod json_lines;
pub mod page;
mod proto;
mod record;

pub use event_file::EventFile;
pub use json_lines::JsonLines;
pub use page::{Page, Place};

use std::{
    io,
    path::{Path, PathBuf},
};

/// A log file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the log cannot be written: {reason}", path = path.display())]
pub struct LogError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system says.
    pub reason: io::Error,
}

impl LogError {
    fn at(path: &Path) -> impl Fn(io::Error) -> LogError {
        move |reason| LogError {
            path: path.into(),
            reason,
        }
    }
}

/// The files of a training's folder: `events.out.tfevents.bsq`, `log.jsonl`, `page.html` and
/// `pictures`.
///
/// ```
/// use bsq_nn::train_log::{Place, TrainLog};
/// let folder = tempfile::tempdir().unwrap();
/// let mut log = TrainLog::open(folder.path(), 0).unwrap();
/// log.scalars(100, &[("train/loss", 0.25), ("train/lr", 1e-3)]).unwrap();
/// log.write_page(Place { done: 100, last: 200, seconds_per_step: None }).unwrap();
/// drop(log);
/// let text = std::fs::read_to_string(folder.path().join("log.jsonl")).unwrap();
/// assert_eq!(text, "{\"step\":100,\"train/loss\":0.25,\"train/lr\":0.001}\n");
/// assert!(folder.path().join("page.html").exists());
/// ```
#[derive(Debug)]
pub struct TrainLog {
    events: EventFile,
    lines: JsonLines,
    page: Page,
}

impl TrainLog {
    /// Opens or creates the log in a folder that exists; entries of `step` and later are removed.
    pub fn open(folder: impl AsRef<Path>, step: u64) -> Result<TrainLog, LogError> {
        let folder = folder.as_ref();
        Ok(TrainLog {
            events: EventFile::open(folder.join("events.out.tfevents.bsq"), step)?,
            lines: JsonLines::open(folder.join("log.jsonl"), step)?,
            page: Page::open(folder, step)?,
        })
    }

    /// Adds named numbers of a step.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), LogError> {
        self.events.scalars(step, scalars)?;
        self.page.scalars(step, scalars);
        self.lines.scalars(step, scalars)
    }

    /// Adds an RGB picture: a PNG file of `width` columns and `height` rows. The tag is a part of the
    /// name of a file.
    pub fn image(
        &mut self,
        step: u64,
        tag: &str,
        (width, height): (usize, usize),
        png: &[u8],
    ) -> Result<(), LogError> {
        self.page.image(step, tag, png)?;
        self.events.image(step, tag, (width, height), png)
    }

    /// The largest number of that name so far.
    pub fn largest(&self, name: &str) -> Option<f64> {
        self.page.largest(name)
    }

    /// Writes the page with all that was added.
    pub fn write_page(&self, place: Place) -> Result<(), LogError> {
        self.page.write(place)
    }
}
