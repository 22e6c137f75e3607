//! Trained priors as files: weights, their configuration, and the tokenizer that they are for.

use super::{PriorModel, parameter_specs};
use crate::config::{ConfigError, PositionEncoding, PriorConfig, PriorModelConfig};
use crate::init::init;
use crate::pipeline::Fnv;
use crate::train::{TrainError, TrainingCheckpoint};
use bsq_ir::DType;
use bsq_runtime::checkpoint::{
    self, Checkpoint, CheckpointError, Mismatch, Weights, match_parameters,
};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Keys of the metadata.
const CONFIG: &str = "config";
pub(crate) const TOKENIZER: &str = "tokenizer";

/// A prior with its weights.
#[derive(Clone, Debug)]
pub struct PriorFile {
    /// What to call it in messages: the file's name, or that of a prior that ships.
    pub name: String,
    /// What it was trained with.
    pub config: PriorConfig,
    /// The architecture.
    pub model: PriorModel,
    /// Every parameter, `f32`, by name.
    pub parameters: BTreeMap<String, HostTensor>,
    /// The [`identity`](crate::pipeline::identity) of the tokenizer whose tokens it knows.
    pub tokenizer: String,
}

/// Why a file is not a usable prior.
#[derive(Debug, thiserror::Error)]
pub enum PriorError {
    /// The weights cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It is some other file of weights.
    #[error("{path}: not a prior: `bsq train` makes one from a configuration with a section [prior]", path = path.display())]
    NotAPrior {
        /// The file.
        path: PathBuf,
    },
    /// The configuration in it cannot be used.
    #[error("{path}: the configuration in its metadata: {error}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<ConfigError>,
    },
    /// Weights and configuration are not of one prior.
    #[error("{path}: {error}", path = path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        error: Box<Mismatch>,
    },
    /// It is a training's checkpoint, but an unusable one.
    #[error(transparent)]
    Training(#[from] Box<TrainError>),
    /// Memory runs out.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl PriorFile {
    /// Reads a prior, or the checkpoint of a prior's training, of which the averaged weights are
    /// taken where there are any.
    ///
    /// # Errors
    /// [`PriorError`], naming the file.
    pub fn open(path: &Path) -> Result<PriorFile, PriorError> {
        let checkpoint = checkpoint::load(path, Weights::Ema)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        PriorFile::from_checkpoint(&name.to_string_lossy(), path, &checkpoint)
    }

    /// The prior of a checkpoint that has been read from `path`.
    ///
    /// # Errors
    /// [`PriorError`], naming the file.
    pub fn from_checkpoint(
        name: &str,
        path: &Path,
        checkpoint: &Checkpoint,
    ) -> Result<PriorFile, PriorError> {
        let text = |key: &str| checkpoint.metadata.get(key).map(String::as_str);
        let (Some(config), Some(tokenizer)) = (text(CONFIG), text(TOKENIZER)) else {
            return Err(PriorError::NotAPrior { path: path.into() });
        };
        if !PriorConfig::is_prior(config) {
            return Err(PriorError::NotAPrior { path: path.into() });
        }
        let config = PriorConfig::from_toml(config).map_err(|error| PriorError::Config {
            path: path.into(),
            error: Box::new(error),
        })?;
        let model = PriorModel::new(&config.prior);
        let weights = match TrainingCheckpoint::of(path, checkpoint) {
            Ok(training) => Checkpoint {
                tensors: training.parameters(Weights::Ema),
                ..checkpoint.clone()
            },
            Err(_) => checkpoint.clone(),
        };
        let specs = parameter_specs(&model);
        let expected = specs.iter().map(|spec| (&spec.name, &spec.ty.shape[..]));
        let tensors = match_parameters(&weights, expected, &[]);
        let tensors = tensors.map_err(|error| PriorError::Mismatch {
            path: path.into(),
            error: Box::new(error),
        })?;
        let mut parameters = BTreeMap::new();
        for (spec, tensor) in specs.iter().zip(tensors) {
            parameters.insert(spec.name.clone(), tensor.to_dtype(DType::F32)?);
        }
        Ok(PriorFile {
            name: name.to_string(),
            config,
            model,
            parameters,
            tokenizer: tokenizer.to_string(),
        })
    }

    /// A prior as training starts, for a tokenizer of that identity.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn untrained(
        name: &str,
        config: PriorConfig,
        tokenizer: &str,
    ) -> Result<PriorFile, TensorError> {
        let model = PriorModel::new(&config.prior);
        Ok(PriorFile {
            name: name.to_string(),
            parameters: init(&parameter_specs(&model), config.train.seed)?,
            config,
            model,
            tokenizer: tokenizer.to_string(),
        })
    }

    /// Writes a safetensors file that [`open`](PriorFile::open) reads, whole or not at all, with
    /// the weights rounded to `dtype`.
    ///
    /// # Errors
    /// If `dtype` is no floating-point format, or the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), PriorError> {
        let metadata = BTreeMap::from([
            ("format".to_string(), "bsq prior".to_string()),
            (CONFIG.to_string(), self.config.to_toml()),
            (TOKENIZER.to_string(), self.tokenizer.clone()),
        ]);
        let mut rounded = BTreeMap::new();
        for (name, tensor) in &self.parameters {
            rounded.insert(name.clone(), tensor.to_dtype(dtype)?);
        }
        Ok(checkpoint::safetensors::save(path, &rounded, &metadata)?)
    }

    /// What must be equal for a stream of one prior to be decodable with another: the
    /// architecture, every bit of the parameters, and the tokenizer.
    pub fn identity(&self) -> u64 {
        let mut hash = Fnv::default();
        let PriorModelConfig {
            bits,
            sub_token_bits,
            side,
            slope,
            neighbours,
            width,
            layers,
            heads,
            mlp_ratio: _,
            head_width,
            position,
            truncation: _,
        } = self.model.config();
        hash.bytes(b"prior");
        hash.numbers(&[*bits, *sub_token_bits, *side, *slope, *neighbours]);
        hash.numbers(&[*width, *layers, *heads, *head_width]);
        hash.number(self.model.config().mlp_width() as u64);
        hash.number(match position {
            PositionEncoding::Learned => 0,
            PositionEncoding::Rotary => 1,
        });
        hash.bytes(self.tokenizer.as_bytes());
        hash.parameters(&self.parameters);
        hash.0
    }

    /// Numbers in all parameters.
    pub fn parameter_count(&self) -> usize {
        let counts = self.parameters.values().map(HostTensor::element_count);
        counts.sum()
    }
}
