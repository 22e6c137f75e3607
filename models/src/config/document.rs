//! Configuration files: what is the same in all of them.

use super::section::Section;
use super::tree::Table;
use super::{ConfigError, DataConfig, LrSchedule, OptimizerConfig, Problem, TrainConfig};
use std::{fs, path::Path};

/// Reads a file by what reads its text. Errors name it.
pub(super) fn load<C>(
    path: &Path,
    read: impl FnOnce(&str) -> Result<C, ConfigError>,
) -> Result<C, ConfigError> {
    let unreadable =
        |error: std::io::Error| ConfigError::at(None, Problem::Unreadable(error.to_string()));
    let text = fs::read_to_string(path).map_err(unreadable);
    text.and_then(|text| read(&text))
        .map_err(|error| error.in_file(path))
}

/// Whether a text has a section of that name: what it configures.
pub(crate) fn has_section(text: &str, name: &str) -> bool {
    let table = text.parse::<toml::Table>();
    table.is_ok_and(|table| table.contains_key(name))
}

/// A section; empty if it is absent.
pub(super) fn take(root: &mut Table, name: &str) -> Result<Table, ConfigError> {
    Ok(root.take_table(name, "")?.unwrap_or_default())
}

/// What every training is told beside its model.
pub(super) struct TrainingSections {
    pub data: DataConfig,
    pub optimizer: OptimizerConfig,
    pub schedule: Option<LrSchedule>,
    pub train: TrainConfig,
}

impl TrainingSections {
    pub fn take(root: &mut Table) -> Result<TrainingSections, ConfigError> {
        let (data, mut optimizer) = (take(root, "data")?, take(root, "optimizer")?);
        let schedule = optimizer.take_table("schedule", "optimizer")?;
        let schedule = schedule.map(|table| LrSchedule::read(table, "optimizer.schedule"));
        Ok(TrainingSections {
            data: DataConfig::read(data, "data")?,
            optimizer: OptimizerConfig::read(optimizer, "optimizer")?,
            schedule: schedule.transpose()?,
            train: TrainConfig::read(take(root, "train")?, "train")?,
        })
    }
}

/// The text of a file, section by section.
#[derive(Default)]
pub(super) struct Document(pub String);

impl Document {
    pub fn section(&mut self, name: &str, section: &impl Section) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.0.push_str(&format!("{gap}[{name}]\n"));
        section.write(&mut self.0);
    }

    pub fn optimizer(&mut self, optimizer: &OptimizerConfig, schedule: Option<&LrSchedule>) {
        self.section("optimizer", optimizer);
        if let Some(schedule) = schedule {
            self.section("optimizer.schedule", schedule);
        }
    }
}
