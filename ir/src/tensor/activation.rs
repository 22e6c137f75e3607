//! What stands between layers: rectifiers and their smooth relatives, each spelled in primitives.

use super::Tensor;

impl<'g> Tensor<'g> {
    /// The rectifier `max(x, 0)`, with derivative 0 at 0. NaN stays NaN.
    ///
    /// # Panics
    /// If the elements are no numbers: `bool`, `f16` or `bf16`.
    #[track_caller]
    pub fn relu(self) -> Tensor<'g> {
        // A maximum gives the derivative of equal values to the first.
        self.full_like(0.0).maximum(self)
    }

    /// `x` where it is above 0, else `slope x`: the derivative at 0 is the slope, as PyTorch's.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn leaky_relu(self, slope: f64) -> Tensor<'g> {
        self.where_(self.gt(0.0), self * slope)
    }

    /// `x sigmoid(x)`, also called swish. At negative infinity it is NaN, as `-inf * 0` is.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn silu(self) -> Tensor<'g> {
        self * self.sigmoid()
    }

    /// The exact GELU: `x / 2 * (1 + erf(x / sqrt 2))`.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn gelu(self) -> Tensor<'g> {
        self * 0.5 * ((self * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0)
    }

    /// GELU's approximation with tanh, BERT's and JAX's default:
    /// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))` (Hendrycks and Gimpel, 2016).
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn gelu_tanh(self) -> Tensor<'g> {
        let scale = (2.0 / std::f64::consts::PI).sqrt();
        let inner = self * (self.square() * 0.044_715 + 1.0) * scale;
        self * 0.5 * (inner.tanh() + 1.0)
    }

    /// `ln(1 + exp(x))` without overflow.
    ///
    /// Spelled `m + ln(exp(-m) + exp(x - m))`, which does not depend on m; m = max(x, 0) is held
    /// constant, so that derivatives of every order are right, at 0 too.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn softplus(self) -> Tensor<'g> {
        let m = self.maximum(0.0).stop_gradient();
        m + ((-m).exp() + (self - m).exp()).log()
    }

    /// `1 / (1 + exp(-x))` without overflow, in the derivatives neither.
    ///
    /// Spelled `exp(-m) / (exp(-m) + exp(-x - m))` with m = max(-x, 0) as in
    /// [`softplus`](Tensor::softplus).
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn sigmoid(self) -> Tensor<'g> {
        let m = (-self).maximum(0.0).stop_gradient();
        let one = (-m).exp();
        one / (one + (-self - m).exp())
    }
}
