//! A model of whatever kind, by the name of one that ships or by path.

use crate::config::{Config, MaskedLmConfig, PriorConfig, TransformCodecConfig};
use crate::masked_lm::MaskedLmFile;
use crate::pipeline::{ModelError, ModelFile};
use crate::pretrained;
use crate::prior::PriorFile;
use crate::transform_codec::TransformCodecFile;
use crate::weights_file::{CONFIG, WeightsFileError};
use bsq_ir::DType;
use bsq_nn::train::TrainingCheckpoint;
use bsq_runtime::checkpoint::{self, Checkpoint, CheckpointError, Selection, Weights};
use bsq_runtime::executor::Tensors;
use std::path::Path;

/// A model with its weights.
pub enum AnyModel {
    Tokenizer(Box<ModelFile>),
    TransformCodec(TransformCodecFile),
    Prior(PriorFile),
    MaskedLm(MaskedLmFile),
}

/// Why a model cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AnyModelError {
    /// A tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] ModelError),
    /// A model of another kind.
    #[error(transparent)]
    Other(#[from] WeightsFileError),
    /// The file of weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl AnyModel {
    /// The model of a name that ships (a transform codec before a tokenizer, that before a masked
    /// language model), or of a path: a file of weights, or the folder of a training. What kind it
    /// is stands in its configuration; `config` is that of weights that have none inside.
    ///
    /// # Errors
    /// [`AnyModelError`], naming the file.
    pub fn open(
        name: &str,
        selection: Selection,
        config: Option<Config>,
    ) -> Result<AnyModel, AnyModelError> {
        if pretrained::codec_names().any(|shipped| shipped == name) {
            return Ok(AnyModel::TransformCodec(pretrained::open_codec(name)?));
        }
        if pretrained::names().any(|shipped| shipped == name) {
            let model = pretrained::open(name, selection)?;
            return Ok(AnyModel::Tokenizer(Box::new(model)));
        }
        if pretrained::masked_lm_names().any(|shipped| shipped == name) {
            return Ok(AnyModel::MaskedLm(pretrained::open_masked_lm(name)?));
        }
        if let Some(config) = config {
            let model = pretrained::open_with(name, selection, config)?;
            return Ok(AnyModel::Tokenizer(Box::new(model)));
        }
        let path = &pretrained::weights_file(Path::new(name));
        let checkpoint = checkpoint::load(path, selection)?;
        let name = &crate::weights_file::name_of(path);
        AnyModel::from_checkpoint(name, path, &checkpoint)
    }

    /// The model of a checkpoint that has been read from `path`, that of a training too, of which the
    /// averaged weights are taken where there are any.
    ///
    /// # Errors
    /// [`AnyModelError`], naming the file.
    pub fn from_checkpoint(
        name: &str,
        path: &Path,
        checkpoint: &Checkpoint,
    ) -> Result<AnyModel, AnyModelError> {
        let is = |kind: fn(&str) -> bool| checkpoint.metadata.get(CONFIG).is_some_and(|c| kind(c));
        if is(PriorConfig::is_prior) {
            let prior = PriorFile::from_checkpoint(name, path, checkpoint)?;
            return Ok(AnyModel::Prior(prior));
        }
        if is(MaskedLmConfig::is_masked_lm) {
            let lm = MaskedLmFile::from_checkpoint(name, path, checkpoint)?;
            return Ok(AnyModel::MaskedLm(lm));
        }
        if is(TransformCodecConfig::is_transform_codec) {
            let codec = TransformCodecFile::from_checkpoint(name, path, checkpoint)?;
            return Ok(AnyModel::TransformCodec(codec));
        }
        let weights = TrainingCheckpoint::weights_of(path, checkpoint.clone(), Weights::Ema);
        let model = ModelFile::from_checkpoint(name, path, &weights)?;
        Ok(AnyModel::Tokenizer(Box::new(model)))
    }

    /// Whether a model ships under that name.
    pub fn ships(name: &str) -> bool {
        let names = pretrained::codec_names().chain(pretrained::names());
        let mut names = names.chain(pretrained::masked_lm_names());
        names.any(|shipped| shipped == name)
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            AnyModel::Tokenizer(_) => "tokenizer",
            AnyModel::TransformCodec(_) => "transform codec",
            AnyModel::Prior(_) => "prior",
            AnyModel::MaskedLm(_) => "masked language model",
        }
    }

    /// What it was trained with, as TOML.
    pub fn config(&self) -> String {
        match self {
            AnyModel::Tokenizer(model) => model.config.to_toml(),
            AnyModel::TransformCodec(codec) => codec.config.to_toml(),
            AnyModel::Prior(prior) => prior.config.to_toml(),
            AnyModel::MaskedLm(lm) => lm.config.to_toml(),
        }
    }

    /// Its parameters by name: the names of a PyTorch state dict.
    pub fn parameters(&self) -> &Tensors {
        match self {
            AnyModel::Tokenizer(model) => &model.parameters,
            AnyModel::TransformCodec(codec) => &codec.parameters,
            AnyModel::Prior(prior) => &prior.parameters,
            AnyModel::MaskedLm(lm) => &lm.parameters,
        }
    }

    /// Writes a safetensors file that [`open`](AnyModel::open) reads, whole or not at all: weights
    /// rounded to `dtype`, and their configuration. Rounding makes another model, whose streams and
    /// tokens are others; with `f32` it is the same.
    ///
    /// # Errors
    /// If `dtype` is no floating-point format, or the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), AnyModelError> {
        match self {
            AnyModel::Tokenizer(model) => model.save(path, dtype)?,
            AnyModel::TransformCodec(codec) => codec.save(path, dtype)?,
            AnyModel::Prior(prior) => prior.save(path, dtype)?,
            AnyModel::MaskedLm(lm) => lm.save(path, dtype)?,
        }
        Ok(())
    }
}
