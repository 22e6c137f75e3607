//! One JSON object per line: the step and the named numbers of that step.

use super::LogError;
use serde_json::{Map, Value};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A file of JSON lines that is being appended to.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
}

impl JsonLines {
    /// Opens or creates the file. Of an existing one, the lines up to the first of `step` or later
    /// are kept, or up to where a crash left half a line.
    pub fn open(path: impl AsRef<Path>, step: u64) -> Result<JsonLines, LogError> {
        let path = path.as_ref();
        let at_path = LogError::at(path);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(&at_path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(&at_path)?;
        let kept: usize = text
            .split_inclusive(|&byte| byte == b'\n')
            .take_while(|line| step_of(line).is_some_and(|of_line| of_line < step))
            .map(<[u8]>::len)
            .sum();
        file.set_len(kept as u64).map_err(&at_path)?;
        file.seek(SeekFrom::End(0)).map_err(&at_path)?;
        Ok(JsonLines {
            path: path.into(),
            file,
        })
    }

    /// Adds a line; numbers that are not finite become null, which JSON has instead.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), LogError> {
        let mut object = Map::new();
        object.insert("step".into(), step.into());
        for &(name, value) in scalars {
            object.insert(name.into(), value.into());
        }
        let line = format!("{}\n", Value::Object(object));
        self.file
            .write_all(line.as_bytes())
            .map_err(LogError::at(&self.path))
    }
}

/// The numbers of a file of JSON lines: step, name, value. None of a file that is not there, and none of
/// lines that a crash left torn.
pub(super) fn records(path: &Path) -> Result<Vec<(u64, String, f64)>, LogError> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(LogError::at(path))?,
    };
    let mut records = Vec::new();
    for line in text.lines() {
        let Ok(Value::Object(object)) = serde_json::from_str(line) else {
            continue;
        };
        let Some(step) = object.get("step").and_then(Value::as_u64) else {
            continue;
        };
        let numbers = object.iter().filter(|(name, _)| *name != "step");
        let numbers =
            numbers.filter_map(|(name, value)| Some((step, name.clone(), value.as_f64()?)));
        records.extend(numbers);
    }
    Ok(records)
}

/// The step of a whole line.
fn step_of(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\n")?;
    let object: Value = serde_json::from_slice(line).ok()?;
    object.get("step")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn resuming_drops_the_steps_that_are_done_again_and_half_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut lines = JsonLines::open(&path, 0).unwrap();
        for step in [0, 10, 20] {
            lines
                .scalars(step, &[("loss", 0.5), ("bad", f64::NAN)])
                .unwrap();
        }
        drop(lines);
        let line = |step: u64| format!("{{\"step\":{step},\"loss\":0.5,\"bad\":null}}\n");
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            line(0) + &line(10) + &line(20)
        );

        fs::write(&path, line(0) + &line(10) + &line(20)[..9]).unwrap();
        JsonLines::open(&path, 99).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), line(0) + &line(10));
        let mut lines = JsonLines::open(&path, 10).unwrap();
        lines.scalars(10, &[]).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            line(0) + "{\"step\":10}\n"
        );
    }

    #[test]
    fn an_unwritable_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nowhere/log.jsonl");
        let error = JsonLines::open(&path, 0).unwrap_err().to_string();
        assert!(
            error.contains("log.jsonl: the log cannot be written"),
            "{error}"
        );
    }
}
