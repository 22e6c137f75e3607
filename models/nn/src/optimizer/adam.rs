//! Adam.

use super::adamw::{adaptive, corrected};
use super::{Common, Memory, Rule};
use bsq_ir::Tensor;

const PREFIX: &str = "optimizer.adam.";

/// Adam (Kingma and Ba, ICLR 2015): [`AdamW`](super::AdamW) but for the decay, which is added to the
/// gradient, `g + weight_decay p`, as PyTorch's `Adam` does, so that it is scaled as the gradient is.
#[derive(Clone, Debug)]
pub struct Adam<'g> {
    pub common: Common<'g>,
    /// What the averages of the gradient and of its square keep of themselves.
    pub betas: [f64; 2],
    /// Added to the root of the averaged square.
    pub epsilon: f64,
}

impl<'g> Adam<'g> {
    /// PyTorch's defaults: betas 0.9 and 0.999, epsilon 1e-8, no decay, no clipping.
    pub fn new(lr: Tensor<'g>) -> Self {
        Adam {
            common: Common::new(lr),
            betas: [0.9, 0.999],
            epsilon: 1e-8,
        }
    }
}

impl<'g> Rule<'g> for Adam<'g> {
    fn common(&self) -> Common<'g> {
        self.common.clone()
    }

    fn begin(&self, memory: &mut Memory<'_, 'g>) -> Vec<Tensor<'g>> {
        corrected(memory, PREFIX, self.common.lr, self.betas).to_vec()
    }

    fn change(
        &self,
        memory: &mut Memory<'_, 'g>,
        shared: &[Tensor<'g>],
        parameter: Tensor<'g>,
        gradient: Tensor<'g>,
        decays: bool,
    ) -> Tensor<'g> {
        let gradient = match decays {
            true => gradient + parameter * self.common.weight_decay,
            false => gradient,
        };
        let parts = [shared[0], shared[1]];
        adaptive(memory, PREFIX, parts, gradient, self.betas, self.epsilon)
    }
}
