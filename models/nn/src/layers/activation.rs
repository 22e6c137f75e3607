//! Activations by name.

use bsq_ir::Tensor;

/// What is between the two layers of an MLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// The exact GELU, `x / 2 (1 + erf(x / sqrt 2))`.
    #[default]
    Gelu,
    /// Its approximation with tanh, see [`Tensor::gelu_tanh`]: BERT's, and JAX's default.
    GeluTanh,
}

impl Activation {
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn of(self, x: Tensor<'_>) -> Tensor<'_> {
        match self {
            Activation::Gelu => x.gelu(),
            Activation::GeluTanh => x.gelu_tanh(),
        }
    }
}

/// [`Tensor::gelu_tanh`], as a function.
///
/// # Panics
/// If the elements are not `f32`.
#[track_caller]
pub fn gelu_tanh(x: Tensor<'_>) -> Tensor<'_> {
    x.gelu_tanh()
}

/// [`Tensor::leaky_relu`], as a function.
///
/// # Panics
/// If the elements are not `f32`.
#[track_caller]
pub fn leaky_relu(x: Tensor<'_>, slope: f64) -> Tensor<'_> {
    x.leaky_relu(slope)
}

/// [`Tensor::relu`], as a function.
///
/// # Panics
/// If the elements are not `f32`.
#[track_caller]
pub fn relu(x: Tensor<'_>) -> Tensor<'_> {
    x.relu()
}
