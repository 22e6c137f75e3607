//! Trained priors as files: weights, their configuration, and the tokenizer that they are for.

use super::{PriorModel, Storage, parameter_specs, store, stored_types};
use crate::config::{PositionEncoding, PriorConfig, PriorModelConfig};
use crate::pipeline::Fnv;
use crate::weights_file::{CONFIG, WeightsFileError, config_in, count, name_of, rounded};
use bsq_ir::DType;
use bsq_nn::init::init;
use bsq_nn::train::TrainingCheckpoint;
use bsq_runtime::checkpoint::{self, Checkpoint, Mismatch, Weights, match_parameters};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::collections::BTreeMap;
use std::path::Path;

/// Keys of the metadata beside the configuration.
pub(crate) const TOKENIZER: &str = "tokenizer";
const STORAGE: &str = "storage";

/// A prior with its weights.
#[derive(Clone, Debug)]
pub struct PriorFile {
    /// What to call it in messages: the file's name, or that of a prior that ships.
    pub name: String,
    /// What it was trained with.
    pub config: PriorConfig,
    /// The architecture.
    pub model: PriorModel,
    /// Every parameter by name, as [`stored_types`] says.
    pub parameters: BTreeMap<String, HostTensor>,
    /// The [`fingerprint`](crate::pipeline::fingerprint) of the tokenizer whose tokens it knows.
    pub tokenizer: String,
}

impl PriorFile {
    /// Reads a prior, or the checkpoint of a prior's training, of which the averaged weights are
    /// taken where there are any.
    ///
    /// # Errors
    /// [`WeightsFileError`], naming the file.
    pub fn open(path: &Path) -> Result<PriorFile, WeightsFileError> {
        let checkpoint = checkpoint::load(path, Weights::Ema)?;
        PriorFile::from_checkpoint(&name_of(path), path, &checkpoint)
    }

    /// The prior of a checkpoint that has been read from `path`.
    ///
    /// # Errors
    /// [`WeightsFileError`], naming the file.
    pub fn from_checkpoint(
        name: &str,
        path: &Path,
        checkpoint: &Checkpoint,
    ) -> Result<PriorFile, WeightsFileError> {
        let kind = ("prior", "prior");
        let config = config_in(path, checkpoint, kind, PriorConfig::from_toml)?;
        let text = |key: &str| checkpoint.metadata.get(key).map(String::as_str);
        let Some(tokenizer) = text(TOKENIZER) else {
            let (path, (what, section)) = (path.into(), kind);
            return Err(WeightsFileError::Other {
                path,
                what,
                section,
            });
        };
        let storage = match text(STORAGE).map(Storage::from_name) {
            None => Storage::F32,
            Some(Some(storage)) => storage,
            Some(None) => return Err(WeightsFileError::Storage { path: path.into() }),
        };
        let model = PriorModel::stored_as(&config.prior, storage);
        let weights = TrainingCheckpoint::weights_of(path, checkpoint.clone(), Weights::Ema);
        let types = stored_types(&model);
        let (bytes, floats): (Vec<_>, Vec<_>) =
            types.iter().partition(|(_, ty)| ty.dtype == DType::U8);
        let expected = floats.iter().map(|(name, ty)| (name, &ty.shape[..]));
        let byte_names: Vec<&str> = bytes.iter().map(|(name, _)| name.as_str()).collect();
        let mismatch = |error: Box<Mismatch>| WeightsFileError::Mismatch {
            path: path.into(),
            error,
        };
        let tensors = match_parameters(&weights, expected, &byte_names).map_err(mismatch)?;
        let mut parameters = BTreeMap::new();
        for ((name, ty), tensor) in floats.iter().zip(tensors) {
            parameters.insert(name.clone(), tensor.to_dtype(ty.dtype)?);
        }
        for (name, ty) in bytes {
            let tensor = weights.tensors.get(name);
            let right = |tensor: &&HostTensor| {
                tensor.dtype() == DType::U8 && *tensor.shape() == ty.shape[..]
            };
            let Some(tensor) = tensor.filter(right) else {
                return Err(mismatch(Box::new(Mismatch {
                    missing: vec![(name.clone(), ty.shape.to_vec())],
                    ..Mismatch::default()
                })));
            };
            parameters.insert(name.clone(), tensor.clone());
        }
        Ok(PriorFile {
            name: name.to_string(),
            config,
            model,
            parameters,
            tokenizer: tokenizer.to_string(),
        })
    }

    /// A prior as training starts, for a tokenizer of that fingerprint.
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

    /// The prior whose weight matrices are these, rounded to be kept in another way. It is
    /// another prior: its probabilities differ.
    ///
    /// # Errors
    /// If the weights are bytes already, or memory runs out.
    pub fn stored_as(&self, storage: Storage) -> Result<PriorFile, TensorError> {
        Ok(PriorFile {
            model: PriorModel::stored_as(&self.config.prior, storage),
            parameters: store(&self.parameters, storage)?,
            ..self.clone()
        })
    }

    /// Writes a safetensors file that [`open`](PriorFile::open) reads, whole or not at all, with
    /// what is `f32` rounded to `dtype`.
    ///
    /// # Errors
    /// If `dtype` is no floating-point format, or the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), WeightsFileError> {
        let mut config = self.config.clone();
        config.data.forget_folders();
        let mut metadata = BTreeMap::from([
            ("format".to_string(), "bsq prior".to_string()),
            (CONFIG.to_string(), config.to_toml()),
            (TOKENIZER.to_string(), self.tokenizer.clone()),
        ]);
        let storage = self.model.storage();
        if storage != Storage::F32 {
            metadata.insert(STORAGE.to_string(), storage.name().to_string());
        }
        let rounded = rounded(&self.parameters, dtype)?;
        Ok(checkpoint::safetensors::save(path, &rounded, &metadata)?)
    }

    /// What must be equal for a stream of one prior to be decodable with another: the
    /// architecture, every bit of the parameters, and the tokenizer.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv::default();
        let PriorModelConfig {
            bits,
            sub_token_bits,
            side,
            slope,
            neighbours,
            frame_before,
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
        // Priors from before there was one keep their fingerprints.
        if *frame_before > 0 {
            hash.bytes(b"frame_before");
            hash.numbers(&[*frame_before]);
        }
        // Nothing for f32: priors from before there was a choice keep their fingerprints.
        if self.model.storage() != Storage::F32 {
            hash.bytes(self.model.storage().name().as_bytes());
        }
        hash.bytes(self.tokenizer.as_bytes());
        hash.parameters(&self.parameters);
        hash.0
    }

    /// Numbers in all parameters.
    pub fn parameter_count(&self) -> usize {
        count(&self.parameters)
    }
}
