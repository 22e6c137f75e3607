//! Trained transform codecs as files: weights and their configuration.

use super::{TransformCodec, is_of_encoder, parameter_specs};
use crate::config::{ConfigError, TransformCodecConfig, TransformCodecModelConfig};
use crate::pipeline::Fnv;
use bsq_ir::DType;
use bsq_nn::init::init;
use bsq_nn::train::{TrainError, TrainingCheckpoint};
use bsq_runtime::checkpoint::{
    self, Checkpoint, CheckpointError, Mismatch, Weights, match_parameters,
};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The key of the configuration in the metadata.
const CONFIG: &str = "config";

/// A transform codec with its weights.
#[derive(Clone, Debug)]
pub struct TransformCodecFile {
    /// What to call it in messages: the file's name, or that of a codec that ships.
    pub name: String,
    /// What it was trained with.
    pub config: TransformCodecConfig,
    /// The architecture.
    pub codec: TransformCodec,
    /// Every parameter by name, `f32`.
    pub parameters: Tensors,
}

/// Why a file is not a usable transform codec.
#[derive(Debug, thiserror::Error)]
pub enum TransformCodecFileError {
    /// The weights cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It is some other file of weights.
    #[error("{path}: not a transform codec: `bsq train` makes one from a configuration with a section [transform_codec]", path = path.display())]
    NotACodec {
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
    /// Weights and configuration are not of one codec.
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

impl TransformCodecFile {
    /// Whether a file of weights says that it is a transform codec.
    pub fn is_codec(checkpoint: &Checkpoint) -> bool {
        let config = checkpoint.metadata.get(CONFIG);
        config.is_some_and(|config| TransformCodecConfig::is_transform_codec(config))
    }

    /// Reads a codec, or the checkpoint of a codec's training, of which the averaged weights are
    /// taken where there are any.
    ///
    /// # Errors
    /// [`TransformCodecFileError`], naming the file.
    pub fn open(path: &Path) -> Result<TransformCodecFile, TransformCodecFileError> {
        let checkpoint = checkpoint::load(path, Weights::Ema)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        TransformCodecFile::from_checkpoint(&name.to_string_lossy(), path, &checkpoint)
    }

    /// The codec of a checkpoint that has been read from `path`.
    ///
    /// # Errors
    /// [`TransformCodecFileError`], naming the file.
    pub fn from_checkpoint(
        name: &str,
        path: &Path,
        checkpoint: &Checkpoint,
    ) -> Result<TransformCodecFile, TransformCodecFileError> {
        let not_a_codec = || TransformCodecFileError::NotACodec { path: path.into() };
        let training = TrainingCheckpoint::of(path, checkpoint).ok();
        let (text, weights) = match &training {
            Some(training) => {
                let weights = Checkpoint {
                    tensors: training.parameters(Weights::Ema),
                    ..checkpoint.clone()
                };
                (training.settings.as_str(), weights)
            }
            None => {
                let text = checkpoint.metadata.get(CONFIG).ok_or_else(not_a_codec)?;
                (text.as_str(), checkpoint.clone())
            }
        };
        if !TransformCodecConfig::is_transform_codec(text) {
            return Err(not_a_codec());
        }
        let config = TransformCodecConfig::from_toml(text);
        let config = config.map_err(|error| TransformCodecFileError::Config {
            path: path.into(),
            error: Box::new(error),
        })?;
        let codec = TransformCodec::new(&config.model);
        let specs = parameter_specs(&codec);
        let expected = specs.iter().map(|spec| (&spec.name, &spec.ty.shape[..]));
        let tensors = match_parameters(&weights, expected, &[]);
        let tensors = tensors.map_err(|error| TransformCodecFileError::Mismatch {
            path: path.into(),
            error,
        })?;
        let mut parameters = Tensors::new();
        for (spec, tensor) in specs.iter().zip(tensors) {
            parameters.insert(spec.name.clone(), tensor.to_dtype(DType::F32)?);
        }
        Ok(TransformCodecFile {
            name: name.to_string(),
            config,
            codec,
            parameters,
        })
    }

    /// A codec with random weights.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn untrained(
        name: &str,
        config: TransformCodecConfig,
    ) -> Result<TransformCodecFile, TensorError> {
        let codec = TransformCodec::new(&config.model);
        Ok(TransformCodecFile {
            name: name.to_string(),
            parameters: init(&parameter_specs(&codec), config.train.seed)?,
            config,
            codec,
        })
    }

    /// Writes a safetensors file that [`open`](TransformCodecFile::open) reads, whole or not at all,
    /// with matrices rounded to `dtype`: another codec, unless that is `f32`.
    ///
    /// # Errors
    /// If `dtype` is no floating-point format, or the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), TransformCodecFileError> {
        // Where its pictures lay is nobody's affair.
        let mut config = self.config.clone();
        (config.data.train_root, config.data.val_root) = (None, None);
        let metadata = BTreeMap::from([
            ("format".to_string(), "bsq transform codec".to_string()),
            (CONFIG.to_string(), config.to_toml()),
        ]);
        let mut rounded = Tensors::new();
        for (name, tensor) in &self.parameters {
            let written = match tensor.shape().len() {
                // Biases are few, and transforms sharp.
                0 | 1 => tensor.clone(),
                _ if name.contains("transform.") => tensor.clone(),
                _ => tensor.to_dtype(dtype)?,
            };
            rounded.insert(name.clone(), written);
        }
        Ok(checkpoint::safetensors::save(path, &rounded, &metadata)?)
    }

    /// What must be equal for a stream of one codec to be decodable with another: the
    /// architecture, and every bit of the parameters, but not those of the encoder.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv::default();
        let TransformCodecModelConfig {
            coordinates,
            base_coordinates,
            second_level,
            steepness,
            rounding: _,
            encoder_width: _,
            encoder_blocks: _,
            decoder_width,
            decoder_blocks,
            context_width,
            level_width,
            coarse_context_width,
            detail_context_width,
            detail_level_width,
        } = self.codec.config();
        hash.bytes(b"transform codec");
        hash.numbers(&[*coordinates, *base_coordinates]);
        hash.number(u64::from(*second_level));
        hash.number(steepness.to_bits());
        hash.numbers(&[*decoder_width, *decoder_blocks]);
        hash.numbers(&[*context_width, *level_width, *coarse_context_width]);
        hash.numbers(&[*detail_context_width, *detail_level_width]);
        let decoder = self.parameters.iter();
        let decoder = decoder.filter(|(name, _)| !is_of_encoder(name));
        hash.parameters(&decoder.map(|(name, x)| (name.clone(), x.clone())).collect());
        hash.0
    }

    /// Numbers in all parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameters
            .values()
            .map(HostTensor::element_count)
            .sum()
    }
}
