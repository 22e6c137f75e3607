//! Optimizer steps as parts of the graph: loss, gradients, update and average are one function.
//!
//! [`adamw`] differentiates a loss and builds the new values of parameters and optimizer state.
//! All of them are parameters of the compiled program, so a step runs in place and a checkpoint
//! of the program's parameters is a checkpoint of the training.
//!
//! ```
//! use bsq_nn::optimizer::{AdamW, adamw};
//! use bsq_ir::{DType, Graph, Scope, tensor::Init};
//!
//! let g = Graph::new();
//! let scope = Scope::root(&g);
//! let x = g.input("x", DType::F32, [8, 3]);
//! let loss = x.linear(&(&scope / "fit"), 1).square().mean(..);
//! let rule = AdamW { weight_decay: 0.1, ..AdamW::new(g.scalar("lr")) };
//! let step = adamw(loss, &scope.parameters(), &rule).with_average(0.999);
//! let function = step.function();
//! let names: Vec<&str> = function.parameters().map(|(_, name, _)| name).collect();
//! assert!(names.contains(&"fit.weight"));
//! assert!(names.contains(&"adamw.exp_avg.fit.weight"));
//! assert!(names.contains(&"ema.fit.weight"));
//! ```

mod clip;
mod halves;
mod step;

pub use clip::{Clip, clip, global_norm};
pub use halves::{Halves, MEAN_PREFIX};
pub use step::{StateSpec, StateStart, Step};

use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Tensor};

/// What the names of moving averages of the parameters begin with: `ema.NAME`.
pub const AVERAGE_PREFIX: &str = "ema.";

/// What the names of the optimizer's state begin with: `adamw.exp_avg.NAME`.
pub const STATE_PREFIX: &str = "adamw.";

/// What the names of the parameters of a network begin with that only training has, to judge the
/// model: it has an optimizer, and is no part of the model.
pub const ADVERSARY_PREFIX: &str = "discriminator.";

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

/// One step of AdamW that makes `loss` (`f32[]`) smaller. The step's outputs are the loss.
///
/// # Panics
/// If the loss is not `f32[]`, or one of `parameters` is not a parameter of its graph.
#[track_caller]
pub fn adamw<'g>(loss: Tensor<'g>, parameters: &[Tensor<'g>], rule: &AdamW<'g>) -> Step<'g> {
    let gradients = gradients(loss, parameters);
    adamw_with_gradients(parameters, &gradients, rule).output("loss", loss)
}

/// The same for gradients that are known, one for each of `parameters`. No outputs.
///
/// # Panics
/// If one of `parameters` is not a parameter of the learning rate's graph.
#[track_caller]
pub fn adamw_with_gradients<'g>(
    parameters: &[Tensor<'g>],
    gradients: &[Tensor<'g>],
    rule: &AdamW<'g>,
) -> Step<'g> {
    assert_eq!(
        parameters.len(),
        gradients.len(),
        "one gradient for each parameter"
    );
    let mut step = Step::new(rule.lr.graph()).with_gradients(parameters, gradients);
    let clipped = match rule.clip {
        Some(limit) => clip(gradients, limit),
        None => gradients.to_vec(),
    };
    let [keep_mean, keep_square] = rule.betas;
    let correction = |step: &mut Step<'g>, name: &str, beta: f64| {
        let c = step.state(name, DType::F32, [], StateStart::Zero);
        let next = c + (1.0 - c) * (1.0 - beta);
        step.update(c, next);
        next
    };
    let c1 = correction(
        &mut step,
        &format!("adamw.{}correction1", rule.owner),
        keep_mean,
    );
    let c2 = correction(
        &mut step,
        &format!("adamw.{}correction2", rule.owner),
        keep_square,
    );
    let (rate, root) = (rule.lr / c1, c2.sqrt().reciprocal());
    let decay = rule.lr * rule.weight_decay;
    for (&parameter, g) in parameters.iter().zip(clipped) {
        // A region each: updates of equal shapes are optimised once.
        let graph = parameter.graph();
        graph.in_new_region(|| {
            let name = step::name_of(parameter);
            let average = |step: &mut Step<'g>, kind: &str, sample: Tensor<'g>, beta: f64| {
                let name = format!("adamw.{kind}.{name}");
                let state = step.state(&name, DType::F32, parameter.shape(), StateStart::Zero);
                let next = state + (sample - state) * (1.0 - beta);
                step.update(state, next);
                next
            };
            let mean = average(&mut step, "exp_avg", g, keep_mean);
            let square = average(&mut step, "exp_avg_sq", g.square(), keep_square);
            let mut change = mean / (square.sqrt() * root + rule.epsilon) * rate;
            let exempt = rule
                .zero_decay_keys
                .iter()
                .any(|key| name.contains(key.as_str()));
            if rule.weight_decay != 0.0 && !exempt {
                change = change + parameter * decay;
            }
            step.update_parameter(parameter, parameter - change);
        });
    }
    step
}

#[cfg(test)]
mod tests;
