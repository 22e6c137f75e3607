//! The networks beside the transform: convolutions over cells of 2x2 patches.

use bsq_ir::{Scope, Tensor};
use bsq_nn::layers::{Conv, Linear, Start};

/// From features of patches `[B, R, C, inputs]` to `[B, R, C, outputs]`, zero before training.
///
/// Patches are joined to cells, `[B, R/2, C/2, 4 inputs]`; each block adds to a cell
/// `linear(gelu(conv3x3(x)))`, so that a cell sees `blocks` cells around it.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub width: usize,
    pub blocks: usize,
    pub outputs: usize,
}

impl Network {
    /// `log_step` is `[B]`.
    ///
    /// # Panics
    /// If `x` does not have four axes, or `log_step` is not `[B]`.
    #[track_caller]
    pub fn forward<'g>(
        &self,
        scope: &Scope<'g>,
        x: Tensor<'g>,
        log_step: Tensor<'g>,
    ) -> Tensor<'g> {
        let cells = cells(x);
        let shape = cells.shape();
        let step =
            Linear::new(self.width).forward(scope / "step", log_step.reshape([shape[0], 1, 1, 1]));
        let stem = Linear {
            bias: None,
            ..Linear::new(self.width)
        };
        let mut x = stem.forward(scope / "input", cells) + step;
        for block in 0..self.blocks {
            let place = scope / block;
            let conv = Conv::new(self.width, [3, 3]).padding(1).channels_last();
            let hidden = conv.forward(&place / "conv", x).gelu();
            x = x + Linear::new(self.width).forward(&place / "linear", hidden);
        }
        let zero = Linear {
            weight: Start::ZERO,
            bias: Some(Start::ZERO),
            ..Linear::new(4 * self.outputs)
        };
        patches(zero.forward(scope / "output", x.gelu()))
    }
}

/// `[B, R, C, F]` to `[B, R/2, C/2, 4 F]`.
fn cells(x: Tensor<'_>) -> Tensor<'_> {
    let [batch, rows, columns, features] = x.shape()[..] else {
        panic!("a grid of features, not {}", x.shape())
    };
    x.reshape([batch, rows / 2, 2, columns / 2, 2, features])
        .transpose(&[0, 1, 3, 2, 4, 5])
        .reshape([batch, rows / 2, columns / 2, 4 * features])
}

/// The inverse of [`cells`].
fn patches(x: Tensor<'_>) -> Tensor<'_> {
    let [batch, rows, columns, features] = x.shape()[..] else {
        panic!("a grid of features, not {}", x.shape())
    };
    x.reshape([batch, rows, columns, 2, 2, features / 4])
        .transpose(&[0, 1, 3, 2, 4, 5])
        .reshape([batch, 2 * rows, 2 * columns, features / 4])
}
