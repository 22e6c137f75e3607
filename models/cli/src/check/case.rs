//! The files of a recorded case.

use super::Kind;
use bsq::config::ConfigError;
use bsq::tokenizer::LoadError;
use bsq_runtime::checkpoint::{Checkpoint, CheckpointError, Weights, load};
use bsq_runtime::executor::{ExecutionError, Tensors};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Why a case could not be run. A tensor that is off is no error but a
/// [`Comparison`](super::Comparison) that fails.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A description cannot be read.
    #[error("{}: {reason}", path.display())]
    Description { path: PathBuf, reason: String },
    /// Tensors cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The recorded configuration is none that this implementation knows.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The recorded weights do not fit the recorded configuration.
    #[error(transparent)]
    Weights(#[from] LoadError),
    /// A tensor that the case needs is absent.
    #[error("the case has no tensor `{0}`")]
    NoTensor(String),
    /// A tensor cannot be held, or has another type.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Real weights, which are in no repository, are not where they are looked for.
    #[error(
        "{file} is not at hand: give its folder with --weights, or in BSQ_WEIGHTS{}",
        made_by.as_ref().map_or(String::new(), |script| format!(" ({script} makes it)"))
    )]
    NoWeights {
        file: String,
        made_by: Option<String>,
    },
    /// The weights of a discriminator do not fit the recorded configuration.
    #[error(transparent)]
    Discriminator(#[from] bsq::discriminator::LoadError),
    /// Those of LPIPS do not.
    #[error(transparent)]
    Lpips(#[from] bsq::lpips::WeightsError),
    /// Those of I3D do not.
    #[error(transparent)]
    I3d(#[from] bsq::i3d::I3dError),
    /// The computation failed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

/// A description and the recorded tensors beside it.
pub(super) struct Case {
    pub name: String,
    pub kind: Kind,
    path: PathBuf,
    pub description: Value,
    /// Inputs and results; empty if the case has none.
    pub recorded: Tensors,
    /// Where real weights are.
    weights: Option<PathBuf>,
}

impl Case {
    pub fn read(path: &Path, weights: Option<&Path>) -> Result<Case, CheckError> {
        let fail = |reason: String| CheckError::Description {
            path: path.into(),
            reason,
        };
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| fail(format!("cannot be read: {error}")))?;
        let description: Value =
            serde_json::from_str(&text).map_err(|error| fail(format!("is not JSON: {error}")))?;
        let kind = Kind::of(&description);
        let kind = kind.ok_or_else(|| fail("does not describe a recorded case".to_string()))?;
        let name = path.file_stem().unwrap_or_default();
        let mut case = Case {
            name: name.to_string_lossy().into_owned(),
            kind,
            path: path.into(),
            description,
            recorded: Tensors::new(),
            weights: weights.map(Path::to_path_buf),
        };
        let tables = [Kind::LearningRate];
        if !tables.contains(&kind) {
            case.recorded = case.tensors("io")?.tensors;
        }
        Ok(case)
    }

    /// `NAME.WHAT.safetensors`.
    pub fn tensors(&self, what: &str) -> Result<Checkpoint, CheckError> {
        Ok(load(self.beside(what), Weights::Raw)?)
    }

    /// The same, if there is such a file.
    pub fn optional_tensors(&self, what: &str) -> Result<Option<Checkpoint>, CheckError> {
        match self.beside(what).exists() {
            true => Ok(Some(self.tensors(what)?)),
            false => Ok(None),
        }
    }

    /// The path of `NAME.WHAT.safetensors`.
    pub fn beside(&self, what: &str) -> PathBuf {
        self.path.with_extension(format!("{what}.safetensors"))
    }

    /// The case beside this one that it is a variant of: `NAME0` of `NAME1`.
    pub fn twin(&self) -> Option<Case> {
        let stem = self.name.trim_end_matches(|c: char| c.is_ascii_digit());
        let path = self.path.with_file_name(format!("{stem}0.json"));
        let is_other = stem.len() < self.name.len() && path != self.path && path.exists();
        let read = || Case::read(&path, self.weights.as_deref()).ok();
        is_other.then(read).flatten()
    }

    /// The file of real weights that the description names; `None` if it names none.
    pub fn weights_file(&self) -> Result<Option<PathBuf>, CheckError> {
        let weights = &self.description["weights"];
        let Some(file) = weights["file"].as_str() else {
            return Ok(None);
        };
        let folders = self
            .weights
            .iter()
            .map(PathBuf::as_path)
            .chain(self.path.parent());
        let mut paths = folders.map(|folder| folder.join(file));
        match paths.find(|path| path.exists()) {
            Some(path) => Ok(Some(path)),
            None => Err(CheckError::NoWeights {
                file: file.into(),
                made_by: weights["made_by"].as_str().map(String::from),
            }),
        }
    }

    /// An input of the case.
    pub fn tensor(&self, name: &str) -> Result<&HostTensor, CheckError> {
        let tensor = self.recorded.get(name);
        tensor.ok_or_else(|| CheckError::NoTensor(name.to_string()))
    }

    /// A number of the description, such as `hp.lr`.
    pub fn number(&self, key: &str) -> Result<f64, CheckError> {
        let value = key.split('.').fold(&self.description, |at, key| &at[key]);
        value.as_f64().ok_or_else(|| self.fail(key, "a number"))
    }

    /// A number of the description, if it has the key.
    pub fn optional_number(&self, key: &str) -> Option<f64> {
        self.description.get(key).and_then(Value::as_f64)
    }

    /// That the description lacks something.
    pub fn fail(&self, key: &str, expected: &str) -> CheckError {
        CheckError::Description {
            path: self.path.clone(),
            reason: format!("`{key}` should be {expected}"),
        }
    }
}

/// The tensors below a prefix, without it.
pub(super) fn part(checkpoint: &Checkpoint, prefix: &str) -> Checkpoint {
    let tensors = checkpoint.tensors.iter();
    let tensors = tensors.filter_map(|(name, tensor)| {
        Some((name.strip_prefix(prefix)?.to_string(), tensor.clone()))
    });
    Checkpoint {
        tensors: tensors.collect(),
        ..checkpoint.clone()
    }
}
