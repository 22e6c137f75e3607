//! Convolution of grids of features, channels last.

use super::linear::Start;
use bsq_ir::{Scope, Tensor};

/// A 3x3 convolution that keeps the grid: `[batch, rows, columns, inputs]` to `[.., outputs]`, with
/// zeros outside.
///
/// Parameters: `weight [outputs, 3, 3, inputs]`, `bias [outputs]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv3x3 {
    pub outputs: usize,
    pub weight: Start,
    pub bias: Start,
}

impl Conv3x3 {
    /// As in PyTorch: weight and bias uniform in ±1/√(9 inputs).
    pub fn new(outputs: usize) -> Conv3x3 {
        Conv3x3 {
            outputs,
            weight: Start::FanIn,
            bias: Start::FanIn,
        }
    }

    /// # Panics
    /// If `x` is not a grid of features, or the scope has these parameters already.
    #[track_caller]
    pub fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let inputs = x.shape().last().copied().unwrap_or(0);
        let shape = [self.outputs, 3, 3, inputs];
        let weight = scope.parameter("weight", shape, self.weight.init(9 * inputs));
        let bias = scope.parameter("bias", [self.outputs], self.bias.init(9 * inputs));
        let padded = x.pad(1, 1, 1, 0.0).pad(2, 1, 1, 0.0);
        // [batch, rows, 3, columns, 3, inputs]: views that contractions read in place.
        let windows = padded.window(2, 3, 1, 1).window(1, 3, 1, 1);
        windows.dot_general(weight, &[], &[(2, 1), (4, 2), (5, 3)]) + bias
    }
}
