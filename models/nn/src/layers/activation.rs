//! Rectifiers.

use bsq_ir::Tensor;

/// `x` where it is above 0, else `slope x`: the derivative at 0 is the slope, as PyTorch's. With a
/// slope of 0 this is the rectifier.
///
/// ```
/// # use bsq_ir::{DType, Graph};
/// let g = Graph::new();
/// let x = g.input("x", DType::F32, [2, 3]);
/// let y = bsq_nn::layers::leaky_relu(x, 0.2);
/// assert_eq!(y.ty(), x.ty());
/// ```
#[track_caller]
pub fn leaky_relu(x: Tensor<'_>, slope: f64) -> Tensor<'_> {
    x.where_(x.gt(0.0), x * slope)
}

/// The rectifier `max(x, 0)`, with derivative 0 at 0.
#[track_caller]
pub fn relu(x: Tensor<'_>) -> Tensor<'_> {
    // A maximum gives the derivative of equal values to the first.
    x.full_like(0.0).maximum(x)
}
