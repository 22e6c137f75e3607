//! The programs of a tokenizer's training step, by name: to look at, or to estimate.

use super::StepProgram;
use super::adversary::Adversary;
use super::program::Others;
use crate::config::{Config, ConfigError};
use crate::lpips::{Backbone, Network};
use crate::tokenizer::Tokenizer;
use bsq_ir::Function;
use bsq_nn::optimizer::Halves;
use bsq_nn::train::Turn;

/// A program of a training step.
#[derive(Clone, Debug)]
pub struct StepPart {
    pub name: &'static str,
    pub function: Function,
    /// The same for a step of several micro-batches.
    pub halves: Halves,
    /// At which steps it is run.
    pub turn: Turn,
}

/// The programs of a configuration's step: the tokenizer's, with all terms of its loss, first, then the
/// discriminator's, with and without R1, if there is one. LPIPS is among the terms where it has a weight, the rate,
/// whose prior is a file, is not.
///
/// # Errors
/// If the discriminator does not suit the pictures or clips, or the batch.
pub fn step_parts(config: &Config, tokenizer: &Tokenizer) -> Result<Vec<StepPart>, ConfigError> {
    let has_lpips = config.loss.perceptual_weight != 0.0;
    let network = || Network::new(Backbone::Vgg16).zero_mean(config.data.zero_mean);
    let lpips = has_lpips.then(network);
    let adversary = Adversary::of(config)?;
    let others = Others {
        lpips: lpips.as_ref(),
        adversary: adversary.as_ref(),
        ..Others::default()
    };
    let step = StepProgram::step_of(config, tokenizer, others);
    let mut parts = vec![StepPart {
        name: "training step",
        function: step.0,
        halves: step.1,
        turn: Turn::Always,
    }];
    let others = adversary.iter().flat_map(|adversary| adversary.parts().0);
    parts.extend(others.map(|part| StepPart {
        name: match part.turn {
            Turn::Every(_) => "discriminator with R1",
            Turn::First => "first pictures",
            Turn::Always | Turn::NotEvery(_) => "discriminator",
        },
        function: part.function,
        halves: part.halves,
        turn: part.turn,
    }));
    Ok(parts)
}
