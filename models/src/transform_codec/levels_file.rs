//! Files of levels: what a transform codec makes of pictures, as safetensors, not yet coded.
//!
//! Per picture `n`, counted from 0, a tensor of each of the codec's [parts](super::TransformCodec::parts):
//!
//! | tensor | type and shape | |
//! |---|---|---|
//! | `pictures.n.coarse` | `i32 [rows, columns, 48]` | levels of the second transform, of patches of 32x32 pixels; a codec without one has none |
//! | `pictures.n.base` | `i32 [rows, columns, coordinates]` | the first coordinates of patches of 8x8 pixels |
//! | `pictures.n.detail` | `i32 [rows, columns, coordinates]` | the others |
//!
//! The metadata are text: `format` and its version, `model`, the codec's fingerprint in hexadecimal digits,
//! `model_name`, and per picture `pictures.n` with its name, its size, the quantizer's `step` in levels of a pixel's
//! sample, and the `quality` that was asked for, if it was, as JSON.

use super::stream::{LevelsHeader, Strips};
use super::{PartLevels, TransformCodecFile, level_coder::MAX_LEVEL};
use crate::image_io::ImageSize;
use crate::pipeline::{LEVELS, TokenFileError};
use bsq_runtime::checkpoint::{self, Checkpoint, Weights};
use bsq_runtime::tensor_data::HostTensor;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// The levels of some pictures, and which codec made them.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelsFile {
    /// The codec's name.
    pub model_name: String,
    /// Its [fingerprint](TransformCodecFile::fingerprint).
    pub codec: u64,
    /// The pictures, in order.
    pub pictures: Vec<NamedLevels>,
}

/// One picture.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedLevels {
    /// The name of the picture's file.
    pub name: String,
    /// Its size, and the step.
    pub header: LevelsHeader,
    /// The quality that was asked for, from 0 to 100.
    pub quality: Option<f32>,
    /// Levels of each part.
    pub levels: Vec<PartLevels>,
}

/// The entry of a picture in the metadata.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    width: usize,
    height: usize,
    step: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quality: Option<f32>,
}

impl LevelsFile {
    /// A file of the levels that a codec made.
    pub fn new(file: &TransformCodecFile, pictures: Vec<NamedLevels>) -> LevelsFile {
        LevelsFile {
            model_name: file.name.clone(),
            codec: file.fingerprint(),
            pictures,
        }
    }

    /// Whether a checkpoint's metadata say that it is a file of levels.
    pub fn is_levels_file(checkpoint: &Checkpoint) -> bool {
        checkpoint.metadata.get("format").map(String::as_str) == Some(LEVELS)
    }

    /// Writes the file, whole or not at all. `file` is the codec that made the levels.
    ///
    /// # Errors
    /// If the file cannot be written or memory runs out.
    pub fn save(&self, file: &TransformCodecFile, path: &Path) -> Result<(), TokenFileError> {
        let mut metadata = BTreeMap::from([
            ("format".to_string(), LEVELS.to_string()),
            ("model".to_string(), format!("{:016x}", self.codec)),
            ("model_name".to_string(), self.model_name.clone()),
        ]);
        let (parts, mut tensors) = (file.codec.parts(), Vec::new());
        for (number, picture) in self.pictures.iter().enumerate() {
            for (part, own) in parts.iter().zip(&picture.levels) {
                let levels: Vec<i32> = own.levels.iter().map(|&level| i32::from(level)).collect();
                let shape = [own.rows, own.columns, own.coordinates];
                let tensor = HostTensor::from_slice(shape, &levels)?;
                tensors.push((format!("pictures.{number}.{}", part.kind), tensor));
            }
            let ImageSize { height, width } = picture.header.size;
            let entry = Entry {
                name: picture.name.clone(),
                width,
                height,
                step: picture.header.step(),
                quality: picture.quality,
            };
            metadata.insert(format!("pictures.{number}"), json!(entry).to_string());
        }
        let tensors = tensors.iter().map(|(name, tensor)| (name.clone(), tensor));
        Ok(checkpoint::safetensors::save(path, tensors, &metadata)?)
    }

    /// Reads a file, which `file` must have made.
    ///
    /// # Errors
    /// [`TokenFileError`]: everything in the file is checked against the codec and against itself.
    pub fn load(path: &Path, file: &TransformCodecFile) -> Result<LevelsFile, TokenFileError> {
        let checkpoint = checkpoint::load(path, Weights::Ema)?;
        LevelsFile::from_checkpoint(path, &checkpoint, file)
    }

    /// The same of a file whose tensors have been read.
    ///
    /// # Errors
    /// As for [`load`](LevelsFile::load).
    pub fn from_checkpoint(
        path: &Path,
        checkpoint: &Checkpoint,
        file: &TransformCodecFile,
    ) -> Result<LevelsFile, TokenFileError> {
        let content = |problem: String| TokenFileError::Content {
            path: path.into(),
            problem,
        };
        if !LevelsFile::is_levels_file(checkpoint) {
            let what = "no file of levels: `bsq tokens` writes those with a transform codec";
            return Err(content(what.to_string()));
        }
        let text = |key: &str| checkpoint.metadata.get(key).cloned();
        let (own, name) = (file.fingerprint(), file.name.clone());
        let its = text("model").unwrap_or_else(|| "unknown".to_string());
        let model_name = text("model_name").unwrap_or_else(|| "unknown".to_string());
        let given = format!("{own:016x}");
        if its != given {
            return Err(TokenFileError::OtherModel {
                path: path.into(),
                its,
                its_name: model_name,
                given,
                given_name: name,
            });
        }
        let mut pictures = Vec::new();
        while let Some(entry) = text(&format!("pictures.{}", pictures.len())) {
            let number = pictures.len();
            let read = picture(checkpoint, (number, &entry), file);
            pictures.push(read.map_err(|what| content(format!("picture {number}: {what}")))?);
        }
        let (count, expected) = (pictures.len(), pictures.len() * file.codec.parts().len());
        if count == 0 || checkpoint.tensors.len() != expected {
            return Err(content(format!(
                "{} tensors for {count} pictures, where {expected} belong",
                checkpoint.tensors.len()
            )));
        }
        Ok(LevelsFile {
            model_name,
            codec: own,
            pictures,
        })
    }
}

/// A picture's levels, checked; an error says what is wrong.
fn picture(
    checkpoint: &Checkpoint,
    (number, entry): (usize, &str),
    file: &TransformCodecFile,
) -> Result<NamedLevels, String> {
    let entry: Entry =
        serde_json::from_str(entry).map_err(|error| format!("its metadata: {error}"))?;
    let size = ImageSize {
        height: entry.height,
        width: entry.width,
    };
    let header = LevelsHeader::new(size, entry.step, file.fingerprint());
    let header = header.map_err(|error| error.to_string())?;
    if header.step() != entry.step {
        return Err(format!("a step of {}: not in 64ths", entry.step));
    }
    let padded = Strips::new(&file.codec, size).padded;
    let part = |part: super::Part| {
        let name = format!("pictures.{number}.{}", part.kind);
        let tensor = checkpoint.tensors.get(&name);
        let tensor = tensor.ok_or_else(|| format!("`{name}` is missing"))?;
        let [rows, columns, coordinates] = part.grid(padded);
        if tensor.shape() != [rows, columns, coordinates] {
            return Err(format!(
                "`{name}` has shape {:?}, but a picture of this size and codec has {:?}",
                tensor.shape(),
                [rows, columns, coordinates]
            ));
        }
        let levels = tensor.as_slice::<i32>();
        let levels = levels.map_err(|error| format!("`{name}`: {error}"))?.iter();
        let level = |&level: &i32| match (-MAX_LEVEL..=MAX_LEVEL).contains(&level) {
            true => Ok(level as i16),
            false => Err(format!("`{name}`: a level of {level}")),
        };
        Ok(PartLevels {
            rows,
            columns,
            coordinates,
            levels: levels.map(level).collect::<Result<_, _>>()?,
        })
    };
    let levels = file.codec.parts().into_iter().map(part);
    Ok(NamedLevels {
        name: entry.name,
        header,
        quality: entry.quality,
        levels: levels.collect::<Result<_, String>>()?,
    })
}
