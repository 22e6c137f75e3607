//! Layer normalisation (Ba, Kiros and Hinton, 2016).

use bsq_ir::{AsScope, Tensor};

/// Layer normalisation of the last axis, with a gain that starts at 1 and a bias that starts at 0.
///
/// Parameters: `weight [width]`, `bias [width]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// Added to the variance.
    pub epsilon: f64,
}

impl Default for LayerNorm {
    /// PyTorch's epsilon, 1e-5.
    fn default() -> LayerNorm {
        LayerNorm { epsilon: 1e-5 }
    }
}

impl LayerNorm {
    /// # Panics
    /// If `x` has no axes, or the scope has these parameters already.
    #[track_caller]
    pub fn forward<'g>(&self, scope: impl AsScope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        x.layer_norm(scope, self.epsilon)
    }
}
