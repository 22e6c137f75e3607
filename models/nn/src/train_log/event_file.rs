//! TensorBoard event files: scalars and pictures by step.

use super::{
    LogError,
    proto::{Message, integer_field},
    record::{read_record, write_record},
};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

const STEP: u64 = 2;
const FILE_VERSION: u64 = 3;
const SUMMARY: u64 = 5;

/// An event file that is being appended to; every call writes whole records.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Opens or creates an event file, which TensorBoard recognises by `tfevents` in its name.
    ///
    /// Of an existing one, the events up to the first of `step` or later are kept, or up to where
    /// a crash left a torn record.
    pub fn open(path: impl AsRef<Path>, step: u64) -> Result<EventFile, LogError> {
        let path = path.as_ref();
        let at_path = LogError::at(path);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(&at_path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(&at_path)?;
        let kept = length_before(&bytes, step);
        file.set_len(kept as u64).map_err(&at_path)?;
        file.seek(SeekFrom::End(0)).map_err(&at_path)?;
        let mut events = EventFile {
            path: path.into(),
            file,
        };
        if kept == 0 {
            let version = event(0).bytes(FILE_VERSION, b"brain.Event:2");
            events.append(version)?;
        }
        Ok(events)
    }

    /// Adds named numbers of a step, as f32.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), LogError> {
        let mut summary = Message::default();
        for &(tag, value) in scalars {
            let value = Message::default()
                .bytes(1, tag.as_bytes())
                .float(2, value as f32);
            summary = summary.message(1, value);
        }
        self.append(event(step).message(SUMMARY, summary))
    }

    /// Adds an RGB picture of a step: a PNG file of `width` columns and `height` rows.
    pub fn image(
        &mut self,
        step: u64,
        tag: &str,
        (width, height): (usize, usize),
        png: &[u8],
    ) -> Result<(), LogError> {
        const RGB: u64 = 3;
        let image = Message::default()
            .integer(1, height as u64)
            .integer(2, width as u64)
            .integer(3, RGB)
            .bytes(4, png);
        let value = Message::default()
            .bytes(1, tag.as_bytes())
            .message(4, image);
        let summary = Message::default().message(1, value);
        self.append(event(step).message(SUMMARY, summary))
    }

    fn append(&mut self, event: Message) -> Result<(), LogError> {
        let mut record = Vec::new();
        write_record(&mut record, &event.into_bytes());
        self.file
            .write_all(&record)
            .map_err(LogError::at(&self.path))
    }
}

/// An event of now.
fn event(step: u64) -> Message {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is a clock that is not set.
    let seconds = since_1970.map_or(0.0, |duration| duration.as_secs_f64());
    Message::default().double(1, seconds).integer(STEP, step)
}

/// The bytes of the leading records that are whole and of steps before `step`; the record that
/// starts the file has no step and is kept.
fn length_before(bytes: &[u8], step: u64) -> usize {
    let mut at = 0;
    while let Some((event, length)) = read_record(&bytes[at..]) {
        let is_first = at == 0;
        if !is_first && integer_field(event, STEP).is_none_or(|of_event| of_event >= step) {
            break;
        }
        at += length;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &Path) -> Vec<u64> {
        let bytes = std::fs::read(path).unwrap();
        let mut at = 0;
        let mut steps = Vec::new();
        while let Some((event, length)) = read_record(&bytes[at..]) {
            steps.push(integer_field(event, STEP).unwrap());
            at += length;
        }
        assert_eq!(at, bytes.len(), "nothing but whole records");
        steps
    }

    #[test]
    fn resuming_drops_the_steps_that_are_done_again_and_torn_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.x");
        let mut events = EventFile::open(&path, 0).unwrap();
        for step in [0, 10, 20, 30] {
            events.scalars(step, &[("loss", 0.5)]).unwrap();
        }
        drop(events);
        assert_eq!(steps(&path), [0, 0, 10, 20, 30]);
        EventFile::open(&path, 20)
            .unwrap()
            .scalars(20, &[("loss", 0.25)])
            .unwrap();
        assert_eq!(steps(&path), [0, 0, 10, 20]);

        let length = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(length - 3)
            .unwrap();
        EventFile::open(&path, 100).unwrap();
        assert_eq!(steps(&path), [0, 0, 10]);
    }

    #[test]
    fn starting_again_keeps_only_the_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.x");
        EventFile::open(&path, 0)
            .unwrap()
            .image(3, "picture", (2, 1), &[])
            .unwrap();
        assert_eq!(steps(&path), [0, 3]);
        EventFile::open(&path, 0).unwrap();
        assert_eq!(steps(&path), [0]);
        std::fs::write(&path, "something else").unwrap();
        EventFile::open(&path, 0).unwrap();
        assert_eq!(steps(&path), [0]);
    }
}
