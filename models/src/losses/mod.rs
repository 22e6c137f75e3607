//! What training minimises: a list of weighted terms, added in order.
//!
//! | term | value | weight |
//! |---|---|---|
//! | `reconstruction` | mean absolute or mean squared difference of picture and reconstruction | `reconstruct_weight` |
//! | `quantizer` | the quantizer's own loss: entropies and commitment | an operand: `codebook_weight` has a ramp |
//! | `logit_laplace` | negative log-likelihood of the pixels, for a model with that head | `logit_laplace_weight` |
//! | `ms_ssim` | 1 - [`ms_ssim`], the mean over pictures | `ms_ssim_weight` |
//! | `multiscale` | [`multiscale_difference`] | `multiscale_weight` |
//! | `perceptual` | [LPIPS](crate::lpips), the mean over pictures | `perceptual_weight` |
//! | `rate` | bits that a frozen [prior](crate::prior) needs for a token, of BSQ | `rate_weight` |
//! | `adversarial` | what the discriminator takes for generated | `disc_weight`, an operand: 0 before `disc_start` |
//!
//! Where a term compares pictures, the frames of a clip are pictures of a batch.
//!
//! Each is one more [`Term`] at the end of the list, so the sum of those before it keeps its bits. What
//! a discriminator minimises itself is in [`adversarial`].

pub mod adversarial;
mod logit_laplace;
mod ms_ssim;
mod multiscale;

pub use logit_laplace::logit_laplace;
pub use ms_ssim::{MS_SSIM_SCALE, MS_SSIM_SMALLEST_CROP, ms_ssim};
pub use multiscale::multiscale_difference;

use crate::config::{LossConfig, ReconstructionLoss};
use crate::tokenizer::{Forward, frames_as_pictures};
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
    /// Whether pictures are in -1..1, and not in 0..1.
    pub zero_mean: bool,
    /// Weight of 1 - MS-SSIM.
    pub ms_ssim_weight: f64,
    /// Weight of the mean absolute difference at halved sizes.
    pub multiscale_weight: f64,
}

impl<'g> TokenizerLoss<'g> {
    /// The mean absolute difference and the weighted loss of the quantizer.
    pub fn new(codebook_weight: Tensor<'g>) -> Self {
        TokenizerLoss {
            reconstruction: ReconstructionLoss::L1,
            reconstruct_weight: 1.0,
            codebook_weight,
            logit_laplace_weight: 0.0,
            zero_mean: true,
            ms_ssim_weight: 0.0,
            multiscale_weight: 0.0,
        }
    }

    /// As a configuration says, for pictures in -1..1, without the terms of other networks.
    pub fn from_config(config: &LossConfig, codebook_weight: Tensor<'g>) -> Self {
        TokenizerLoss {
            reconstruction: config.reconstruction,
            reconstruct_weight: config.reconstruct_weight,
            codebook_weight,
            logit_laplace_weight: config.logit_laplace_weight,
            zero_mean: true,
            ms_ssim_weight: config.ms_ssim_weight,
            multiscale_weight: config.multiscale_weight,
        }
    }

    /// The terms for the pictures or clips `image` that `forward` was built on. Terms whose fixed weight
    /// is zero are left out.
    ///
    /// # Panics
    /// If `image` is not that of `forward`.
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
        let [original, reconstruction] =
            [image, forward.decoded.reconstruction].map(frames_as_pictures);
        if self.ms_ssim_weight != 0.0 {
            // On the scale of MS-SSIM, whose range is 255.
            let levels = |x: Tensor<'g>| match self.zero_mean {
                true => x * 127.5,
                false => x * 255.0 - 127.5,
            };
            let similarity = ms_ssim(levels(original), levels(reconstruction)).mean(..);
            terms.push(Term {
                name: "ms_ssim",
                value: 1.0 - similarity,
                weight: Weight::Fixed(self.ms_ssim_weight),
            });
        }
        if self.multiscale_weight != 0.0 {
            terms.push(Term {
                name: "multiscale",
                value: multiscale_difference(original, reconstruction),
                weight: Weight::Fixed(self.multiscale_weight),
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
