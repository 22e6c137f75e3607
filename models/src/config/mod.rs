//! Configuration: one schema, read from our TOML and from the reference implementation's YAML.
//!
//! A [`Config`] is a value of plain structs, one per section. Each key is declared once, with its
//! type, default and documentation; [`Config::to_toml`] writes a complete file in which every
//! value stands below its documentation, and reading that file gives an equal `Config`. Keys have
//! the names of the reference implementation, so its files read as they are: see [`Config::load`].
//! Unknown keys are errors that name the nearest known one.
//!
//! | section | struct |
//! |---|---|
//! | `[model]`, `[model.vitconfig]`, `[model.dvitconfig]` | [`TokenizerConfig`] |
//! | `[model.transform]` | [`TransformPathConfig`] |
//! | `[loss]` | [`LossConfig`] |
//! | `[data]` | [`DataConfig`] |
//! | `[optimizer]`, `[optimizer.schedule]` | [`OptimizerConfig`], [`LrSchedule`] |
//! | `[evaluation]` | [`EvaluationConfig`] |
//! | `[train]` | [`TrainConfig`] |
//!
//! A configuration with a section `[prior]` is that of an autoregressive prior: [`PriorConfig`]; one
//! with a section `[transform_codec]` that of a transform codec: [`TransformCodecConfig`]; one with a
//! section `[masked_lm]` that of a masked language model: [`MaskedLmConfig`].

mod checks;
mod document;
mod error;
mod field;
mod interpolate;
mod loss;
mod masked_lm;
mod model;
mod optimizer;
mod prior;
mod quantizer;
mod reference;
mod section;
mod shipped;
mod training;
mod transform_codec;
mod transform_path;
mod tree;

pub use crate::image_io::ImageSize;
pub use error::{ConfigError, Problem};
pub use loss::{AdversarialLoss, DiscriminatorType, EntropyOver, LossConfig, ReconstructionLoss};
pub use masked_lm::{MaskSchedule, MaskedLmConfig, MaskedLmDefaults, MaskedLmModelConfig, Masking};
pub use model::{MaskType, TokenizerConfig, VitConfig};
pub use optimizer::{LrSchedule, OptimizerConfig, OptimizerKind};
pub use prior::{PositionEncoding, PriorConfig, PriorModelConfig};
pub use quantizer::{
    BsqConfig, CodebookEntropy, EntropyMode, FsqConfig, PredefinedCodebook, QuantizerConfig,
    QuantizerKind, VqConfig,
};
pub use shipped::{
    Shipped, reference, reference_names, shipped, shipped_configurations, shipped_names,
};
pub(crate) use training::EMA_EVAL_FREQ;
pub use training::{DataConfig, EvaluationConfig, Initialisation, TrainConfig, TrainPrecision};
pub use transform_codec::{
    ClipsConfig, RateDistortionConfig, TransformCodecConfig, TransformCodecModelConfig,
};
pub use transform_path::TransformPathConfig;

use checks::require;
pub(crate) use document::has_section;
use document::{Document, TrainingSections};
use section::{Section, refuse_unknown};
use std::path::Path;
use tree::Table;

/// Everything that a training, or a trained model, was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The tokenizer.
    pub model: TokenizerConfig,
    /// What training minimises.
    pub loss: LossConfig,
    /// Which pictures, and what is cut out of them.
    pub data: DataConfig,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The course of the learning rate; without one it is constant.
    pub schedule: Option<LrSchedule>,
    /// How pictures are prepared for measuring.
    pub evaluation: EvaluationConfig,
    /// The training loop.
    pub train: TrainConfig,
}

impl Config {
    /// Reads a `.toml` file of ours, or a `.yaml` file of the reference implementation.
    ///
    /// The second value are notices for the user: keys of a reference file that have no effect
    /// here, or that the reference itself ignores.
    pub fn load(path: impl AsRef<Path>) -> Result<(Config, Vec<String>), ConfigError> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let parse = match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("toml") => |text: &str| Ok((Config::from_toml(text)?, Vec::new())),
            Some("yaml" | "yml") => Config::from_reference_yaml,
            _ => return Err(ConfigError::at(None, Problem::UnknownFormat).in_file(path)),
        };
        document::load(path, parse)
    }

    /// Whether the text of a configuration file, ours or a reference one, is none of another kind of
    /// model.
    pub fn is_tokenizer(text: &str) -> bool {
        !PriorConfig::is_prior(text)
            && !MaskedLmConfig::is_masked_lm(text)
            && !TransformCodecConfig::is_transform_codec(text)
    }

    /// The tokenizer's configuration of a name that ships, with notices as those of
    /// [`load`](Config::load); `None` if none has that name.
    ///
    /// # Errors
    /// If it is not that of a tokenizer.
    pub fn named(name: &str) -> Result<Option<(Config, Vec<String>)>, ConfigError> {
        match (shipped(name), reference(name)) {
            (Some(text), _) => Ok(Some((Config::from_toml(text)?, Vec::new()))),
            (None, Some(text)) => Config::from_reference_yaml(text).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Reads the text of a TOML file.
    pub fn from_toml(text: &str) -> Result<Config, ConfigError> {
        Config::read(tree::parse_toml(text)?)
    }

    /// Reads the text of a YAML file of the reference implementation; see [`Config::load`].
    pub fn from_reference_yaml(text: &str) -> Result<(Config, Vec<String>), ConfigError> {
        let mut root = tree::parse_yaml(text)?;
        interpolate::interpolate(&mut root)?;
        let (root, notices) = reference::adapt(root)?;
        Ok((Config::read(root)?, notices))
    }

    /// A complete TOML file that reads as this configuration, every key below its documentation.
    pub fn to_toml(&self) -> String {
        let mut out = Document::default();
        self.model.write(&mut out.0);
        out.section("loss", &self.loss);
        out.section("data", &self.data);
        out.optimizer(&self.optimizer, self.schedule.as_ref());
        out.section("evaluation", &self.evaluation);
        out.section("train", &self.train);
        out.0
    }

    fn read(mut root: Table) -> Result<Config, ConfigError> {
        let known = ["model", "loss", "data", "optimizer", "evaluation", "train"];
        refuse_unknown(&root, "", &[&known])?;
        let training = TrainingSections::take(&mut root)?;
        let mut take = |name: &str| document::take(&mut root, name);
        let config = Config {
            model: TokenizerConfig::read(take("model")?, training.data.zero_mean)?,
            loss: LossConfig::read(take("loss")?, "loss")?,
            data: training.data,
            optimizer: training.optimizer,
            schedule: training.schedule,
            evaluation: EvaluationConfig::read(take("evaluation")?, "evaluation")?,
            train: training.train,
        };
        config.check()?;
        Ok(config)
    }

    /// That the sections fit together.
    fn check(&self) -> Result<(), ConfigError> {
        let config = self;
        let image = config.model.encoder.image_size;
        let side = config.data.image_size.map_or(image, ImageSize::square);
        require(side == image, "data.image_size", || {
            format!(
                "{} pixels, but the model takes {}x{}",
                side.width, image.width, image.height
            )
        })?;
        require(
            !(config.model.logit_laplace && config.data.zero_mean),
            "model.logit_laplace",
            || "needs pictures between 0 and 1: set data.zero_mean = false".into(),
        )?;
        config.loss.check(config.model.logit_laplace)?;
        let is_binary = matches!(config.model.quantizer, QuantizerConfig::Bsq(_));
        require(
            config.loss.rate_weight == 0.0 || is_binary,
            "loss.rate_weight",
            || "is for tokens of bits, those of binary spherical quantization".into(),
        )?;
        config.data.check(image)?;
        config.optimizer.check(config.schedule.as_ref())?;
        config.train.check()
    }
}

#[cfg(test)]
mod tests;
