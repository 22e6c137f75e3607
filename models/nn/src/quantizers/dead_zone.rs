//! The uniform quantizer of transform coding: a level for each step, a wider one around zero.

use super::straight_through;
use bsq_ir::tensor::Init;
use bsq_ir::{AsScope, Tensor};

/// Levels `q = sign(y) floor(|y| + rounding)` of features in units of the step.
///
/// At `rounding = 1/2` it rounds to the nearest; below, more features become zero (the dead zone is
/// `2 (1 - rounding)` steps wide), which costs little distortion and saves many bits where small
/// features are the likely ones (Sullivan 1996).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeadZone {
    /// Above 0 and at most 1/2.
    pub rounding: f64,
}

impl DeadZone {
    /// The level of each feature: an integer in `f32`. The gradient goes straight through.
    pub fn levels<'g>(&self, y: Tensor<'g>) -> Tensor<'g> {
        let size = (y.abs() + self.rounding).floor();
        straight_through(y.sign() * size, y)
    }

    /// The level of one feature: what [`levels`](DeadZone::levels) gives.
    pub fn level(self, y: f32) -> f32 {
        let size = (y.abs() + self.rounding as f32).floor();
        if y == 0.0 { 0.0 } else { size.copysign(y) }
    }

    /// Features that levels `[.., coordinates]` stand for: `q - c sign(q)`, with a learned shift
    /// `shift` (`c`, `[coordinates]`, towards zero) for each coordinate, which starts at 0.
    pub fn reconstruct<'g>(&self, scope: impl AsScope<'g>, levels: Tensor<'g>) -> Tensor<'g> {
        let scope = scope.as_scope();
        let coordinates = levels.shape().last().copied().unwrap_or(1);
        let shift = scope.parameter("shift", [coordinates], Init::Constant(0.0));
        levels - shift * levels.sign()
    }
}
