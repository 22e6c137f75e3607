//! Stochastic gradient descent.

use super::{Common, Memory, Rule};
use bsq_ir::Tensor;

const PREFIX: &str = "optimizer.sgd.";

/// Gradient descent with momentum, PyTorch's `SGD` without dampening:
///
/// ```text
/// g <- g + weight_decay p
/// m <- momentum m + g
/// p <- p - lr m                     Nesterov: p - lr (g + momentum m)
/// ```
///
/// Without momentum there is no state.
#[derive(Clone, Debug)]
pub struct Sgd<'g> {
    pub common: Common<'g>,
    /// What the sum of gradients keeps of itself.
    pub momentum: f64,
    /// Looks one step of the momentum ahead (Sutskever et al., ICML 2013).
    pub nesterov: bool,
}

impl<'g> Sgd<'g> {
    /// Momentum 0.9, not Nesterov's; no decay, no clipping.
    pub fn new(lr: Tensor<'g>) -> Self {
        Sgd {
            common: Common::new(lr),
            momentum: 0.9,
            nesterov: false,
        }
    }
}

impl<'g> Rule<'g> for Sgd<'g> {
    fn common(&self) -> Common<'g> {
        self.common.clone()
    }

    fn change(
        &self,
        memory: &mut Memory<'_, 'g>,
        _shared: &[Tensor<'g>],
        parameter: Tensor<'g>,
        gradient: Tensor<'g>,
        decays: bool,
    ) -> Tensor<'g> {
        let gradient = match decays {
            true => gradient + parameter * self.common.weight_decay,
            false => gradient,
        };
        if self.momentum == 0.0 {
            return gradient * self.common.lr;
        }
        let old = memory.of_parameter(PREFIX, "momentum", gradient);
        let sum = old * self.momentum + gradient;
        memory.keep(old, sum);
        let direction = match self.nesterov {
            true => gradient + sum * self.momentum,
            false => sum,
        };
        direction * self.common.lr
    }
}
