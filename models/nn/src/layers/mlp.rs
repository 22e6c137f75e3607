//! Two linear layers with GELU between them.

use super::{Activation, Linear};
use bsq_ir::{AsScope, Tensor};

/// `[.., inputs]` to `[.., hidden]` to `[.., outputs]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mlp {
    pub hidden: Linear,
    pub output: Linear,
    /// What is between them: the exact GELU, unless said otherwise.
    pub activation: Activation,
    /// What the two layers are called.
    pub names: [&'static str; 2],
}

impl Mlp {
    /// Layers `c_fc` and `c_proj`, as PyTorch starts them.
    pub fn new(hidden: usize, outputs: usize) -> Mlp {
        Mlp {
            hidden: Linear::new(hidden),
            output: Linear::new(outputs),
            activation: Activation::Gelu,
            names: ["c_fc", "c_proj"],
        }
    }

    /// # Panics
    /// As [`Linear::forward`].
    #[track_caller]
    pub fn forward<'g>(&self, scope: impl AsScope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let scope = scope.as_scope();
        let [hidden, output] = self.names;
        let x = self.hidden.forward(scope / hidden, x);
        self.output.forward(scope / output, self.activation.of(x))
    }
}
