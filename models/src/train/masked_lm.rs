//! Training a masked language model on the tokens of labelled pictures.

use super::task::{ADVICE, changed, check_freeze, hints, trained};
use super::{Progress, TrainError, TrainOptions, TrainOutcome, TrainRun, start};
use crate::config::{ConfigError, MaskedLmConfig};
use crate::data::{LabelledSource, MaskedBatch, MaskedDataset};
use crate::masked_lm::{DROPOUT, MaskedLm, MaskedLmFile, TOKENIZER, batch_loss};
use crate::pipeline::{ModelFile, fingerprint};
use bsq_ir::{Function, Graph, Scope};
use bsq_nn::BoxError;
use bsq_nn::data::NamedTensors;
use bsq_nn::optimizer::{Halves, Step, minimize};
use bsq_nn::train::{Advice, Change, Identity, Program, Task, train};
use bsq_runtime::HostTensor;
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::TensorError;
use std::sync::Arc;

/// Trains a masked language model on tokens of `tokenizer`; pictures become tokens before the first step.
/// `run.data` is not read.
///
/// # Errors
/// [`TrainError`]; what was saved before the error stays.
pub fn run_masked_lm(
    run: &TrainRun<MaskedLmConfig>,
    options: &TrainOptions,
    tokenizer: &ModelFile,
    source: LabelledSource<'_>,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, TrainError> {
    let folder = run.folder(options)?;
    let config = &run.config;
    check_fit(config, tokenizer, source.classes())?;
    let own = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
    let mut file = MaskedLmFile::untrained("masked lm", config.clone(), &own)?;
    let names: Vec<String> = file.parameters.keys().cloned().collect();
    check_freeze(&config.train, names.iter().map(String::as_str))?;
    if let (Some(name), false) = (&options.init_from, folder.has_checkpoint()) {
        file.parameters = start::masked_lm(name, &file, progress)?;
    }
    progress.note(&source.to_string());
    let tokens = source.tokens(&config.data, tokenizer, run.threads)?;
    let graph = Graph::new();
    let program = Program::new(&build(&graph, config, &file.model), file.parameters)?;
    let task = MaskedLmTask {
        config,
        tokenizer: own,
    };
    let settings = run.loop_settings(options, &config.train, config.optimizer.max_iter);
    let data = Arc::new(MaskedDataset::new(tokens, config));
    Ok(train(&settings, folder, task, program, data, progress)?)
}

/// That the model is one of these tokens and classes.
fn check_fit(
    config: &MaskedLmConfig,
    tokenizer: &ModelFile,
    classes: &[String],
) -> Result<(), TrainError> {
    let lm = &config.masked_lm;
    let invalid = |key: &str, reason: String| Err(ConfigError::invalid(key, reason).into());
    let bits = tokenizer.config.model.quantizer.bits_per_token();
    if lm.bits != bits {
        let reason = format!("{} bits, but the tokenizer's tokens have {bits}", lm.bits);
        return invalid("masked_lm.bits", reason);
    }
    let tokens = tokenizer.config.model.encoder.tokens();
    if lm.tokens != tokens {
        let reason = format!(
            "{} tokens, but the tokenizer's pictures have {tokens}",
            lm.tokens
        );
        return invalid("masked_lm.tokens", reason);
    }
    let (own, given) = (lm.classes.len(), classes.len());
    if own > 0 && own != given {
        let reason = format!("{own} names, but the pictures have {given} classes");
        return invalid("masked_lm.classes", reason);
    }
    Ok(())
}

/// A whole training step: forward, loss, backward, optimizer and the moving average.
pub fn masked_lm_step_function(config: &MaskedLmConfig) -> Function {
    let graph = Graph::new();
    build(&graph, config, &MaskedLm::new(&config.masked_lm)).function()
}

/// [`masked_lm_step_function`] for a step of several micro-batches.
pub fn masked_lm_step_halves(config: &MaskedLmConfig) -> Halves {
    let graph = Graph::new();
    build(&graph, config, &MaskedLm::new(&config.masked_lm)).halves()
}

/// [`masked_lm_step_function`], and its parameters and the optimizer's state before the first step.
///
/// # Errors
/// If memory runs out.
pub fn masked_lm_step_program(
    config: &MaskedLmConfig,
    parameters: Tensors,
) -> Result<(Function, Tensors), TensorError> {
    let graph = Graph::new();
    let step = build(&graph, config, &MaskedLm::new(&config.masked_lm));
    let mut start = parameters;
    start.extend(step.initial_state(&start)?);
    Ok((step.function(), start))
}

fn build<'g>(graph: &'g Graph, config: &MaskedLmConfig, model: &MaskedLm) -> Step<'g> {
    let scope = Scope::root(graph);
    let loss = batch_loss(model, &scope, config.data.batch_size);
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
    step
}

struct MaskedLmTask<'a> {
    config: &'a MaskedLmConfig,
    tokenizer: String,
}

impl Task for MaskedLmTask<'_> {
    type Data = MaskedDataset;

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

    fn inputs(&self, _step: u64, index: u64, batch: MaskedBatch) -> Result<NamedTensors, BoxError> {
        let lm = &self.config.masked_lm;
        let shape = [batch.classes.len(), lm.tokens, lm.groups];
        let classes = HostTensor::from_slice([shape[0]], &batch.classes)?;
        let mut inputs = vec![
            ("tokens", HostTensor::from_slice(shape, &batch.tokens)?),
            ("targets", HostTensor::from_slice(shape, &batch.targets)?),
            ("classes", classes),
        ];
        if lm.dropout > 0.0 {
            // No tensor takes as many counters as lie between those of two batches.
            let numbers = [self.config.train.seed, index << 32];
            for (name, number) in DROPOUT.into_iter().zip(numbers) {
                inputs.push((name, HostTensor::from_slice([], &[number])?));
            }
        }
        Ok(inputs)
    }

    fn changes(&self, old: &str) -> Result<Vec<Change>, BoxError> {
        changed(old, &self.identity())
    }

    fn hints(&self, done: u64, last: u64) -> Vec<String> {
        let why = "a masked language model is not evaluated while it trains";
        let rate = |step| self.learning_rate(step);
        hints((done, last), &self.config.train, rate, Some(why))
    }

    fn advice(&self) -> Advice {
        ADVICE
    }
}

#[cfg(test)]
#[path = "masked_lm_tests.rs"]
mod tests;
