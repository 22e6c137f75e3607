//! What training minimises: a list of weighted terms, added in order.
//!
//! | term | value | weight |
//! |---|---|---|
//! | `reconstruction` | mean absolute or mean squared difference of picture and reconstruction | `reconstruct_weight` |
//! | `quantizer` | the quantizer's own loss: entropies and commitment | an operand: `codebook_weight` has a ramp |
//! | `logit_laplace` | negative log-likelihood of the pixels, for a model with that head | `logit_laplace_weight` |
//!
//! A new term, perceptual or adversarial, is one more [`Term`] at the end of the list, so the sum
//! of those before it keeps its bits.

pub mod adversarial;
mod logit_laplace;
mod ms_ssim;

pub use logit_laplace::logit_laplace;
pub use ms_ssim::{MS_SSIM_SCALE, MS_SSIM_SMALLEST_CROP, ms_ssim};

use crate::config::{LossConfig, ReconstructionLoss};
use crate::tokenizer::Forward;
use bsq_ir::Tensor;

/// One summand of the loss.
#[derive(Clone, Copy, Debug)]
pub struct Term<'g> {
    /// The name in logs.
    pub name: &'static str,
    /// `f32[]`, not yet weighted.
    pub value: Tensor<'g>,
    /// What the value is multiplied by.
    pub weight: Weight<'g>,
}

/// The weight of a term.
#[derive(Clone, Copy, Debug)]
pub enum Weight<'g> {
    /// Fixed when the graph is built.
    Fixed(f64),
    /// Given at every step, `f32[]`.
    Operand(Tensor<'g>),
}

/// What the loss of a tokenizer is made of.
///
/// ```
/// use bsq::losses::TokenizerLoss;
/// # use bsq_ir::Graph;
/// # let g = Graph::new();
/// let loss = TokenizerLoss {
///     reconstruct_weight: 2.0,
///     ..TokenizerLoss::new(g.scalar("codebook_weight"))
/// };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokenizerLoss<'g> {
    /// How far a reconstruction is from its original.
    pub reconstruction: ReconstructionLoss,
    /// Weight of that distance.
    pub reconstruct_weight: f64,
    /// Weight of the quantizer's loss at this step, `f32[]`.
    pub codebook_weight: Tensor<'g>,
    /// Weight of the likelihood, for a model with a logit-Laplace head.
    pub logit_laplace_weight: f64,
}

impl<'g> TokenizerLoss<'g> {
    /// The mean absolute difference and the weighted loss of the quantizer.
    pub fn new(codebook_weight: Tensor<'g>) -> Self {
        TokenizerLoss {
            reconstruction: ReconstructionLoss::L1,
            reconstruct_weight: 1.0,
            codebook_weight,
            logit_laplace_weight: 0.0,
        }
    }

    /// As a configuration says; see [`left_out`] for what it may ask for in vain.
    pub fn from_config(config: &LossConfig, codebook_weight: Tensor<'g>) -> Self {
        TokenizerLoss {
            reconstruction: config.reconstruction,
            reconstruct_weight: config.reconstruct_weight,
            codebook_weight,
            logit_laplace_weight: config.logit_laplace_weight,
        }
    }

    /// The terms for the pictures `image` that `forward` was built on. Terms whose fixed weight
    /// is zero are left out.
    #[track_caller]
    pub fn terms(&self, forward: &Forward<'g>, image: Tensor<'g>) -> Vec<Term<'g>> {
        let difference = image - forward.decoded.reconstruction;
        let distance = match self.reconstruction {
            ReconstructionLoss::L1 => difference.abs(),
            ReconstructionLoss::Mse => difference.square(),
        };
        let mut terms = vec![
            Term {
                name: "reconstruction",
                value: distance.mean(..),
                weight: Weight::Fixed(self.reconstruct_weight),
            },
            Term {
                name: "quantizer",
                value: forward.quantized.loss,
                weight: Weight::Operand(self.codebook_weight),
            },
        ];
        let has_likelihood = forward.decoded.raw.shape() != image.shape();
        if has_likelihood {
            terms.push(Term {
                name: "logit_laplace",
                value: logit_laplace(forward.decoded.raw, image),
                weight: Weight::Fixed(self.logit_laplace_weight),
            });
        }
        terms.retain(|term| !matches!(term.weight, Weight::Fixed(0.0)));
        terms
    }
}

/// The weighted sum of the terms, added in order.
///
/// # Panics
/// If there are none.
#[track_caller]
pub fn total<'g>(terms: &[Term<'g>]) -> Tensor<'g> {
    let weighted = terms.iter().map(|term| match term.weight {
        Weight::Fixed(1.0) => term.value,
        Weight::Fixed(weight) => term.value * weight,
        Weight::Operand(weight) => term.value * weight,
    });
    let sum = weighted.reduce(|sum, term| sum + term);
    sum.expect("a loss has at least one term")
}

/// Something that a configuration asks for and this list does not have yet, in words for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub what: &'static str,
    /// The setting that does without.
    pub remedy: &'static str,
}

/// What a configuration asks for in vain.
pub fn left_out(config: &LossConfig) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    if config.perceptual_weight != 0.0 {
        left_out.push(LeftOut {
            what: "the perceptual loss",
            remedy: "loss.perceptual_weight = 0",
        });
    }
    if !config.skip_disc && config.disc_weight != 0.0 {
        left_out.push(LeftOut {
            what: "the adversarial loss",
            remedy: "loss.skip_disc = true",
        });
    }
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq_ir::Graph;
    use bsq_ir::eval::{Precision, Values, evaluate};

    fn value(build: impl for<'g> Fn(&'g Graph) -> Tensor<'g>) -> f32 {
        let g = Graph::new();
        let function = g.function([("value", build(&g).id())], []);
        let run = evaluate(&function, &Values::new(), &Values::new(), Precision::F32).unwrap();
        run.outputs["value"].as_f32()[0]
    }

    #[test]
    fn terms_are_weighted_and_added() {
        let sum = value(|g| {
            let scalar = |value| g.constant_f32(&[value], []);
            let term = |value, weight| Term {
                name: "any",
                value: scalar(value),
                weight,
            };
            total(&[
                term(3.0, Weight::Fixed(1.0)),
                term(2.0, Weight::Fixed(0.5)),
                term(5.0, Weight::Operand(scalar(10.0))),
            ])
        });
        assert_eq!(sum, 54.0);
    }

    #[test]
    fn the_likelihood_of_a_known_pixel() {
        let loss = value(|g| {
            let image = g.constant_f32(&[0.7; 3], [1, 3, 1, 1]);
            let raw = g.constant_f32(&[0.3, 0.3, 0.3, -0.5, -0.5, -0.5], [1, 6, 1, 1]);
            logit_laplace(raw, image)
        });
        assert!((loss - -1.395_354_2).abs() < 1e-6, "{loss}");
    }
}
