//! Token files: the tokens of pictures and clips as safetensors, readable by anything that reads those.
//!
//! Per picture `n`, counted from 0, windows row by row and tokens of a window row by row:
//!
//! | tensor | type and shape | |
//! |---|---|---|
//! | `pictures.n.bits` | `bool [windows, tokens, bits]` | binary spherical quantization |
//! | `pictures.n.group_indices` | `u64 [windows, tokens, groups]` | the same bits, each group as a number, first bit most significant |
//! | `pictures.n.indices` | `u64 [windows, tokens]` | other quantizers: rows of the table, or levels side by side; with more than 63 bits `u64 [windows, tokens, words]`, 63 bits a word, the first ones first |
//!
//! Per clip `n` the same as `clips.n`, with a first axis of frames. Where a tokenizer sees several frames together,
//! it sees as many as it has, from the first frame on, each time anew, or behind the last frames of those before.
//!
//! The metadata are text: `format` and its version (2 if there are clips, else 1), `model` and `model_name`,
//! `window` (columns x rows in pixels), and per picture `pictures.n` with its name and size as JSON, per clip
//! `clips.n`, also with the number of frames, how many there are a second, and the overlap of chunks if there is one.

mod layout;

use super::{Chunks, ClipTokens, ModelFile, PictureTokens, fingerprint};
use crate::image_io::ImageSize;
use crate::token_grid::TokenGrid;
use crate::video_io::FrameRate;
use bsq_runtime::checkpoint::{self, Checkpoint, CheckpointError, Weights};
use bsq_runtime::tensor_data::TensorError;
use layout::{Layout, Named};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The format's name and version: of pictures alone, and with clips.
const PICTURES: &str = "bsq tokens 1";
const CLIPS: &str = "bsq tokens 2";
/// That of [`LevelsFile`](crate::transform_codec::LevelsFile): levels in place of tokens.
pub(crate) const LEVELS: &str = "bsq tokens 3";

/// The tokens of some pictures and clips, and which model made them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    /// The [`fingerprint`] of the model.
    pub model: String,
    /// What the model was called.
    pub model_name: String,
    /// The pictures, in order.
    pub pictures: Vec<NamedTokens>,
    /// The clips, in order.
    pub clips: Vec<NamedClip>,
}

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTokens {
    /// The name of the picture's file.
    pub name: String,
    /// Its tokens.
    pub tokens: PictureTokens,
}

/// One clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedClip {
    /// The name of the clip's file.
    pub name: String,
    /// Frames a second.
    pub rate: FrameRate,
    /// Frames with which a chunk begins that are the last before it; 0 unless the model sees several together.
    pub overlap: usize,
    /// Its tokens.
    pub tokens: ClipTokens,
}

/// The entry of a picture or a clip in the metadata.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    width: usize,
    height: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frames: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frame_rate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overlap: Option<usize>,
}

/// Why a token file cannot be read, or not with this model.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It is no readable safetensors file, or cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It holds something else, or its parts contradict one another.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another model made it.
    #[error(
        "{path}: these tokens are of the model {its_name} ({its}), not of {given_name} ({given}): name the model that made them with --model",
        path = path.display()
    )]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The fingerprint of the model that made it.
        its: String,
        /// That model's name.
        its_name: String,
        /// The fingerprint of the model at hand.
        given: String,
        /// Its name.
        given_name: String,
    },
    /// Memory runs out.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl TokenFile {
    /// A file of the tokens that `model` made.
    pub fn new(model: &ModelFile, pictures: Vec<NamedTokens>, clips: Vec<NamedClip>) -> TokenFile {
        TokenFile {
            model: fingerprint(model.tokenizer.config(), &model.parameters),
            model_name: model.name.clone(),
            pictures,
            clips,
        }
    }

    /// The grids of pictures, then those of clips.
    pub fn into_grids(self) -> impl Iterator<Item = TokenGrid> {
        let pictures = self.pictures.into_iter().map(|one| one.tokens.grid);
        pictures.chain(self.clips.into_iter().map(|one| one.tokens.grid))
    }

    /// Whether a checkpoint's metadata say that it is a token file.
    pub fn is_token_file(checkpoint: &Checkpoint) -> bool {
        let format = checkpoint.metadata.get("format");
        format.is_some_and(|format| format.starts_with("bsq tokens "))
    }

    /// Writes the file, whole or not at all. `model` is the one that made the tokens.
    ///
    /// # Errors
    /// If the file cannot be written or memory runs out.
    pub fn save(&self, model: &ModelFile, path: &Path) -> Result<(), TokenFileError> {
        let layout = Layout::of(model);
        let format = if self.clips.is_empty() {
            PICTURES
        } else {
            CLIPS
        };
        let mut metadata = BTreeMap::from([
            ("format".to_string(), format.to_string()),
            ("model".to_string(), self.model.clone()),
            ("model_name".to_string(), self.model_name.clone()),
            (
                "window".to_string(),
                format!("{}x{}", layout.window.width, layout.window.height),
            ),
        ]);
        let mut tensors = Vec::new();
        let mut add = |prefix: String, entry: Entry, grid: &TokenGrid| {
            let named = Named {
                prefix: &prefix,
                frames: entry.frames,
            };
            tensors.extend(layout.tensors(grid, &named)?);
            metadata.insert(prefix, json!(entry).to_string());
            Ok::<_, TensorError>(())
        };
        for (number, NamedTokens { name, tokens }) in self.pictures.iter().enumerate() {
            let entry = Entry::new(name, tokens.size);
            add(format!("pictures.{number}"), entry, &tokens.grid)?;
        }
        for (number, clip) in self.clips.iter().enumerate() {
            let NamedClip {
                name,
                rate,
                overlap,
                tokens,
            } = clip;
            let entry = Entry {
                overlap: (*overlap > 0).then_some(*overlap),
                frames: Some(tokens.grid.shape.frames),
                frame_rate: Some(rate.to_string()),
                ..Entry::new(name, tokens.size)
            };
            add(format!("clips.{number}"), entry, &tokens.grid)?;
        }
        let tensors = tensors.iter().map(|(name, tensor)| (name.clone(), tensor));
        Ok(checkpoint::safetensors::save(path, tensors, &metadata)?)
    }

    /// Reads a file, which `model` must have made.
    ///
    /// # Errors
    /// [`TokenFileError`]: everything in the file is checked against the model and against itself.
    pub fn load(path: &Path, model: &ModelFile) -> Result<TokenFile, TokenFileError> {
        let checkpoint = checkpoint::load(path, Weights::Ema)?;
        TokenFile::from_checkpoint(path, &checkpoint, model)
    }

    /// The same of a file whose tensors have been read.
    ///
    /// # Errors
    /// As for [`load`](TokenFile::load).
    pub fn from_checkpoint(
        path: &Path,
        checkpoint: &Checkpoint,
        model: &ModelFile,
    ) -> Result<TokenFile, TokenFileError> {
        let content = |problem: String| TokenFileError::Content {
            path: path.into(),
            problem,
        };
        let text = |key: &str| checkpoint.metadata.get(key).map(String::as_str);
        match text("format") {
            Some(PICTURES | CLIPS) => {}
            Some(LEVELS) => {
                return Err(content(
                    "levels of a transform codec, and no tokens of a tokenizer".to_string(),
                ));
            }
            Some(other) if TokenFile::is_token_file(checkpoint) => {
                return Err(content(format!(
                    "format {other:?} is newer than this program, which reads {LEVELS:?}"
                )));
            }
            _ => {
                return Err(content(
                    "not a token file: `bsq tokens` writes those".to_string(),
                ));
            }
        }
        let given = fingerprint(model.tokenizer.config(), &model.parameters);
        let its = text("model").unwrap_or("unknown").to_string();
        let its_name = text("model_name").unwrap_or("unknown").to_string();
        if its != given {
            return Err(TokenFileError::OtherModel {
                path: path.into(),
                its,
                its_name,
                given,
                given_name: model.name.clone(),
            });
        }
        let layout = Layout::of(model);
        let (mut pictures, mut clips) = (Vec::new(), Vec::new());
        while let Some(entry) = text(&format!("pictures.{}", pictures.len())) {
            let number = pictures.len();
            let read = Entry::read(entry).and_then(|entry| {
                let named = Named {
                    prefix: &format!("pictures.{number}"),
                    frames: None,
                };
                let (name, size) = (entry.name.clone(), entry.size());
                let grid = layout.grid(checkpoint, &named, size)?;
                let tokens = PictureTokens { size, grid };
                Ok(NamedTokens { name, tokens })
            });
            pictures.push(read.map_err(|problem| content(format!("picture {number}: {problem}")))?);
        }
        while let Some(entry) = text(&format!("clips.{}", clips.len())) {
            let number = clips.len();
            let read = Entry::read(entry).and_then(|entry| {
                let rate = entry.frame_rate.as_deref().unwrap_or("none");
                let rate = rate.parse().map_err(|_| format!("a rate of {rate}"))?;
                let named = Named {
                    prefix: &format!("clips.{number}"),
                    frames: Some(entry.frames.unwrap_or(0)),
                };
                let (name, size) = (entry.name.clone(), entry.size());
                let grid = layout.grid(checkpoint, &named, size)?;
                let tokens = ClipTokens { size, grid };
                let overlap = entry.overlap.unwrap_or(0);
                let chunks = Chunks::of(&model.tokenizer, overlap);
                chunks.map_err(|error| error.to_string())?;
                Ok(NamedClip {
                    name,
                    rate,
                    overlap,
                    tokens,
                })
            });
            clips.push(read.map_err(|problem| content(format!("clip {number}: {problem}")))?);
        }
        let count = pictures.len() + clips.len();
        let expected = count * layout.kinds().len();
        if count == 0 || checkpoint.tensors.len() != expected {
            let what = if clips.is_empty() {
                "pictures"
            } else {
                "pictures and clips"
            };
            return Err(content(format!(
                "{} tensors for {count} {what}, where {expected} belong",
                checkpoint.tensors.len(),
            )));
        }
        Ok(TokenFile {
            model: its,
            model_name: its_name,
            pictures,
            clips,
        })
    }
}

impl Entry {
    fn new(name: &str, ImageSize { height, width }: ImageSize) -> Entry {
        Entry {
            name: name.to_string(),
            width,
            height,
            frames: None,
            frame_rate: None,
            overlap: None,
        }
    }

    fn read(text: &str) -> Result<Entry, String> {
        serde_json::from_str(text).map_err(|error| format!("its metadata: {error}"))
    }

    fn size(&self) -> ImageSize {
        ImageSize {
            height: self.height,
            width: self.width,
        }
    }
}

#[cfg(test)]
mod tests;
