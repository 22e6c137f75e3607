//! Lion.

use super::{Common, Memory, Rule};
use bsq_ir::Tensor;

const PREFIX: &str = "optimizer.lion.";

/// Lion (Chen et al., NeurIPS 2023): every element moves by the learning rate, in the direction of
///
/// ```text
/// d <- sign(beta1 m + (1 - beta1) g)
/// m <- beta2 m + (1 - beta2) g
/// p <- p - lr (d + weight_decay p)
/// ```
///
/// Its rates are some 3 to 10 times smaller than AdamW's, and its decay as much larger. It keeps one
/// tensor where AdamW keeps two.
#[derive(Clone, Debug)]
pub struct Lion<'g> {
    pub common: Common<'g>,
    /// What the direction, and what the average, keep of the average.
    pub betas: [f64; 2],
}

impl<'g> Lion<'g> {
    /// The paper's betas, 0.9 and 0.99; no decay, no clipping.
    pub fn new(lr: Tensor<'g>) -> Self {
        Lion {
            common: Common::new(lr),
            betas: [0.9, 0.99],
        }
    }
}

impl<'g> Rule<'g> for Lion<'g> {
    fn common(&self) -> Common<'g> {
        self.common.clone()
    }

    fn begin(&self, _memory: &mut Memory<'_, 'g>) -> Vec<Tensor<'g>> {
        vec![self.common.lr * self.common.weight_decay]
    }

    fn change(
        &self,
        memory: &mut Memory<'_, 'g>,
        shared: &[Tensor<'g>],
        parameter: Tensor<'g>,
        gradient: Tensor<'g>,
        decays: bool,
    ) -> Tensor<'g> {
        let mean = memory.of_parameter(PREFIX, "exp_avg", gradient);
        let towards = |beta: f64| mean + (gradient - mean) * (1.0 - beta);
        let direction = towards(self.betas[0]).sign();
        memory.keep(mean, towards(self.betas[1]));
        let change = direction * self.common.lr;
        match decays {
            true => change + parameter * shared[0],
            false => change,
        }
    }
}
