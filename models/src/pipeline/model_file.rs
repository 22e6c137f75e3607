//! Trained models as files: weights with the configuration that they belong to.

use crate::config::{Config, ConfigError, PriorConfig, reference_names};
use crate::tokenizer::{LoadError, Tokenizer};
use crate::weights_file::{CONFIG, count, name_of, rounded};
use bsq_ir::DType;
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
    /// What the user should know of how it was opened.
    pub notice: Option<String>,
}

fn said_fitting(fitting: &[&str]) -> String {
    match fitting {
        [] => String::new(),
        names => format!(", and they fit {} alike", names.join(" and ")),
    }
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
    /// There is no configuration, and the weights' shapes do not say which it is.
    #[error(
        "{path}: weights without a configuration{fitting}: name it with --config, or put the .toml or .yaml file they were trained with beside them, as {beside}",
        path = path.display(),
        fitting = said_fitting(fitting),
        beside = path.with_extension("toml").file_name().unwrap_or_default().display()
    )]
    NoConfig {
        /// The weights.
        path: PathBuf,
        /// Names of the reference configurations that the weights fit: none or several.
        fitting: Vec<&'static str>,
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
    /// beside the weights, under the same name with `.toml`, `.yaml` or `.yml`. Where there is none,
    /// it is that of the reference implementation's configurations that the weights fit, if it is
    /// one alone.
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
        let (config, notice) = match checkpoint.metadata.get(CONFIG) {
            Some(text) if PriorConfig::is_prior(text) => {
                return Err(ModelError::IsPrior { path: path.into() });
            }
            Some(text) => {
                let config =
                    Config::from_toml(text).map_err(|error| ModelError::EmbeddedConfig {
                        path: path.into(),
                        error: Box::new(error),
                    })?;
                (config, None)
            }
            None => match config_beside(path)? {
                Some(config) => (config, None),
                None => config_by_shapes(path, checkpoint)?,
            },
        };
        let model = ModelFile::with_config(name, path, checkpoint, config)?;
        Ok(ModelFile { notice, ..model })
    }

    /// A model of a checkpoint that has been read from `path`, whose configuration is known.
    ///
    /// # Errors
    /// [`ModelError`], naming the file.
    pub fn with_config(
        name: &str,
        path: &Path,
        checkpoint: &Checkpoint,
        config: Config,
    ) -> Result<ModelFile, ModelError> {
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
            notice: None,
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
            notice: None,
        })
    }

    /// Writes a safetensors file that [`open`](ModelFile::open) reads, whole or not at all, with
    /// weights rounded to `dtype`, and without the names of this machine's folders.
    ///
    /// # Errors
    /// If `dtype` is no floating-point format, or the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), ModelError> {
        let mut config = self.config.clone();
        config.data.forget_folders();
        let metadata = BTreeMap::from([
            ("format".to_string(), "bsq model".to_string()),
            (CONFIG.to_string(), config.to_toml()),
        ]);
        let rounded = rounded(&self.parameters, dtype)?;
        Ok(checkpoint::safetensors::save(path, &rounded, &metadata)?)
    }

    /// Numbers in all parameters.
    pub fn parameter_count(&self) -> usize {
        count(&self.parameters)
    }
}

/// The configuration file of the same name as the weights, if there is one.
fn config_beside(path: &Path) -> Result<Option<Config>, ModelError> {
    let candidates = ["toml", "yaml", "yml"].map(|extension| path.with_extension(extension));
    match candidates.iter().find(|candidate| candidate.is_file()) {
        Some(candidate) => Ok(Some(Config::load(candidate)?.0)),
        None => Ok(None),
    }
}

/// The one configuration of the reference implementation that weights fit, by their shapes and by
/// how their bits are grouped, and what to say of it.
fn config_by_shapes(
    path: &Path,
    checkpoint: &Checkpoint,
) -> Result<(Config, Option<String>), ModelError> {
    let mut fitting = Vec::new();
    for name in reference_names() {
        let (config, _) = Config::named(name)?.expect("it ships");
        if Tokenizer::new(&config.model).load(checkpoint).is_ok() {
            fitting.push((name, config));
        }
    }
    match <[_; 1]>::try_from(fitting) {
        Ok([(name, config)]) => {
            let path = path.display();
            let notice = format!(
                "{path}: no configuration inside or beside it: {name}, which alone it fits"
            );
            Ok((config, Some(notice)))
        }
        Err(fitting) => Err(ModelError::NoConfig {
            path: path.into(),
            fitting: fitting.into_iter().map(|(name, _)| name).collect(),
        }),
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
        model.save(&path, DType::F32).unwrap();
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
        model.save(&path, DType::F32).unwrap();
        let error = ModelFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("other.safetensors"), "{error}");
        assert!(error.contains("quant_embed.bias"), "{error}");
    }
}
