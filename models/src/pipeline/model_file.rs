//! Trained models as files: weights with the configuration that they belong to.

use crate::config::{Config, ConfigError, PriorConfig};
use crate::tokenizer::{LoadError, Tokenizer};
use crate::weights_file::{CONFIG, count, name_of};
use bsq_runtime::checkpoint::{self, Checkpoint, CheckpointError, Weights};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A tokenizer with its weights.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// What to call it in messages: the file's name, or that of a model that ships.
    pub name: String,
    /// What it was trained with.
    pub config: Config,
    /// The architecture.
    pub tokenizer: Tokenizer,
    /// Every parameter, `f32`, by name.
    pub parameters: BTreeMap<String, HostTensor>,
}

/// Why a file is not a usable model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The weights cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration inside a weights file cannot be used.
    #[error("{path}: the configuration in its metadata: {error}", path = path.display())]
    EmbeddedConfig {
        /// The weights.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<ConfigError>,
    },
    /// It is a prior.
    #[error(
        "{path}: a prior, not a tokenizer: name it with --prior, and with --model the tokenizer whose tokens it knows",
        path = path.display()
    )]
    IsPrior {
        /// The weights.
        path: PathBuf,
    },
    /// There is no configuration.
    #[error(
        "{path}: weights without a configuration: put the .toml or .yaml file they were trained with beside them, as {beside}",
        path = path.display(),
        beside = path.with_extension("toml").file_name().unwrap_or_default().display()
    )]
    NoConfig {
        /// The weights.
        path: PathBuf,
    },
    /// Weights and configuration are not of one model.
    #[error("{path}: {error}", path = path.display())]
    Mismatch {
        /// The weights.
        path: PathBuf,
        /// What does not fit.
        error: Box<LoadError>,
    },
    /// Memory runs out.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl ModelFile {
    /// Reads weights (safetensors, or a PyTorch checkpoint, of which the averaged weights are
    /// taken where there are any) and their configuration.
    ///
    /// The configuration stands in the metadata of a safetensors file under `config`, as TOML; or
    /// beside the weights, under the same name with `.toml`, `.yaml` or `.yml`.
    ///
    /// # Errors
    /// [`ModelError`], naming the file.
    pub fn open(path: &Path) -> Result<ModelFile, ModelError> {
        let checkpoint = checkpoint::load(path, Weights::Ema)?;
        ModelFile::from_checkpoint(&name_of(path), path, &checkpoint)
    }

    /// A model of a checkpoint that has been read from `path`; see [`ModelFile::open`].
    ///
    /// # Errors
    /// [`ModelError`], naming the file.
    pub fn from_checkpoint(
        name: &str,
        path: &Path,
        checkpoint: &Checkpoint,
    ) -> Result<ModelFile, ModelError> {
        let config = match checkpoint.metadata.get(CONFIG) {
            Some(text) if PriorConfig::is_prior(text) => {
                return Err(ModelError::IsPrior { path: path.into() });
            }
            Some(text) => Config::from_toml(text).map_err(|error| ModelError::EmbeddedConfig {
                path: path.into(),
                error: Box::new(error),
            })?,
            None => config_beside(path)?,
        };
        let tokenizer = Tokenizer::new(&config.model);
        let parameters = tokenizer
            .load(checkpoint)
            .map_err(|error| ModelError::Mismatch {
                path: path.into(),
                error: Box::new(error),
            })?;
        Ok(ModelFile {
            name: name.to_string(),
            config,
            tokenizer,
            parameters,
        })
    }

    /// A model as training starts.
    ///
    /// # Errors
    /// If the configuration is one for clips, or memory runs out.
    pub fn untrained(name: &str, config: Config, seed: u64) -> Result<ModelFile, ModelError> {
        let tokenizer = Tokenizer::new(&config.model);
        let parameters = tokenizer.init(seed)?;
        Ok(ModelFile {
            name: name.to_string(),
            config,
            tokenizer,
            parameters,
        })
    }

    /// Writes a safetensors file that [`open`](ModelFile::open) reads, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let metadata = BTreeMap::from([(CONFIG.to_string(), self.config.to_toml())]);
        Ok(checkpoint::safetensors::save(
            path,
            &self.parameters,
            &metadata,
        )?)
    }

    /// Numbers in all parameters.
    pub fn parameter_count(&self) -> usize {
        count(&self.parameters)
    }
}

/// The configuration file of the same name as the weights.
fn config_beside(path: &Path) -> Result<Config, ModelError> {
    let candidates = ["toml", "yaml", "yml"].map(|extension| path.with_extension(extension));
    match candidates.iter().find(|candidate| candidate.is_file()) {
        Some(candidate) => Ok(Config::load(candidate)?.0),
        None => Err(ModelError::NoConfig { path: path.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{fingerprint, tests::tiny};

    #[test]
    fn a_saved_model_opens_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.safetensors");
        let model = tiny(3);
        model.save(&path).unwrap();
        let opened = ModelFile::open(&path).unwrap();
        assert_eq!(opened.config, model.config);
        assert_eq!(opened.parameters, model.parameters);
        assert_eq!(opened.name, "tiny.safetensors");
        assert_eq!(
            fingerprint(opened.tokenizer.config(), &opened.parameters),
            fingerprint(model.tokenizer.config(), &model.parameters)
        );
    }

    #[test]
    fn a_configuration_beside_bare_weights_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bare.safetensors");
        let model = tiny(3);
        checkpoint::safetensors::save(&path, &model.parameters, &BTreeMap::new()).unwrap();
        let error = ModelFile::open(&path).unwrap_err().to_string();
        assert!(error.ends_with("beside them, as bare.toml"), "{error}");
        std::fs::write(path.with_extension("toml"), model.config.to_toml()).unwrap();
        assert_eq!(ModelFile::open(&path).unwrap().parameters, model.parameters);
    }

    #[test]
    fn weights_of_another_shape_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.safetensors");
        let mut model = tiny(3);
        let short = HostTensor::zeros(bsq_ir::DType::F32, [5]).unwrap();
        model.parameters.insert("quant_embed.bias".into(), short);
        model.save(&path).unwrap();
        let error = ModelFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("other.safetensors"), "{error}");
        assert!(error.contains("quant_embed.bias"), "{error}");
    }
}
