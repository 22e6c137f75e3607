//! The discriminator's side of a training: its term in the tokenizer's loss, and its own step.
//!
//! A step has the order of the reference: the tokenizer is updated against the discriminator as it is,
//! then the discriminator on the pictures or clips and on the reconstructions from before that update,
//! the real and the generated ones in passes of their own. Each is a program with an optimizer.

use super::suits;
use crate::config::{Config, ConfigError, DiscriminatorType};
use crate::discriminator::Discriminator;
use crate::losses::adversarial::{adaptive_weight, r1_penalty};
use crate::losses::{Term, Weight, total};
use crate::tokenizer::{Tokenizer, frames_as_pictures};
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::layers::{BatchMemory, BatchUse};
use bsq_nn::optimizer::{ADVERSARY_PREFIX, Step, minimize_with_gradients};
use bsq_nn::train::{Part, Turn};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::TensorError;

/// The reconstructions, an output of the tokenizer's step and an input of the discriminator's.
pub(super) const JUDGED: &str = "judged";

/// Whether the adversarial losses have begun, an input: 0 or 1.
pub(super) const FACTOR: &str = "disc_factor";

/// The weight whose gradients are compared by the adaptive weight.
const LAST: &str = "decoder.conv_out.weight";

/// A discriminator and how a configuration trains it.
pub(super) struct Adversary<'a> {
    config: &'a Config,
    judge: Discriminator,
    /// Of `image` and of what is judged.
    shape: Vec<usize>,
}

impl<'a> Adversary<'a> {
    /// That of a configuration; none if it trains without.
    ///
    /// # Errors
    /// If the discriminator does not suit the pictures or clips, or the batch.
    pub fn of(config: &'a Config) -> Result<Option<Adversary<'a>>, ConfigError> {
        let Some(judge) = suits::discriminator(config)? else {
            return Ok(None);
        };
        Ok(Some(Adversary {
            config,
            judge,
            shape: Tokenizer::new(&config.model).input_shape(config.data.batch_size),
        }))
    }

    /// Pictures as they are. Clips are so for a discriminator of clips, and pictures of a batch for others.
    fn seen<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        match self.judge {
            Discriminator::StyleGan3d(_) => x,
            Discriminator::StyleGan(_) | Discriminator::PatchGan(_) => frames_as_pictures(x),
        }
    }

    /// The term against it in the loss of `picture`, or a clip, after the other terms, and what it remembers.
    pub fn term<'g>(
        &self,
        root: &Scope<'g>,
        picture: Tensor<'g>,
        terms: &[Term<'g>],
    ) -> (Term<'g>, BatchMemory<'g>) {
        let loss = &self.config.loss;
        let mut memory = BatchMemory::new(BatchUse::Training);
        let logits = self
            .judge
            .logits(place(root), self.seen(picture), &mut memory);
        let value = loss.disc_loss.of_generator(logits);
        let graph = picture.graph();
        let mut weight = graph.scalar(FACTOR) * loss.disc_weight;
        if loss.use_adaptive_disc_weight {
            let others: Vec<Term<'g>> = terms
                .iter()
                .filter(|term| term.name != "quantizer")
                .copied()
                .collect();
            let last = graph.known_parameter(LAST).expect("a decoder has an end");
            weight = weight * adaptive_weight(total(&others), value, last);
        }
        let weight = Weight::Operand(weight);
        let name = "adversarial";
        (
            Term {
                name,
                value,
                weight,
            },
            memory,
        )
    }

    /// Its parameters before the first step, and its optimizer's state, by their names in the training.
    pub fn start(&self, seed: u64) -> Result<Tensors, TensorError> {
        let graph = Graph::new();
        let seen = self.seen(graph.input("image", DType::F32, &self.shape[..]));
        let own = self.judge.init(&seen.shape(), seed)?.into_iter();
        let mut start: Tensors = own
            .map(|(name, tensor)| (format!("{ADVERSARY_PREFIX}{name}"), tensor))
            .collect();
        let graph = Graph::new();
        start.extend(self.step(&graph, false).initial_state(&start)?);
        Ok(start)
    }

    /// Its programs, and the scalars that they put out.
    pub fn parts(&self) -> (Vec<Part>, Vec<&'static str>) {
        let part = |penalised: bool, turn| {
            let graph = Graph::new();
            let step = self.step(&graph, penalised);
            Part {
                function: step.function(),
                halves: step.halves(),
                turn,
            }
        };
        let mut scalars = vec!["discriminator", "logits_real", "logits_fake"];
        let period = self.config.loss.disc_reg_freq;
        let mut parts = match period {
            0 => vec![part(false, Turn::Always)],
            period => {
                scalars.push("r1");
                vec![
                    part(false, Turn::NotEvery(period)),
                    part(true, Turn::Every(period)),
                ]
            }
        };
        if self.config.loss.use_actnorm && self.config.loss.disc_type == DiscriminatorType::Patchgan
        {
            parts.push(self.first());
        }
        (parts, scalars)
    }

    /// The first pictures give ActNorm its start.
    fn first(&self) -> Part {
        let graph = Graph::new();
        let image = self.seen(graph.input("image", DType::F32, &self.shape[..]));
        let mut memory = BatchMemory::new(BatchUse::Starting);
        self.judge
            .logits(place(&Scope::root(&graph)), image, &mut memory);
        let step = Step::new(&graph).replacing(memory.updates());
        Part {
            function: step.function(),
            halves: step.halves(),
            turn: Turn::First,
        }
    }

    /// One step on `image` and what was made of it, with or without the penalty.
    fn step<'g>(&self, graph: &'g Graph, penalised: bool) -> Step<'g> {
        let loss = &self.config.loss;
        let scope = Scope::root(graph);
        let [image, judged] =
            ["image", JUDGED].map(|name| self.seen(graph.input(name, DType::F32, &self.shape[..])));
        let mut memory = BatchMemory::new(BatchUse::Training);
        let [real, fake] =
            [image, judged].map(|x| self.judge.logits(place(&scope), x, &mut memory));
        let value = loss.disc_loss.of_discriminator(real, fake);
        let mut minimised = value * graph.scalar(FACTOR);
        let mut penalty = None;
        if penalised {
            // A pass of its own in the reference, of the same pictures.
            let r1 = r1_penalty(real, image);
            let weight = loss.disc_reg_r1 / 2.0 * loss.disc_reg_freq as f64;
            let added = if loss.disc_reg_compat {
                r1.stop_gradient()
            } else {
                r1
            };
            minimised = minimised + added * weight;
            penalty = Some(r1);
        }
        let specs = scope.specs().into_iter().zip(scope.parameters());
        let trained = specs.filter(|(spec, _)| self.judge.is_trained(&spec.name));
        let trained: Vec<Tensor<'g>> = trained.map(|(_, parameter)| parameter).collect();
        let optimizer = &self.config.optimizer;
        let rule = optimizer.rule(graph.scalar("lr"), ADVERSARY_PREFIX);
        let gradients = bsq_ir::autodiff::gradients(minimised, &trained);
        let mut step = minimize_with_gradients(&trained, &gradients, &*rule)
            .replacing(memory.updates())
            .output("discriminator", value)
            .output("logits_real", real.mean(..))
            .output("logits_fake", fake.mean(..));
        if let Some(r1) = penalty {
            step = step.output("r1", r1);
        }
        step
    }
}

/// Where its parameters are; it is built more than once in a graph.
fn place<'g>(root: &Scope<'g>) -> Scope<'g> {
    (root / ADVERSARY_PREFIX.trim_end_matches('.')).sharing()
}
