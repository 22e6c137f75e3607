//! Trained transform codecs as files: weights and their configuration.

use super::{TransformCodec, is_of_encoder, parameter_specs};
use crate::config::{TransformCodecConfig, TransformCodecModelConfig};
use crate::pipeline::Fnv;
use crate::weights_file::{CONFIG, WeightsFileError, config_in, count, name_of};
use bsq_ir::DType;
use bsq_nn::init::init;
use bsq_nn::train::TrainingCheckpoint;
use bsq_runtime::checkpoint::{self, Checkpoint, Weights, match_parameters};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::TensorError;
use std::collections::BTreeMap;
use std::path::Path;

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
    /// [`WeightsFileError`], naming the file.
    pub fn open(path: &Path) -> Result<TransformCodecFile, WeightsFileError> {
        let checkpoint = checkpoint::load(path, Weights::Ema)?;
        TransformCodecFile::from_checkpoint(&name_of(path), path, &checkpoint)
    }

    /// The codec of a checkpoint that has been read from `path`.
    ///
    /// # Errors
    /// [`WeightsFileError`], naming the file.
    pub fn from_checkpoint(
        name: &str,
        path: &Path,
        checkpoint: &Checkpoint,
    ) -> Result<TransformCodecFile, WeightsFileError> {
        let kind = ("transform codec", "transform_codec");
        let config = config_in(path, checkpoint, kind, TransformCodecConfig::from_toml)?;
        let weights = TrainingCheckpoint::weights_of(path, checkpoint.clone(), Weights::Ema);
        let codec = TransformCodec::new(&config.model);
        let specs = parameter_specs(&codec);
        let expected = specs.iter().map(|spec| (&spec.name, &spec.ty.shape[..]));
        let tensors = match_parameters(&weights, expected, &[]);
        let tensors = tensors.map_err(|error| WeightsFileError::Mismatch {
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

    /// A codec for what frames lack that are predicted, of a checkpoint that has been read from `path`.
    /// Parameters that it does not have are those of `first`, the codec that it was trained beside.
    ///
    /// # Errors
    /// [`WeightsFileError`], naming the file.
    pub fn beside(
        first: &TransformCodecFile,
        (name, path): (&str, &Path),
        mut checkpoint: Checkpoint,
    ) -> Result<TransformCodecFile, WeightsFileError> {
        for (name, tensor) in &first.parameters {
            if !checkpoint.tensors.contains_key(name) {
                checkpoint.tensors.insert(name.clone(), tensor.clone());
            }
        }
        TransformCodecFile::from_checkpoint(name, path, &checkpoint)
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
    /// with matrices rounded to `dtype`: another codec, unless that is `f32`. What the training on predicted
    /// frames kept as it was (`train.freeze`) is left out: see [`beside`](TransformCodecFile::beside).
    ///
    /// # Errors
    /// If `dtype` is no floating-point format, or the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), WeightsFileError> {
        let mut config = self.config.clone();
        config.data.forget_folders();
        let metadata = BTreeMap::from([
            ("format".to_string(), "bsq transform codec".to_string()),
            (CONFIG.to_string(), config.to_toml()),
        ]);
        let mut rounded = Tensors::new();
        let is_kept = |name: &String| {
            let mut frozen = self.config.train.freeze.iter();
            config.clips.is_none() || !frozen.any(|start| name.starts_with(start.as_str()))
        };
        for (name, tensor) in self.parameters.iter().filter(|(name, _)| is_kept(name)) {
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
            expected_features,
            expected_width,
            expected_blocks,
        } = self.codec.config();
        hash.bytes(b"transform codec");
        hash.numbers(&[*coordinates, *base_coordinates]);
        hash.number(u64::from(*second_level));
        hash.number(steepness.to_bits());
        hash.numbers(&[*decoder_width, *decoder_blocks]);
        hash.numbers(&[*context_width, *level_width, *coarse_context_width]);
        hash.numbers(&[*detail_context_width, *detail_level_width]);
        if *expected_features > 0 {
            hash.numbers(&[*expected_features, *expected_width, *expected_blocks]);
        }
        let decoder = self.parameters.iter();
        let decoder = decoder.filter(|(name, _)| !is_of_encoder(name));
        hash.parameters(&decoder.map(|(name, x)| (name.clone(), x.clone())).collect());
        hash.0
    }

    /// Numbers in all parameters.
    pub fn parameter_count(&self) -> usize {
        count(&self.parameters)
    }
}
