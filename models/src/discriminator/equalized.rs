//! Layers with equalised learning rates (Karras et al., 2018): weights are kept with deviation 1 and
//! scaled by 1/√fan-in where they are used, so that all learn at one pace.

use bsq_ir::tensor::{Init, Layout, Slide};
use bsq_ir::{AsScope, Scope, Tensor};
use bsq_nn::layers::leaky_relu;

/// The slope of rectifiers below 0.
const SLOPE: f64 = 0.2;

/// A convolution with as many slides as places have axes; no bias.
///
/// Parameter: `weight [outputs, inputs, kernel..]`.
#[track_caller]
pub(super) fn convolution<'g>(
    scope: impl AsScope<'g>,
    x: Tensor<'g>,
    outputs: usize,
    kernel: usize,
    slide: Slide,
) -> Tensor<'g> {
    let scope = scope.as_scope();
    let (inputs, axes) = (x.shape()[1], x.rank() - 2);
    let shape = [&[outputs, inputs][..], &vec![kernel; axes]].concat();
    let weight = scaled(scope, shape);
    x.convolution(weight, &vec![slide; axes], 1, Layout::ChannelsFirst)
}

/// `[batch, inputs]` to `[batch, outputs]`, with a bias.
#[track_caller]
pub(super) fn linear<'g>(scope: impl AsScope<'g>, x: Tensor<'g>, outputs: usize) -> Tensor<'g> {
    let scope = scope.as_scope();
    let weight = scaled(scope, vec![outputs, x.shape()[1]]);
    biased(scope, x.matmul_transposed(weight))
}

/// A weight that starts normal, times 1/√(what it reads).
#[track_caller]
fn scaled<'g>(scope: &Scope<'g>, shape: Vec<usize>) -> Tensor<'g> {
    let fan_in: usize = shape[1..].iter().product();
    let weight = scope.parameter("weight", shape, Init::Normal(1.0));
    weight * (1.0 / (fan_in as f64).sqrt())
}

/// With a bias for each channel (axis 1), which starts at 0 and is not scaled.
#[track_caller]
pub(super) fn biased<'g>(scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let bias = scope.parameter("bias", [x.shape()[1]], Init::Constant(0.0));
    x + bias.broadcast_in_dim(x.shape(), &[1])
}

/// With a bias, rectified, times `gain`.
#[track_caller]
pub(super) fn activated<'g>(scope: impl AsScope<'g>, x: Tensor<'g>, gain: f64) -> Tensor<'g> {
    let scope = scope.as_scope();
    rectified(biased(scope, x), gain)
}

/// Rectified, times `gain`.
#[track_caller]
pub(super) fn rectified(x: Tensor<'_>, gain: f64) -> Tensor<'_> {
    leaky_relu(x, SLOPE) * gain
}
