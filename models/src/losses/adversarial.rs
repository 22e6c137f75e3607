//! Adversarial losses on a discriminator's logits, its gradient penalty, and the weight that keeps
//! the generator's share in proportion.
//!
//! | | discriminator | generator |
//! |---|---|---|
//! | vanilla | (mean softplus(-real) + mean softplus(fake)) / 2 | mean softplus(-fake) |
//! | hinge | (mean max(0, 1 - real) + mean max(0, 1 + fake)) / 2 | -mean fake |

use crate::config::AdversarialLoss;
use bsq_ir::Tensor;
use bsq_ir::autodiff::gradients;
use bsq_nn::layers::relu;
use bsq_nn::optimizer::global_norm;

/// Keeps the quotient of gradients finite.
const EPSILON: f64 = 1e-4;
/// No weight is above this.
const LARGEST_WEIGHT: f64 = 1e4;

impl AdversarialLoss {
    /// What the discriminator minimises, `f32[]`.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn of_discriminator<'g>(self, real: Tensor<'g>, fake: Tensor<'g>) -> Tensor<'g> {
        let sum = match self {
            AdversarialLoss::Vanilla => (-real).softplus().mean(..) + fake.softplus().mean(..),
            AdversarialLoss::Hinge => relu(1.0 - real).mean(..) + relu(1.0 + fake).mean(..),
        };
        sum * 0.5
    }

    /// What the generator minimises, `f32[]`.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn of_generator<'g>(self, fake: Tensor<'g>) -> Tensor<'g> {
        match self {
            AdversarialLoss::Vanilla => (-fake).softplus().mean(..),
            AdversarialLoss::Hinge => -fake.mean(..),
        }
    }
}

/// R1 (Mescheder et al., 2018): the squared length of the derivative of the sum of `logits` by the
/// real pictures `real`, a mean over the batch, `f32[]`.
///
/// It has derivatives by the discriminator's parameters. The reference's has none: there it is
/// wrapped in `stop_gradient`.
///
/// # Panics
/// If `real` has no axis, or both are of different graphs.
#[track_caller]
pub fn r1_penalty<'g>(logits: Tensor<'g>, real: Tensor<'g>) -> Tensor<'g> {
    let slope = gradients(logits.sum(..), &[real])[0];
    let batch = real.shape()[0];
    slope.square().sum(..) * (1.0 / batch as f64)
}

/// The factor that makes the gradient of the `adversarial` loss as long as that of the
/// `reconstruction`, both by the decoder's `last` weight: `f32[]` in 0..10,000, held constant.
///
/// # Panics
/// If a loss is no scalar, or they are of different graphs.
#[track_caller]
pub fn adaptive_weight<'g>(
    reconstruction: Tensor<'g>,
    adversarial: Tensor<'g>,
    last: Tensor<'g>,
) -> Tensor<'g> {
    let length = |loss: Tensor<'g>| global_norm(&gradients(loss, &[last]));
    let weight = length(reconstruction) / (length(adversarial) + EPSILON);
    weight.clamp(0.0, LARGEST_WEIGHT).stop_gradient()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq_ir::eval::{Precision, Values, evaluate};
    use bsq_ir::{DType, Graph};

    fn values(build: impl for<'g> Fn(&'g Graph) -> Vec<Tensor<'g>>) -> Vec<f32> {
        let g = Graph::new();
        let tensors = build(&g);
        let names: Vec<String> = (0..tensors.len()).map(|i| i.to_string()).collect();
        let outputs = names
            .iter()
            .zip(&tensors)
            .map(|(name, y)| (name.as_str(), y.id()));
        let function = g.function(outputs, []);
        let run = evaluate(&function, &Values::new(), &Values::new(), Precision::F32).unwrap();
        names
            .iter()
            .flat_map(|name| run.outputs[name].as_f32().to_vec())
            .collect()
    }

    fn assert_close(found: &[f32], wanted: &[f32]) {
        assert_eq!(found.len(), wanted.len());
        for (a, b) in found.iter().zip(wanted) {
            assert!((a - b).abs() < 2e-6, "{found:?}, not {wanted:?}");
        }
    }

    #[test]
    fn losses_of_known_logits() {
        let found = values(|g| {
            let real = g.constant_f32(&[1.0, -2.0], [2, 1]);
            let fake = g.constant_f32(&[0.5, -1.0], [2, 1]);
            let of = |loss: AdversarialLoss| {
                [loss.of_discriminator(real, fake), loss.of_generator(fake)]
            };
            [of(AdversarialLoss::Vanilla), of(AdversarialLoss::Hinge)].concat()
        });
        assert_close(&found, &[0.931_882_1, 0.893_669_3, 1.125, 0.25]);
    }

    /// Beyond the margin, and at it, nothing is to be won.
    #[test]
    fn a_hinge_has_no_slope_beyond_its_margin() {
        let found = values(|g| {
            let [real, fake] =
                [[2.0, 1.0, 0.5], [-2.0, -1.0, 0.5]].map(|x| g.constant_f32(&x, [3]));
            let loss = AdversarialLoss::Hinge.of_discriminator(real, fake);
            gradients(loss, &[real, fake])
        });
        assert_close(&found, &[0.0, 0.0, -1.0 / 6.0, 0.0, 0.0, 1.0 / 6.0]);
    }

    #[test]
    fn a_penalty_of_a_known_slope() {
        // D = sum of w x^2: its slope is 2 w x.
        let found = values(|g| {
            let x = g.constant_f32(&[1.0, -2.0, 3.0, 0.5], [2, 2]);
            let w = g.full(3.0, DType::F32, []);
            let logits = (x.square() * w.broadcast_to([2, 2])).sum(1);
            let penalty = r1_penalty(logits, x);
            vec![penalty, gradients(penalty, &[w])[0]]
        });
        assert_close(&found, &[36.0 * 14.25 / 2.0, 24.0 * 14.25 / 2.0]);
    }

    #[test]
    fn the_adaptive_weight_is_a_quotient_of_lengths_without_slope() {
        let found = values(|g| {
            let last = g.constant_f32(&[3.0, 4.0], [2]);
            let (near, far) = (last.square().sum(..) * 0.5, last.sum(..) * 0.5);
            let weight = adaptive_weight(near, far, last);
            vec![weight, gradients(weight, &[last])[0]]
        });
        let wanted = 5.0 / (0.5_f32.sqrt() + 1e-4);
        assert_close(&found, &[wanted, 0.0, 0.0]);
        let flat = values(|g| {
            let last = g.constant_f32(&[3.0], [1]);
            vec![adaptive_weight(
                last.sum(..) * 5.0,
                (last * 0.0).sum(..),
                last,
            )]
        });
        assert_eq!(flat, [1e4]);
    }
}
