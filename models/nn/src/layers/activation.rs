//! Rectifiers, and GELU in its two spellings.

use bsq_ir::Tensor;

/// What is between the two layers of an MLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// The exact GELU, `x / 2 (1 + erf(x / sqrt 2))`.
    #[default]
    Gelu,
    /// Its approximation with tanh, see [`gelu_tanh`]: BERT's, and JAX's default.
    GeluTanh,
}

impl Activation {
    #[track_caller]
    pub fn of(self, x: Tensor<'_>) -> Tensor<'_> {
        match self {
            Activation::Gelu => x.gelu(),
            Activation::GeluTanh => gelu_tanh(x),
        }
    }
}

/// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))` (Hendrycks and Gimpel, 2016).
#[track_caller]
pub fn gelu_tanh(x: Tensor<'_>) -> Tensor<'_> {
    let scale = (2.0 / std::f64::consts::PI).sqrt();
    let inner = x * (x.square() * 0.044_715 + 1.0) * scale;
    x * 0.5 * (inner.tanh() + 1.0)
}

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
