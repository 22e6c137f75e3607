//! The functions of a model that `explain` shows and `bench` measures.

use super::error::{CliError, Context};
use super::output::Output;
use super::prior::prior_config;
use super::train::{config_text, tokenizer_config};
use bsq::any_model::AnyModel;
use bsq::config::{
    Config, MaskedLmConfig, MaskedLmDefaults, PriorConfig, TrainPrecision, reference, shipped,
};
use bsq::masked_lm::{MaskedLm, MaskedLmFile, probabilities_function};
use bsq::pipeline::{decode_function, encode_function};
use bsq::pretrained;
use bsq::prior::{PriorFile, PriorModel, sub_token_function, tile_function, wavefront_function};
use bsq::tokenizer::Tokenizer;
use bsq::train::{
    StepPart, StepProgram, masked_lm_step_function, masked_lm_step_halves, masked_lm_step_program,
    prior_step_function, prior_step_halves, prior_step_program, step_parts,
};
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_nn::optimizer::Halves;
use bsq_nn::train::Turn;
use bsq_runtime::checkpoint::{Selection, Weights};
use bsq_runtime::executor::Tensors;
use clap::ValueEnum;
use std::path::Path;

/// What `explain` shows, `bench` measures, `export` writes and `plan` estimates.
pub enum Subject {
    Tokenizer(Box<Config>, Box<Tokenizer>),
    Prior(Box<PriorConfig>, Box<PriorModel>),
    MaskedLm(Box<MaskedLmConfig>),
}

/// A function with its name, and whether rewrites must keep every bit.
pub struct Named {
    pub name: &'static str,
    pub function: Function,
    pub exact: bool,
}

/// The programs of a prior.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PriorProgram {
    /// All positions of known tiles at once: what encoding runs
    All,
    /// One wavefront with a cache of keys and values: a step of decoding
    Wavefront,
    /// One sub-token of a wavefront's tokens: a part of that step
    SubToken,
}

impl PriorProgram {
    pub const EVERY: [PriorProgram; 3] = [
        PriorProgram::All,
        PriorProgram::Wavefront,
        PriorProgram::SubToken,
    ];

    pub fn function(self, model: &PriorModel, batch: usize) -> Function {
        match self {
            PriorProgram::All => tile_function(model, batch),
            PriorProgram::Wavefront => wavefront_function(model, batch, model.order().wavefronts()),
            PriorProgram::SubToken => {
                sub_token_function(model, batch * model.order().wavefront_width())
            }
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            PriorProgram::All => "all positions",
            PriorProgram::Wavefront => "a wavefront",
            PriorProgram::SubToken => "a sub-token of a wavefront",
        }
    }
}

impl Subject {
    /// The model of a configuration (a file, or the name of one that ships) or of weights (a name that
    /// ships, a file, the folder of a training): a tokenizer, a prior or a masked language model.
    pub fn open(name: &str, output: &Output) -> Result<Subject, CliError> {
        if has_weights(name) {
            return match pretrained::names().any(|shipped| shipped == name) {
                true => Ok(Subject::tokenizer(super::model::open(name, None)?.config)),
                false => Subject::of_weights(name),
            };
        }
        let text = config_text(Path::new(name))?;
        if PriorConfig::is_prior(&text) {
            return Ok(Subject::prior(prior_config(name, output)?));
        }
        if MaskedLmConfig::is_masked_lm(&text) {
            return Ok(Subject::masked_lm(masked_lm_config(name, &text, output)?));
        }
        if !Config::is_tokenizer(&text) {
            return Err(no_subject(name, "transform codec"));
        }
        Ok(Subject::tokenizer(tokenizer_config(Path::new(name))?.0))
    }

    fn of_weights(name: &str) -> Result<Subject, CliError> {
        let selection = Selection::from(Weights::Ema);
        match AnyModel::open(name, selection, None)? {
            AnyModel::Tokenizer(model) => Ok(Subject::tokenizer(model.config)),
            AnyModel::Prior(prior) => Ok(Subject::prior(prior.config)),
            AnyModel::MaskedLm(model) => Ok(Subject::masked_lm(model.config)),
            other => Err(no_subject(name, other.kind())),
        }
    }

    fn tokenizer(config: Config) -> Subject {
        let tokenizer = Tokenizer::new(&config.model);
        Subject::Tokenizer(Box::new(config), Box::new(tokenizer))
    }

    fn prior(config: PriorConfig) -> Subject {
        let model = PriorModel::new(&config.prior);
        Subject::Prior(Box::new(config), Box::new(model))
    }

    fn masked_lm(config: MaskedLmConfig) -> Subject {
        Subject::MaskedLm(Box::new(config))
    }

    /// A whole training step: forward, loss, backward, AdamW and the moving average.
    pub fn training_step(&self, batch: usize) -> Function {
        match self {
            Subject::Tokenizer(config, tokenizer) => {
                let mut config = (**config).clone();
                config.data.batch_size = batch;
                StepProgram::function_of(&config, tokenizer)
            }
            Subject::Prior(config, _) => {
                let mut config = (**config).clone();
                config.data.batch_size = batch;
                prior_step_function(&config)
            }
            Subject::MaskedLm(config) => masked_lm_step_function(&of_batch(config, batch)),
        }
    }

    /// The same in two programs, for a step of several micro-batches.
    pub fn training_halves(&self, batch: usize) -> Halves {
        match self {
            Subject::Tokenizer(config, tokenizer) => {
                let mut config = (**config).clone();
                config.data.batch_size = batch;
                StepProgram::halves_of(&config, tokenizer)
            }
            Subject::Prior(config, _) => {
                let mut config = (**config).clone();
                config.data.batch_size = batch;
                prior_step_halves(&config)
            }
            Subject::MaskedLm(config) => masked_lm_step_halves(&of_batch(config, batch)),
        }
    }

    /// Whether training keeps every bit of the spelled-out gradients.
    pub fn trains_exactly(&self) -> bool {
        match self {
            Subject::Tokenizer(config, _) => config.train.exact,
            Subject::Prior(config, _) => config.train.exact,
            Subject::MaskedLm(config) => config.train.exact,
        }
    }

    /// What a batch consists of.
    pub fn unit(&self) -> &'static str {
        match self {
            Subject::Tokenizer(..) => "windows",
            Subject::Prior(..) => "tiles",
            Subject::MaskedLm(..) => "pictures",
        }
    }

    /// A tokenizer's pictures to indices and to pictures again; of a prior, all of a tile; of a masked
    /// language model, a step of a sampler with guidance.
    pub fn forward(&self, batch: usize) -> Named {
        let (name, function) = match self {
            Subject::Tokenizer(_, tokenizer) => ("reconstruct", reconstruct(tokenizer, batch)),
            Subject::Prior(_, model) => ("tile", tile_function(model, batch)),
            Subject::MaskedLm(config) => ("sampling", sampling(config, batch)),
        };
        Named {
            name,
            function,
            exact: true,
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
            Subject::Tokenizer(_, tokenizer) => [
                ("encode", encode_function(tokenizer, batch)),
                ("decode", decode_function(tokenizer, batch)),
            ]
            .map(named)
            .into(),
            Subject::Prior(_, model) => PriorProgram::EVERY
                .map(|program| named((program.title(), program.function(model, batch))))
                .into(),
            Subject::MaskedLm(_) => vec![self.forward(batch)],
        }
    }

    /// The programs of a training step with all terms of its loss, the model's own first.
    ///
    /// A discriminator that does not suit the pictures or the batch is left out, which is said.
    ///
    /// # Errors
    /// If the loss is of something else that is not there.
    pub fn training(&self, batch: usize, output: &Output) -> Result<Vec<StepPart>, CliError> {
        if let Subject::Tokenizer(config, tokenizer) = self {
            let mut config = (**config).clone();
            config.data.batch_size = batch;
            let parts = step_parts(&config, tokenizer).or_else(|error| {
                output.note(format_args!("without the discriminator: {error}"));
                config.loss.skip_disc = true;
                step_parts(&config, tokenizer)
            });
            return Ok(parts?);
        }
        Ok(vec![StepPart {
            name: "training step",
            function: self.training_step(batch),
            halves: self.training_halves(batch),
            turn: Turn::Always,
        }])
    }

    /// In which format training is configured to compute.
    pub fn train_precision(&self) -> TrainPrecision {
        match self {
            Subject::Tokenizer(config, _) => config.train.precision,
            Subject::Prior(config, _) => config.train.precision,
            Subject::MaskedLm(config) => config.train.precision,
        }
    }

    /// Parameters and the optimizer's state before the first step, for a model with these weights.
    pub fn start_of_training(&self, batch: usize, weights: Tensors) -> Result<Tensors, CliError> {
        Ok(match self {
            Subject::Tokenizer(config, tokenizer) => {
                let mut config = (**config).clone();
                config.data.batch_size = batch;
                StepProgram::new(&config, tokenizer, weights)?.start
            }
            Subject::Prior(config, _) => {
                let mut config = (**config).clone();
                config.data.batch_size = batch;
                prior_step_program(&config, weights)?.1
            }
            Subject::MaskedLm(config) => {
                masked_lm_step_program(&of_batch(config, batch), weights)?.1
            }
        })
    }

    /// The weights of the model of that name; none if it is a configuration.
    pub fn weights(&self, name: &str) -> Result<Option<Tensors>, CliError> {
        if !has_weights(name) {
            return Ok(None);
        }
        Ok(Some(match self {
            Subject::Tokenizer(..) => super::model::open(name, None)?.parameters,
            Subject::Prior(..) => pretrained::open_prior(name)?.parameters,
            Subject::MaskedLm(..) => pretrained::open_masked_lm(name)?.parameters,
        }))
    }

    /// Parameters as training starts.
    pub fn init(&self) -> Result<Tensors, CliError> {
        Ok(match self {
            Subject::Tokenizer(_, tokenizer) => tokenizer.init(0)?,
            Subject::Prior(config, _) => {
                PriorFile::untrained("", (**config).clone(), "")?.parameters
            }
            Subject::MaskedLm(config) => {
                MaskedLmFile::untrained("", (**config).clone(), "")?.parameters
            }
        })
    }
}

/// Whether a name is that of weights, and not of a configuration.
fn has_weights(name: &str) -> bool {
    let extension = Path::new(name).extension().map(|e| e.to_ascii_lowercase());
    if extension.is_some_and(|e| ["toml", "yaml", "yml"].iter().any(|x| e == *x)) {
        return false;
    }
    let is_config = shipped(name).is_some() || reference(name).is_some();
    Path::new(name).exists() || AnyModel::ships(name) || !is_config
}

fn no_subject(name: &str, kind: &str) -> CliError {
    CliError::new(format_args!(
        "{name}: a {kind}, and this command is for tokenizers, priors and masked language models"
    ))
}

fn of_batch(config: &MaskedLmConfig, batch: usize) -> MaskedLmConfig {
    let mut config = config.clone();
    config.data.batch_size = batch;
    config
}

/// One step of a sampler, with guidance.
fn sampling(config: &MaskedLmConfig, batch: usize) -> Function {
    probabilities_function(&MaskedLm::new(&config.masked_lm), batch, true)
}

/// The configuration of a masked language model; what it leaves to its tokenizer is that of `fashion`.
fn masked_lm_config(name: &str, text: &str, output: &Output) -> Result<MaskedLmConfig, CliError> {
    if let Ok(config) = MaskedLmConfig::from_toml(text) {
        return Ok(config);
    }
    let shipped = pretrained::open_masked_lm("fashion")?.config.masked_lm;
    let defaults = MaskedLmDefaults {
        bits: shipped.bits,
        tokens: shipped.tokens,
        classes: shipped.classes,
    };
    let config = MaskedLmConfig::from_toml_for(text, &defaults).in_(name)?;
    let lm = &config.masked_lm;
    output.note(format_args!(
        "{name}: masked_lm.bits or tokens are left out: {} bits, {} tokens, as those of fashion",
        lm.bits, lm.tokens
    ));
    Ok(config)
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
