//! One training step as one program: forward, loss, backward, optimizer and the moving average.

use super::adversary::Adversary;
use super::rate::Rate;
use super::task::trained;
use crate::config::{Config, EntropyOver};
use crate::losses::{Term, TokenizerLoss, Weight, total};
use crate::lpips::Network;
use crate::tokenizer::{Tokenizer, frames_as_pictures};
use bsq_ir::graph::Function;
use bsq_ir::{DType, Graph, Scope};
use bsq_nn::optimizer::{Halves, Step, minimize};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::TensorError;

/// A step's function, and what its parameters are before the first step.
#[derive(Clone, Debug)]
pub struct StepProgram {
    /// Inputs: `image` (`f32[batch, 3, height, width]`, of a model of clips
    /// `f32[batch, 3, frames, height, width]`), `lr` and, where the quantizer has a
    /// loss, `codebook_weight` (`f32[]`), with a discriminator `disc_factor` (`f32[]`, 0 or 1).
    /// Outputs: `loss`, `codebook_entropy` and each term of the loss by its name, with a
    /// discriminator what it has to judge. Parameters and optimizer state are updated in place.
    pub function: Function,
    /// The same for a step of several micro-batches.
    pub halves: Halves,
    /// Parameters and optimizer state before the first step.
    pub start: Tensors,
    /// Names of the scalar outputs, in the order in which they are logged.
    pub scalars: Vec<&'static str>,
    /// Whether `codebook_weight` is an input.
    pub has_codebook_weight: bool,
}

/// Networks beside the tokenizer, of which there are terms in its loss. Their parameters are `lpips.NAME`,
/// `rate_prior.NAME` and `discriminator.NAME`.
#[derive(Clone, Copy, Default)]
pub(super) struct Others<'a> {
    pub lpips: Option<&'a Network>,
    pub rate: Option<&'a Rate>,
    pub adversary: Option<&'a Adversary<'a>>,
}

impl StepProgram {
    /// The step of a configuration, for a model that starts with `parameters`.
    ///
    /// A quantizer's loss whose weight is zero at every step is left out.
    ///
    /// # Errors
    /// If memory runs out.
    ///
    /// # Panics
    /// If `parameters` lacks one of the model's.
    pub fn new(
        config: &Config,
        tokenizer: &Tokenizer,
        parameters: Tensors,
    ) -> Result<StepProgram, TensorError> {
        StepProgram::against(config, tokenizer, parameters, Others::default())
    }

    /// [`new`](StepProgram::new) with terms of other networks.
    pub(super) fn against(
        config: &Config,
        tokenizer: &Tokenizer,
        parameters: Tensors,
        others: Others,
    ) -> Result<StepProgram, TensorError> {
        let graph = Graph::new();
        let (step, scalars) = build(&graph, config, tokenizer, others);
        let mut start = parameters;
        start.extend(step.initial_state(&start)?);
        Ok(StepProgram {
            function: step.function(),
            halves: step.halves(),
            start,
            scalars,
            has_codebook_weight: has_codebook_weight(config),
        })
    }

    /// The function alone, without anything to start it with: to look at or to measure.
    pub fn function_of(config: &Config, tokenizer: &Tokenizer) -> Function {
        build(&Graph::new(), config, tokenizer, Others::default())
            .0
            .function()
    }

    /// The function and its halves, with terms of other networks.
    pub(super) fn step_of(
        config: &Config,
        tokenizer: &Tokenizer,
        others: Others,
    ) -> (Function, Halves) {
        let graph = Graph::new();
        let (step, _) = build(&graph, config, tokenizer, others);
        (step.function(), step.halves())
    }

    /// [`function_of`](StepProgram::function_of) for a step of several micro-batches.
    pub fn halves_of(config: &Config, tokenizer: &Tokenizer) -> Halves {
        build(&Graph::new(), config, tokenizer, Others::default())
            .0
            .halves()
    }
}

/// A loss of the quantizer whose weight is zero at every step is left out.
fn has_codebook_weight(config: &Config) -> bool {
    config.loss.codebook_weight != 0.0
}

/// The step in a graph, and the names of its scalar outputs.
fn build<'g>(
    graph: &'g Graph,
    config: &Config,
    tokenizer: &Tokenizer,
    others: Others,
) -> (Step<'g>, Vec<&'static str>) {
    let scope = Scope::root(graph);
    let batch = config.data.batch_size;
    let image = graph.input("image", DType::F32, &tokenizer.input_shape(batch)[..]);
    let forward = tokenizer.forward(&scope, image);
    let codebook_weight = graph.scalar("codebook_weight");
    let loss = TokenizerLoss {
        zero_mean: config.data.zero_mean,
        ..TokenizerLoss::from_config(&config.loss, codebook_weight)
    };
    let mut terms = loss.terms(&forward, image);
    if !has_codebook_weight(config) {
        terms.retain(|term| term.name != "quantizer");
    }
    let rule = config.optimizer.rule(graph.scalar("lr"), "");
    // The model's own, without those of other networks, which come after.
    let trained = trained(&scope, &config.train).into_iter();
    let trained = trained.filter(|(name, _)| tokenizer.is_trained(name));
    let picture = forward.decoded.reconstruction;
    if let Some(network) = others.lpips {
        let [original, reconstruction] = [image, picture].map(frames_as_pictures);
        let distance = network.distance(&scope / "lpips", original, reconstruction);
        terms.push(Term {
            name: "perceptual",
            value: distance.mean(..),
            weight: Weight::Fixed(config.loss.perceptual_weight),
        });
    }
    let rate = others.rate;
    terms.extend(rate.map(|rate| rate.term(&scope, tokenizer, &forward)));
    let against = others
        .adversary
        .map(|adversary| adversary.term(&scope, picture, &terms));
    terms.extend(against.iter().map(|(term, _)| *term));
    let trained: Vec<_> = trained.map(|(_, parameter)| parameter).collect();
    let mut step = minimize(total(&terms), &trained, &*rule);
    if config.train.logs_gradient_norm(&config.optimizer) {
        step = step.with_gradient_norm();
    }
    if config.train.use_ema {
        step = step.with_average(config.train.ema_decay);
    }
    if let Some((_, memory)) = &against {
        step = step.replacing(memory.updates());
        step = step.output(super::adversary::JUDGED, picture);
    }
    if let (EntropyOver::Step, Some(bsq)) = (config.loss.entropy_over, forward.terms) {
        step = step.over_step("code_probabilities", bsq.average);
    }
    step = step.output("codebook_entropy", forward.codebook_entropy);
    let mut scalars = vec!["loss", "codebook_entropy"];
    for &Term { name, value, .. } in &terms {
        step = step.output(name, value);
        scalars.push(name);
    }
    if config.train.logs_gradient_norm(&config.optimizer) {
        scalars.push("gradient_norm");
    }
    (step, scalars)
}
