//! AdamW.

use super::{Clip, Common, Memory, Rule};
use bsq_ir::Tensor;

/// AdamW with decoupled weight decay (Loshchilov and Hutter, ICLR 2019).
///
/// With `m` and `v` the moving averages of the gradient and its square:
///
/// ```text
/// m <- m + (g - m) (1 - beta1)          c1 <- c1 + (1 - c1) (1 - beta1)
/// v <- v + (g g - v) (1 - beta2)        c2 <- c2 + (1 - c2) (1 - beta2)
/// p <- p - (m / (sqrt(v) / sqrt(c2) + epsilon) * lr / c1 + p * lr * weight_decay)
/// ```
///
/// `c1` and `c2` start at 0 and are the bias corrections `1 - beta^t`: the same averages, of
/// ones. So the step needs no count of steps, and they are as exact as `f32` allows, where
/// computing `1 - beta^t` would cancel.
///
/// The decay is added to the step before either touches the parameter. With the usual
/// `p (1 - lr weight_decay)`, a product below 2^-25 would round away in `f32` and there would be
/// no decay at all; this way it survives wherever the step is larger than the parameter's spacing.
#[derive(Clone, Debug)]
pub struct AdamW<'g> {
    /// The learning rate, `f32[]`.
    pub lr: Tensor<'g>,
    /// What the averages of the gradient and of its square keep of themselves.
    pub betas: [f64; 2],
    /// Added to the root of the averaged square.
    pub epsilon: f64,
    /// What parameters shrink by at each step, as a multiple of the learning rate.
    pub weight_decay: f64,
    /// Parameters whose names contain one of these do not shrink.
    pub zero_decay_keys: Vec<String>,
    /// Limits gradients before they are used.
    pub clip: Option<Clip>,
    /// What the names of the bias corrections begin with behind `adamw.`: empty, unless several
    /// optimizers share a state.
    pub owner: &'static str,
}

impl<'g> AdamW<'g> {
    /// PyTorch's defaults: betas 0.9 and 0.999, epsilon 1e-8, weight decay 0.01, no clipping.
    pub fn new(lr: Tensor<'g>) -> Self {
        AdamW {
            lr,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.01,
            zero_decay_keys: Vec::new(),
            clip: None,
            owner: "",
        }
    }
}

impl<'g> Rule<'g> for AdamW<'g> {
    fn common(&self) -> Common<'g> {
        Common {
            lr: self.lr,
            weight_decay: self.weight_decay,
            zero_decay_keys: self.zero_decay_keys.clone(),
            clip: self.clip,
            owner: self.owner,
        }
    }

    /// The rate over the first correction, the reciprocal root of the second, and the decay.
    fn begin(&self, memory: &mut Memory<'_, 'g>) -> Vec<Tensor<'g>> {
        let [rate, root] = corrected(memory, "adamw.", self.lr, self.betas);
        vec![rate, root, self.lr * self.weight_decay]
    }

    fn change(
        &self,
        memory: &mut Memory<'_, 'g>,
        shared: &[Tensor<'g>],
        parameter: Tensor<'g>,
        gradient: Tensor<'g>,
        decays: bool,
    ) -> Tensor<'g> {
        let parts = [shared[0], shared[1]];
        let change = adaptive(memory, "adamw.", parts, gradient, self.betas, self.epsilon);
        match decays {
            true => change + parameter * shared[2],
            false => change,
        }
    }
}

/// `lr / c1` and `1 / sqrt(c2)`, with the bias corrections as state.
pub(super) fn corrected<'g>(
    memory: &mut Memory<'_, 'g>,
    prefix: &str,
    lr: Tensor<'g>,
    betas: [f64; 2],
) -> [Tensor<'g>; 2] {
    let [c1, c2] = [(1, betas[0]), (2, betas[1])].map(|(number, beta)| {
        let name = memory.shared_name(prefix, &format!("correction{number}"));
        let c = memory.state(&name, []);
        let next = c + (1.0 - c) * (1.0 - beta);
        memory.keep(c, next);
        next
    });
    [lr / c1, c2.sqrt().reciprocal()]
}

/// `m / (sqrt(v) root + epsilon) rate`, with the averages m and v as state.
pub(super) fn adaptive<'g>(
    memory: &mut Memory<'_, 'g>,
    prefix: &str,
    [rate, root]: [Tensor<'g>; 2],
    gradient: Tensor<'g>,
    betas: [f64; 2],
    epsilon: f64,
) -> Tensor<'g> {
    let mut average = |kind: &str, sample: Tensor<'g>, beta: f64| {
        let state = memory.of_parameter(prefix, kind, sample);
        let next = state + (sample - state) * (1.0 - beta);
        memory.keep(state, next);
        next
    };
    let mean = average("exp_avg", gradient, betas[0]);
    let square = average("exp_avg_sq", gradient.square(), betas[1]);
    mean / (square.sqrt() * root + epsilon) * rate
}
