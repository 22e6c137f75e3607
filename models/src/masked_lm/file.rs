//! Trained masked language models as files: weights, configuration, and whose tokens they know.

use super::{MaskedLm, parameter_specs};
use crate::config::{MaskedLmConfig, MaskedLmModelConfig, Masking};
use crate::pipeline::Fnv;
use crate::weights_file::{CONFIG, WeightsFileError, config_in, count, name_of, rounded};
use bsq_ir::DType;
use bsq_nn::init::init;
use bsq_nn::train::TrainingCheckpoint;
use bsq_runtime::checkpoint::{self, Checkpoint, Weights, match_parameters};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::TensorError;
use std::collections::BTreeMap;
use std::path::Path;

/// The key of the tokenizer's fingerprint in the metadata.
pub(crate) const TOKENIZER: &str = "tokenizer";

/// A masked language model with its weights.
#[derive(Clone, Debug)]
pub struct MaskedLmFile {
    /// What to call it in messages: the file's name, or that of a model that ships.
    pub name: String,
    /// What it was trained with.
    pub config: MaskedLmConfig,
    /// The architecture.
    pub model: MaskedLm,
    /// Every parameter by name, `f32`.
    pub parameters: Tensors,
    /// The [`fingerprint`](crate::pipeline::fingerprint) of the tokenizer whose tokens it knows.
    pub tokenizer: String,
}

impl MaskedLmFile {
    /// Reads a masked language model, or the checkpoint of its training, of which the averaged
    /// weights are taken where there are any.
    ///
    /// # Errors
    /// [`WeightsFileError`], naming the file.
    pub fn open(path: &Path) -> Result<MaskedLmFile, WeightsFileError> {
        let checkpoint = checkpoint::load(path, Weights::Ema)?;
        MaskedLmFile::from_checkpoint(&name_of(path), path, &checkpoint)
    }

    /// That of a checkpoint that has been read from `path`.
    ///
    /// # Errors
    /// [`WeightsFileError`], naming the file.
    pub fn from_checkpoint(
        name: &str,
        path: &Path,
        checkpoint: &Checkpoint,
    ) -> Result<MaskedLmFile, WeightsFileError> {
        let kind = ("masked language model", "masked_lm");
        let config = config_in(path, checkpoint, kind, MaskedLmConfig::from_toml)?;
        let Some(tokenizer) = checkpoint.metadata.get(TOKENIZER).cloned() else {
            let (path, (what, section)) = (path.into(), kind);
            return Err(WeightsFileError::Other {
                path,
                what,
                section,
            });
        };
        let model = MaskedLm::new(&config.masked_lm);
        let weights = TrainingCheckpoint::weights_of(path, checkpoint.clone(), Weights::Ema);
        let parameters = fitted(&model, &weights, path)?;
        Ok(MaskedLmFile {
            name: name.to_string(),
            config,
            model,
            parameters,
            tokenizer,
        })
    }

    /// A model as training starts, for a tokenizer of that fingerprint.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn untrained(
        name: &str,
        config: MaskedLmConfig,
        tokenizer: &str,
    ) -> Result<MaskedLmFile, TensorError> {
        let model = MaskedLm::new(&config.masked_lm);
        Ok(MaskedLmFile {
            name: name.to_string(),
            parameters: init(&parameter_specs(&model), config.train.seed)?,
            config,
            model,
            tokenizer: tokenizer.to_string(),
        })
    }

    /// Writes a safetensors file that [`open`](MaskedLmFile::open) reads, whole or not at all, with
    /// weights rounded to `dtype`, and without the names of this machine's folders.
    ///
    /// # Errors
    /// If `dtype` is no floating-point format, or the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), WeightsFileError> {
        let mut config = self.config.clone();
        config.data.forget_folders();
        let metadata = BTreeMap::from([
            ("format".to_string(), "bsq masked lm".to_string()),
            (CONFIG.to_string(), config.to_toml()),
            (TOKENIZER.to_string(), self.tokenizer.clone()),
        ]);
        let rounded = rounded(&self.parameters, dtype)?;
        Ok(checkpoint::safetensors::save(path, &rounded, &metadata)?)
    }

    /// What must be equal for a seed to stand for the same tokens: the architecture, every bit of
    /// the parameters, and the tokenizer.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv::default();
        let MaskedLmModelConfig {
            bits,
            tokens,
            classes,
            groups,
            width,
            layers,
            heads,
            mlp_ratio: _,
            masking,
            schedule: _,
            label_smoothing: _,
            loss_on_known: _,
            class_dropout: _,
            dropout: _,
        } = self.model.config();
        hash.bytes(b"masked lm");
        hash.numbers(&[*bits, *tokens, classes.len(), *groups]);
        hash.numbers(&[*width, *layers, *heads, self.model.config().mlp_width()]);
        hash.number(match masking {
            Masking::SubToken => 0,
            Masking::Token => 1,
        });
        hash.bytes(self.tokenizer.as_bytes());
        hash.parameters(&self.parameters);
        hash.0
    }

    /// Numbers in all parameters.
    pub fn parameter_count(&self) -> usize {
        count(&self.parameters)
    }
}

/// The parameters of a model among the tensors of a file.
pub(crate) fn fitted(
    model: &MaskedLm,
    weights: &Checkpoint,
    path: &Path,
) -> Result<Tensors, WeightsFileError> {
    let specs = parameter_specs(model);
    let expected = specs.iter().map(|spec| (&spec.name, &spec.ty.shape[..]));
    let tensors = match_parameters(weights, expected, &[]);
    let tensors = tensors.map_err(|error| WeightsFileError::Mismatch {
        path: path.into(),
        error,
    })?;
    let mut parameters = Tensors::new();
    for (spec, tensor) in specs.iter().zip(tensors) {
        parameters.insert(spec.name.clone(), tensor.to_dtype(DType::F32)?);
    }
    Ok(parameters)
}
