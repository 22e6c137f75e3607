//! The programs of a tokenizer's step with all networks that its loss asks for, and their weights.

use super::adversary::Adversary;
use super::perceptual::perceptual;
use super::program::{Others, StepProgram};
use super::rate::Rate;
use super::suits::check_supported;
use super::{Progress, TrainError};
use crate::config::Config;
use crate::tokenizer::Tokenizer;
use bsq_nn::train::Program;
use bsq_runtime::executor::Tensors;
use std::path::PathBuf;

/// The programs of a step of training a tokenizer that starts with `parameters`, what the other networks
/// start with among them; LPIPS has its weights in files. A rate is left out. Inputs are those of [`StepProgram::function`].
///
/// # Errors
/// [`TrainError`], if numbers of the losses do not suit the pictures, or a file cannot be read.
///
/// # Panics
/// If `parameters` lacks one of the model's.
pub fn step_programs(
    config: &Config,
    parameters: Tensors,
    lpips: &[PathBuf],
    progress: &mut dyn Progress,
) -> Result<Program, TrainError> {
    check_supported(config)?;
    let tokenizer = Tokenizer::new(&config.model);
    let made = Assembled::new(config, &tokenizer, parameters, (lpips, None), progress)?;
    Ok(made.program)
}

/// The programs of a step, and what is known of them.
pub(super) struct Assembled {
    pub program: Program,
    pub has_codebook_weight: bool,
    pub has_adversary: bool,
    /// Of the weights of the perceptual loss.
    pub lpips: Option<String>,
    pub rate: Option<Rate>,
}

impl Assembled {
    /// The programs for a model that starts with `parameters`, with the weights of LPIPS out of files, and a prior
    /// for the rate by its name.
    pub fn new(
        config: &Config,
        tokenizer: &Tokenizer,
        parameters: Tensors,
        (files, rate_prior): (&[PathBuf], Option<&str>),
        progress: &mut dyn Progress,
    ) -> Result<Assembled, TrainError> {
        let lpips = perceptual(config, files, progress)?;
        let rate = Rate::of(config, rate_prior, progress)?;
        let adversary = Adversary::of(config)?;
        let others = Others {
            lpips: lpips.as_ref().map(|lpips| &lpips.network),
            rate: rate.as_ref(),
            adversary: adversary.as_ref(),
        };
        let mut step = StepProgram::against(config, tokenizer, parameters, others)?;
        let mut parts = Vec::new();
        if let Some(adversary) = &adversary {
            step.start.extend(adversary.start(config.train.seed)?);
            let (own, scalars) = adversary.parts();
            parts = own;
            step.scalars.extend(scalars);
        }
        let checksum = lpips.as_ref().map(|lpips| lpips.checksum.clone());
        let mut fixed = lpips.map(|lpips| lpips.weights).unwrap_or_default();
        fixed.extend(rate.iter().flat_map(Rate::weights));
        Ok(Assembled {
            has_codebook_weight: step.has_codebook_weight,
            has_adversary: adversary.is_some(),
            lpips: checksum,
            rate,
            program: Program {
                function: step.function,
                halves: step.halves,
                start: step.start,
                scalars: step.scalars.into_iter().map(String::from).collect(),
                parts,
                fixed,
            },
        })
    }
}
