//! Training a prior on a tokenizer's tokens.

use super::task::{ADVICE, changed, check_freeze, hints, trained};
use super::{Progress, TrainError, TrainOptions, TrainOutcome, TrainRun, start};
use crate::config::PriorConfig;
use crate::data::{TokenBatch, TokenDataset};
use crate::pipeline::{ModelFile, TokenFile, fingerprint};
use crate::prior::{
    PriorFile, PriorModel, TOKENIZER, check_bits, parameter_specs, tile_inputs, tile_loss,
};
use bsq_ir::{Function, Graph, Scope};
use bsq_nn::BoxError;
use bsq_nn::data::NamedTensors;
use bsq_nn::optimizer::{Halves, Step, minimize};
use bsq_nn::train::{Advice, Change, Identity, Program, Task, train};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::TensorError;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the tokens to train on come from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// A folder of pictures: crops at random places, scaled and mirrored as the configuration
    /// says, go through the tokenizer while training runs.
    Pictures(PathBuf),
    /// Files that `bsq tokens` wrote, of which tiles are cut at random.
    Files(Vec<PathBuf>),
}

/// Trains a prior for the tokens of `tokenizer`. `run.data` is not read.
///
/// # Errors
/// [`TrainError`]; what was saved before the error stays.
pub fn run_prior(
    run: &TrainRun<PriorConfig>,
    tokenizer: &ModelFile,
    source: &TokenSource,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, TrainError> {
    run_prior_with(run, &TrainOptions::default(), tokenizer, source, progress)
}

/// [`run_prior`] with options.
///
/// # Errors
/// [`TrainError`]; what was saved before the error stays.
pub fn run_prior_with(
    run: &TrainRun<PriorConfig>,
    options: &TrainOptions,
    tokenizer: &ModelFile,
    source: &TokenSource,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, TrainError> {
    let folder = run.folder(options)?;
    let config = &run.config;
    check_bits(&config.prior, tokenizer)?;
    let dataset = match source {
        TokenSource::Pictures(folder) => TokenDataset::of_pictures(folder, config, tokenizer)?,
        TokenSource::Files(paths) => {
            let mut grids = Vec::new();
            for path in paths {
                let file = TokenFile::load(path, tokenizer)?;
                grids.extend(file.into_grids());
            }
            TokenDataset::of_tokens(grids, config)?
        }
    };
    let own = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
    let mut prior = PriorFile::untrained("prior", config.clone(), &own)?;
    let specs = parameter_specs(&prior.model);
    let names = specs.iter().map(|spec| spec.name.as_str());
    check_freeze(&config.train, names)?;
    if let (Some(name), false) = (&options.init_from, folder.has_checkpoint()) {
        prior.parameters = start::prior(name, &prior, &specs, progress)?;
    }
    let graph = Graph::new();
    let program = Program::new(&build(&graph, config, &prior.model), prior.parameters)?;
    let task = PriorTask {
        config,
        model: &prior.model,
        tokenizer: own,
    };
    let settings = run.loop_settings(options, &config.train, config.optimizer.max_iter);
    let data = Arc::new(dataset);
    Ok(train(&settings, folder, task, program, data, progress)?)
}

/// A whole training step of a prior: forward, loss, backward, optimizer and the moving average.
pub fn prior_step_function(config: &PriorConfig) -> Function {
    let graph = Graph::new();
    build(&graph, config, &PriorModel::new(&config.prior)).function()
}

/// [`prior_step_function`] for a step of several micro-batches.
pub fn prior_step_halves(config: &PriorConfig) -> Halves {
    let graph = Graph::new();
    build(&graph, config, &PriorModel::new(&config.prior)).halves()
}

/// [`prior_step_function`], and its parameters and the optimizer's state before the first step.
///
/// # Errors
/// If memory runs out.
pub fn prior_step_program(
    config: &PriorConfig,
    parameters: Tensors,
) -> Result<(Function, Tensors), TensorError> {
    let graph = Graph::new();
    let step = build(&graph, config, &PriorModel::new(&config.prior));
    let mut start = parameters;
    start.extend(step.initial_state(&start)?);
    Ok((step.function(), start))
}

fn build<'g>(graph: &'g Graph, config: &PriorConfig, model: &PriorModel) -> Step<'g> {
    let scope = Scope::root(graph);
    let loss = tile_loss(model, &scope, config.data.batch_size);
    let rule = config.optimizer.rule(graph.scalar("lr"), "");
    let trained = trained(&scope, &config.train).into_iter();
    let trained: Vec<_> = trained.map(|(_, parameter)| parameter).collect();
    let mut step = minimize(loss, &trained, &*rule);
    if config.train.logs_gradient_norm(&config.optimizer) {
        step = step.with_gradient_norm();
    }
    if config.train.use_ema {
        step = step.with_average(config.train.ema_decay);
    }
    step.output("bits_per_token", loss * std::f64::consts::LOG2_E)
}

struct PriorTask<'a> {
    config: &'a PriorConfig,
    model: &'a PriorModel,
    tokenizer: String,
}

impl Task for PriorTask<'_> {
    type Data = TokenDataset;

    fn identity(&self) -> Identity {
        Identity {
            settings: self.config.to_toml(),
            seed: self.config.train.seed,
            metadata: vec![(TOKENIZER, self.tokenizer.clone())],
        }
    }

    fn batch_size(&self) -> usize {
        self.config.data.batch_size
    }

    fn learning_rate(&self, step: u64) -> f64 {
        self.config.learning_rate(step)
    }

    fn inputs(&self, _step: u64, _index: u64, batch: TokenBatch) -> Result<NamedTensors, BoxError> {
        let TokenBatch { seen, targets } = batch;
        let (known, _) = tile_inputs(self.model, &seen)?;
        let (_, tokens) = tile_inputs(self.model, &targets)?;
        Ok(vec![("known", known), ("tokens", tokens)])
    }

    fn changes(&self, old: &str) -> Result<Vec<Change>, BoxError> {
        changed(old, &self.identity())
    }

    fn hints(&self, done: u64, last: u64) -> Vec<String> {
        let why = "a prior is not evaluated while it trains";
        let rate = |step| self.learning_rate(step);
        hints((done, last), &self.config.train, rate, Some(why))
    }

    fn advice(&self) -> Advice {
        ADVICE
    }
}
