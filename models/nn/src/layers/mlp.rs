//! Two linear layers with GELU between them.

use super::Linear;
use bsq_ir::{Scope, Tensor};

/// `[.., inputs]` to `[.., hidden]` to `[.., outputs]`, with the exact GELU between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mlp {
    pub hidden: Linear,
    pub output: Linear,
    /// What the two layers are called.
    pub names: [&'static str; 2],
}

impl Mlp {
    /// Layers `c_fc` and `c_proj`, as PyTorch starts them.
    pub fn new(hidden: usize, outputs: usize) -> Mlp {
        Mlp {
            hidden: Linear::new(hidden),
            output: Linear::new(outputs),
            names: ["c_fc", "c_proj"],
        }
    }

    /// # Panics
    /// As [`Linear::forward`].
    #[track_caller]
    pub fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let [hidden, output] = self.names;
        let x = self.hidden.forward(&(scope / hidden), x).gelu();
        self.output.forward(&(scope / output), x)
    }
}
