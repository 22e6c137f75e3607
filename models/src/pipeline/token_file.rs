//! Token files: the tokens of pictures as safetensors, readable by anything that reads those.
//!
//! Per picture `n`, counted from 0, windows row by row and tokens of a window row by row:
//!
//! | tensor | type and shape | |
//! |---|---|---|
//! | `pictures.n.bits` | `bool [windows, tokens, bits]` | binary spherical quantization |
//! | `pictures.n.group_indices` | `u64 [windows, tokens, groups]` | the same bits, each group as a number, first bit most significant |
//! | `pictures.n.indices` | `u64 [windows, tokens]` | vector quantization: rows of the table |
//!
//! The metadata are text: `format` and its version, `model` and `model_name`, `window` (columns x
//! rows in pixels), and per picture `pictures.n` with its name and size as JSON.

use super::picture::{from_windows, to_windows};
use super::{ModelFile, PictureTokens, fingerprint};
use crate::config::QuantizerConfig;
use crate::image_io::{ImageSize, Windows};
use crate::token_grid::GridShape;
use crate::tokenizer::bits::{bits_of, index_of, join_index, split_index};
use bsq_runtime::checkpoint::{self, Checkpoint, CheckpointError, Weights};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The format's name and version.
const FORMAT: &str = "bsq tokens 1";

/// The tokens of some pictures, and which model made them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    /// The [`fingerprint`] of the model.
    pub model: String,
    /// What the model was called.
    pub model_name: String,
    /// The pictures, in order.
    pub pictures: Vec<NamedTokens>,
}

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTokens {
    /// The name of the picture's file.
    pub name: String,
    /// Its tokens.
    pub tokens: PictureTokens,
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

/// The entry of a picture in the metadata.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    width: usize,
    height: usize,
}

/// How a model lays out its tokens.
struct Layout {
    /// A window in pixels, and in tokens.
    window: ImageSize,
    grid: GridShape,
    /// Bits and group size of binary spherical quantization; `None` for a table of codes.
    binary: Option<(usize, usize)>,
}

impl TokenFile {
    /// A file of the tokens that `model` made.
    pub fn new(model: &ModelFile, pictures: Vec<NamedTokens>) -> TokenFile {
        TokenFile {
            model: fingerprint(model.tokenizer.config(), &model.parameters),
            model_name: model.name.clone(),
            pictures,
        }
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
        let mut metadata = BTreeMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("model".to_string(), self.model.clone()),
            ("model_name".to_string(), self.model_name.clone()),
            (
                "window".to_string(),
                format!("{}x{}", layout.window.width, layout.window.height),
            ),
        ]);
        let mut tensors = Vec::new();
        for (number, picture) in self.pictures.iter().enumerate() {
            let NamedTokens { name, tokens } = picture;
            let (width, height) = (tokens.size.width, tokens.size.height);
            let entry = json!({ "name": name, "width": width, "height": height }).to_string();
            metadata.insert(format!("pictures.{number}"), entry);
            for (kind, tensor) in layout.tensors(&to_windows(&tokens.grid, layout.grid))? {
                tensors.push((format!("pictures.{number}.{kind}"), tensor));
            }
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
            Some(FORMAT) => {}
            Some(other) if TokenFile::is_token_file(checkpoint) => {
                return Err(content(format!(
                    "format {other:?} is newer than this program, which reads {FORMAT:?}"
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
        let mut pictures = Vec::new();
        while let Some(entry) = text(&format!("pictures.{}", pictures.len())) {
            let number = pictures.len();
            let picture = layout.picture(checkpoint, number, entry);
            pictures
                .push(picture.map_err(|problem| content(format!("picture {number}: {problem}")))?);
        }
        let expected = pictures.len() * layout.kinds().len();
        if pictures.is_empty() || checkpoint.tensors.len() != expected {
            return Err(content(format!(
                "{} tensors for {} pictures, where {expected} belong",
                checkpoint.tensors.len(),
                pictures.len()
            )));
        }
        Ok(TokenFile {
            model: its,
            model_name: its_name,
            pictures,
        })
    }
}

impl Layout {
    fn of(model: &ModelFile) -> Layout {
        let config = model.tokenizer.config();
        Layout {
            window: config.encoder.image_size,
            grid: config.encoder.grid(),
            binary: match &config.quantizer {
                QuantizerConfig::Bsq(bsq) => Some((bsq.embed_dim, bsq.embed_group_size)),
                QuantizerConfig::Vq(_) | QuantizerConfig::Fsq(_) => None,
            },
        }
    }

    /// Tensors of a picture.
    fn kinds(&self) -> &'static [&'static str] {
        match self.binary {
            Some(_) => &["bits", "group_indices"],
            None => &["indices"],
        }
    }

    /// The tensors of a picture's indices, which stand window by window.
    fn tensors(&self, indices: &[u64]) -> Result<Vec<(&'static str, HostTensor)>, TensorError> {
        let each = self.grid.tokens();
        let windows = indices.len() / each;
        let Some((width, size)) = self.binary else {
            let tensor = HostTensor::from_slice([windows, each], indices)?;
            return Ok(vec![("indices", tensor)]);
        };
        let bits: Vec<bool> = indices.iter().flat_map(|&i| bits_of(i, width)).collect();
        let groups = indices.iter().flat_map(|&i| split_index(i, width, size));
        let groups: Vec<u64> = groups.collect();
        Ok(vec![
            (
                "bits",
                HostTensor::from_slice([windows, each, width], &bits)?,
            ),
            (
                "group_indices",
                HostTensor::from_slice([windows, each, width / size], &groups)?,
            ),
        ])
    }

    /// A picture of the file, checked.
    fn picture(
        &self,
        checkpoint: &Checkpoint,
        number: usize,
        entry: &str,
    ) -> Result<NamedTokens, String> {
        let Entry {
            name,
            width,
            height,
        } = serde_json::from_str(entry).map_err(|error| format!("its metadata: {error}"))?;
        let (size, each) = (ImageSize { height, width }, self.grid.tokens());
        let over = Windows::over(size, self.window);
        let (across, down) = (over.across(), over.down());
        let windows = across
            .checked_mul(down)
            .filter(|&windows| windows > 0)
            .ok_or_else(|| format!("a size of {width}x{height} pixels"))?;
        let indices = match self.binary {
            None => self.read::<u64>(checkpoint, number, "indices", &[windows, each])?,
            Some((bits, size)) => {
                let shape = [windows, each, bits / size];
                let groups = self.read::<u64>(checkpoint, number, "group_indices", &shape)?;
                if let Some(group) = groups.iter().find(|&&group| group >> size != 0) {
                    return Err(format!("group index {group} has more than {size} bits"));
                }
                let groups = groups.chunks_exact(bits / size);
                let indices: Vec<u64> = groups.map(|token| join_index(token, size)).collect();
                let shape = [windows, each, bits];
                let all = self.read::<bool>(checkpoint, number, "bits", &shape)?;
                let from_bits = all.chunks_exact(bits).map(index_of);
                if !from_bits.eq(indices.iter().copied()) {
                    return Err("its bits are not those of its group indices".to_string());
                }
                indices
            }
        };
        let shape = GridShape::still(down * self.grid.rows, across * self.grid.columns);
        let grid = from_windows(shape, self.grid, &indices);
        let tokens = PictureTokens { size, grid };
        Ok(NamedTokens { name, tokens })
    }

    /// The elements of a tensor of a known type and shape.
    fn read<T: bsq_runtime::tensor_data::Element>(
        &self,
        checkpoint: &Checkpoint,
        number: usize,
        kind: &str,
        shape: &[usize],
    ) -> Result<Vec<T>, String> {
        let name = format!("pictures.{number}.{kind}");
        let tensor = checkpoint
            .tensors
            .get(&name)
            .ok_or_else(|| format!("`{name}` is missing"))?;
        if tensor.shape() != shape {
            return Err(format!(
                "`{name}` has shape {:?}, but a picture of this size and model has {shape:?}",
                tensor.shape()
            ));
        }
        let elements = tensor
            .as_slice::<T>()
            .map_err(|error| format!("`{name}`: {error}"))?;
        Ok(elements.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{picture, tiny};
    use crate::pipeline::{CompileOptions, TokenizerSession};

    fn file(model: &ModelFile) -> TokenFile {
        let mut session = TokenizerSession::new(model, CompileOptions::default());
        let sizes = [("a.png", 20, 33), ("b.jpg", 1, 1)];
        let pictures = sizes.map(|(name, width, height)| NamedTokens {
            name: name.to_string(),
            tokens: session
                .encode_picture(&picture(width, height), &mut |_| {})
                .unwrap(),
        });
        TokenFile::new(model, pictures.to_vec())
    }

    #[test]
    fn tokens_survive_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.safetensors");
        let model = tiny(2);
        let tokens = file(&model);
        tokens.save(&model, &path).unwrap();
        assert_eq!(TokenFile::load(&path, &model).unwrap(), tokens);

        let error = TokenFile::load(&path, &tiny(3)).unwrap_err();
        assert!(
            matches!(error, TokenFileError::OtherModel { .. }),
            "{error}"
        );
    }

    #[test]
    fn contradictions_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.safetensors");
        let model = tiny(2);
        file(&model).save(&model, &path).unwrap();
        let good = checkpoint::load(&path, Weights::Ema).unwrap();
        let refused = |change: &dyn Fn(&mut Checkpoint), words: &str| {
            let mut bad = good.clone();
            change(&mut bad);
            let error = TokenFile::from_checkpoint(&path, &bad, &model).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        };
        refused(
            &|file| {
                file.metadata.remove("format");
            },
            "not a token file",
        );
        refused(
            &|file| {
                file.metadata.insert("format".into(), "bsq tokens 2".into());
            },
            "newer than this program",
        );
        refused(
            &|file| {
                file.metadata.remove("pictures.1");
            },
            "4 tensors for 1 pictures",
        );
        refused(
            &|file| {
                let entry = r#"{"name":"a","width":99,"height":33}"#;
                file.metadata.insert("pictures.0".into(), entry.into());
            },
            "but a picture of this size",
        );
        refused(
            &|file| {
                let entry = r#"{"name":"a","width":0,"height":33}"#;
                file.metadata.insert("pictures.0".into(), entry.into());
            },
            "a size of 0x33",
        );
        refused(
            &|file| {
                let bits = file.tensors.get_mut("pictures.0.bits").unwrap();
                let bits = bits.as_mut_slice::<bool>().unwrap();
                bits[7] = !bits[7];
            },
            "not those of its group indices",
        );
        refused(
            &|file| {
                let groups = file.tensors.get_mut("pictures.0.group_indices").unwrap();
                groups.as_mut_slice::<u64>().unwrap()[0] = 8;
            },
            "has more than 3 bits",
        );
    }
}
