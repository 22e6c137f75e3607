//! The functions of a model that commands show, export, estimate and measure.

use super::error::{CliError, Context};
use bsq::config::{Config, PriorConfig};
use bsq::executor::Tensors;
use bsq::pipeline::{ModelFile, decode_function, encode_function};
use bsq::prior::{PriorFile, PriorModel, section_function, sub_token_function, wavefront_function};
use bsq::tokenizer::Tokenizer;
use bsq::train::{StepProgram, prior_step_function, prior_step_program};
use bsq_ir::{DType, Function, Graph, Scope};
use std::path::Path;

/// A tokenizer or a prior, with its weights if it was given by them.
pub enum Subject {
    Tokenizer {
        config: Box<Config>,
        tokenizer: Box<Tokenizer>,
        weights: Option<Tensors>,
    },
    Prior {
        config: Box<PriorConfig>,
        model: Box<PriorModel>,
        weights: Option<Tensors>,
    },
}

/// A function with its name, and whether rewrites must keep every bit.
pub struct Named {
    pub name: &'static str,
    pub function: Function,
    pub exact: bool,
}

impl Subject {
    /// A configuration of either, weights of either, or a tokenizer that ships.
    pub fn open(name: &str) -> Result<Subject, CliError> {
        if is_config(name) {
            // A file that cannot be read is reported by whoever reads it in earnest.
            let text = std::fs::read_to_string(name).unwrap_or_default();
            return match PriorConfig::is_prior(&text) {
                true => Ok(Subject::prior(PriorConfig::load(name)?, None)),
                false => Subject::tokenizer(name, Config::load(name)?.0, None),
            };
        }
        match super::model::open(name) {
            Ok(model) => Subject::tokenizer(name, model.config, Some(model.parameters)),
            Err(error) => match PriorFile::open(Path::new(name)) {
                Ok(prior) => Ok(Subject::prior(prior.config, Some(prior.parameters))),
                Err(_) => Err(error),
            },
        }
    }

    fn tokenizer(
        name: &str,
        config: Config,
        weights: Option<Tensors>,
    ) -> Result<Subject, CliError> {
        Ok(Subject::Tokenizer {
            tokenizer: Box::new(Tokenizer::new(&config.model).in_(name)?),
            config: Box::new(config),
            weights,
        })
    }

    fn prior(config: PriorConfig, weights: Option<Tensors>) -> Subject {
        Subject::Prior {
            model: Box::new(PriorModel::new(&config.prior)),
            config: Box::new(config),
            weights,
        }
    }

    /// A tokenizer's pictures to indices and to pictures again; of a prior, all of a section.
    pub fn forward(&self, batch: usize) -> Named {
        match self {
            Subject::Tokenizer { tokenizer, .. } => Named {
                name: "reconstruct",
                function: reconstruct(tokenizer, batch),
                exact: true,
            },
            Subject::Prior { model, .. } => Named {
                name: "section",
                function: section_function(model, batch),
                exact: true,
            },
        }
    }

    /// A whole training step: forward, loss, backward, AdamW and the moving average.
    pub fn training_step(&self, batch: usize) -> Named {
        let (function, exact) = match self {
            Subject::Tokenizer {
                config, tokenizer, ..
            } => (training_step(config, tokenizer, batch), config.train.exact),
            Subject::Prior { config, .. } => (
                prior_step_function(&of_batch(config, batch)),
                config.train.exact,
            ),
        };
        Named {
            name: "training step",
            function,
            exact,
        }
    }

    /// What running a model means, program by program.
    pub fn inference(&self, batch: usize) -> Vec<Named> {
        let named = |(name, function)| Named {
            name,
            function,
            exact: true,
        };
        match self {
            Subject::Tokenizer { tokenizer, .. } => vec![
                named(("encode", encode_function(tokenizer, batch))),
                named(("decode", decode_function(tokenizer, batch))),
            ],
            Subject::Prior { model, .. } => {
                let rows = batch * model.order().slots();
                vec![
                    named(("section", section_function(model, batch))),
                    named(("wavefront", wavefront_function(model, batch))),
                    named(("sub-token", sub_token_function(model, rows))),
                ]
            }
        }
    }

    /// What parameters are before the first run; random where only a configuration was given.
    pub fn weights(&self) -> Result<Tensors, CliError> {
        Ok(match self {
            Subject::Tokenizer {
                weights: Some(weights),
                ..
            }
            | Subject::Prior {
                weights: Some(weights),
                ..
            } => weights.clone(),
            Subject::Tokenizer {
                config, tokenizer, ..
            } => tokenizer.init(config.train.seed)?,
            Subject::Prior { config, .. } => {
                PriorFile::untrained("prior", (**config).clone(), "")?.parameters
            }
        })
    }

    /// Whether [`weights`](Self::weights) were given.
    pub fn has_weights(&self) -> bool {
        match self {
            Subject::Tokenizer { weights, .. } | Subject::Prior { weights, .. } => {
                weights.is_some()
            }
        }
    }

    /// Parameters and the optimizer's state before the first step.
    pub fn start_of_training(&self, batch: usize) -> Result<Tensors, CliError> {
        let weights = self.weights()?;
        Ok(match self {
            Subject::Tokenizer {
                config, tokenizer, ..
            } => {
                let mut config = (**config).clone();
                config.data.batch_size = batch;
                StepProgram::new(&config, tokenizer, weights)?.start
            }
            Subject::Prior { config, .. } => {
                prior_step_program(&of_batch(config, batch), weights)?.1
            }
        })
    }
}

fn of_batch(config: &PriorConfig, batch: usize) -> PriorConfig {
    let mut config = config.clone();
    config.data.batch_size = batch;
    config
}

fn is_config(name: &str) -> bool {
    let extension = Path::new(name).extension().map(|e| e.to_ascii_lowercase());
    extension.is_some_and(|e| ["toml", "yaml", "yml"].iter().any(|x| e == *x))
}

/// The configuration of a tokenizer: a configuration file's own, or that of weights.
pub fn config_of(name: &str) -> Result<Config, CliError> {
    match is_config(name) {
        true => Ok(Config::load(name)?.0),
        false => {
            let ModelFile { config, .. } = super::model::open(name)?;
            Ok(config)
        }
    }
}

/// Pictures to indices and to pictures again.
pub fn reconstruct(tokenizer: &Tokenizer, batch: usize) -> Function {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let image = g.input("image", DType::F32, tokenizer.image_shape(batch));
    let encoded = tokenizer.encode(&scope, image);
    let decoded = tokenizer.decode(&scope, tokenizer.codes(&scope, encoded.indices));
    let outputs = [
        ("indices", encoded.indices.id()),
        ("reconstruction", decoded.reconstruction.id()),
    ];
    g.function(outputs, [])
}

/// A whole training step: forward, loss, backward, AdamW and the moving average.
pub fn training_step(config: &Config, tokenizer: &Tokenizer, batch: usize) -> Function {
    let mut config = config.clone();
    config.data.batch_size = batch;
    StepProgram::function_of(&config, tokenizer)
}
