//! The log of a training: a TensorBoard event file and a file of JSON lines.
//!
//! Both say the same; one is for looking at, the other for scripts. Opening a log that exists
//! keeps what lies before the step that training goes on from: a run that was killed after a
//! checkpoint repeats some steps, and the log then has them once. What a crash left half written
//! at the end is cut off.

mod event_file;
mod json_lines;
mod proto;
mod record;

pub use event_file::EventFile;
pub use json_lines::JsonLines;

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

/// Both files of a training's folder: `events.out.tfevents.bsq` and `log.jsonl`.
///
/// ```
/// use bsq_nn::train_log::TrainLog;
/// let folder = tempfile::tempdir().unwrap();
/// let mut log = TrainLog::open(folder.path(), 0).unwrap();
/// log.scalars(100, &[("train/loss", 0.25), ("train/lr", 1e-3)]).unwrap();
/// drop(log);
/// let text = std::fs::read_to_string(folder.path().join("log.jsonl")).unwrap();
/// assert_eq!(text, "{\"step\":100,\"train/loss\":0.25,\"train/lr\":0.001}\n");
/// ```
#[derive(Debug)]
pub struct TrainLog {
    events: EventFile,
    lines: JsonLines,
}

impl TrainLog {
    /// Opens or creates the log in a folder that exists; entries of `step` and later are removed.
    pub fn open(folder: impl AsRef<Path>, step: u64) -> Result<TrainLog, LogError> {
        let folder = folder.as_ref();
        Ok(TrainLog {
            events: EventFile::open(folder.join("events.out.tfevents.bsq"), step)?,
            lines: JsonLines::open(folder.join("log.jsonl"), step)?,
        })
    }

    /// Adds named numbers of a step to both files.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), LogError> {
        self.events.scalars(step, scalars)?;
        self.lines.scalars(step, scalars)
    }

    /// Adds an RGB picture to the event file: a PNG file of `width` columns and `height` rows.
    pub fn image(
        &mut self,
        step: u64,
        tag: &str,
        (width, height): (usize, usize),
        png: &[u8],
    ) -> Result<(), LogError> {
        self.events.image(step, tag, (width, height), png)
    }
}
