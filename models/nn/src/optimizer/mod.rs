//! Optimizer steps as parts of the graph: loss, gradients, update and average are one function.
//!
//! [`minimize`] differentiates a loss and builds the new values of parameters and optimizer state, by
//! a [`Rule`]: [`AdamW`], [`Adam`], [`Sgd`], [`Lion`], [`Muon`], or one of your own.
//! All of them are parameters of the compiled program, so a step runs in place and a checkpoint
//! of the program's parameters is a checkpoint of the training.
//!
//! ```
//! use bsq_nn::optimizer::{AdamW, minimize};
//! use bsq_ir::{DType, Graph, Scope, tensor::Init};
//!
//! let g = Graph::new();
//! let scope = Scope::root(&g);
//! let x = g.input("x", DType::F32, [8, 3]);
//! let loss = x.linear(&scope / "fit", 1).square().mean(..);
//! let rule = AdamW { weight_decay: 0.1, ..AdamW::new(g.scalar("lr")) };
//! let step = minimize(loss, &scope.parameters(), &rule).with_average(0.999);
//! let function = step.function();
//! let names: Vec<&str> = function.parameters().map(|(_, name, _)| name).collect();
//! assert!(names.contains(&"fit.weight"));
//! assert!(names.contains(&"adamw.exp_avg.fit.weight"));
//! assert!(names.contains(&"ema.fit.weight"));
//! ```

mod adam;
mod adamw;
mod clip;
mod halves;
mod lion;
mod muon;
mod rule;
mod sgd;
mod shards;
mod step;

pub use adam::Adam;
pub use adamw::AdamW;
pub use clip::{Clip, clip, global_norm};
pub use halves::{Halves, MEAN_PREFIX};
pub use lion::Lion;
pub use muon::Muon;
pub use rule::{Common, Memory, Rule};
pub use sgd::Sgd;
pub use shards::Shard;
pub use step::{StateSpec, StateStart, Step};

use bsq_ir::Tensor;
use bsq_ir::autodiff::gradients;

/// What the names of moving averages of the parameters begin with: `ema.NAME`.
pub const AVERAGE_PREFIX: &str = "ema.";

/// What the names of an optimizer's state begin with: `adamw.exp_avg.NAME`, and of every other rule
/// `optimizer.RULE.KIND.NAME`.
pub const STATE_PREFIXES: [&str; 2] = ["adamw.", "optimizer."];

/// Whether a tensor of a training is the optimizer's, by its name.
pub fn is_state(name: &str) -> bool {
    STATE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What the names of the parameters of a network begin with that only training has, to judge the
/// model: it has an optimizer, and is no part of the model.
pub const ADVERSARY_PREFIX: &str = "discriminator.";

/// One step of a rule that makes `loss` (`f32[]`) smaller. The step's outputs are the loss.
///
/// # Panics
/// If the loss is not `f32[]`, or one of `parameters` is not a parameter of its graph.
#[track_caller]
pub fn minimize<'g>(loss: Tensor<'g>, parameters: &[Tensor<'g>], rule: &dyn Rule<'g>) -> Step<'g> {
    let gradients = gradients(loss, parameters);
    minimize_with_gradients(parameters, &gradients, rule).output("loss", loss)
}

/// The same for gradients that are known, one for each of `parameters`. No outputs.
///
/// # Panics
/// If one of `parameters` is not a parameter of the learning rate's graph.
#[track_caller]
pub fn minimize_with_gradients<'g>(
    parameters: &[Tensor<'g>],
    gradients: &[Tensor<'g>],
    rule: &dyn Rule<'g>,
) -> Step<'g> {
    assert_eq!(
        parameters.len(),
        gradients.len(),
        "one gradient for each parameter"
    );
    let common = rule.common();
    let mut step = Step::new(common.lr.graph()).with_gradients(parameters, gradients);
    let clipped = match common.clip {
        Some(limit) => clip(gradients, limit),
        None => gradients.to_vec(),
    };
    let shared = rule.begin(&mut Memory::new(&mut step, common.owner));
    for (&parameter, g) in parameters.iter().zip(clipped) {
        // A region each: updates of equal shapes are optimised once.
        let graph = parameter.graph();
        graph.in_new_region(|| {
            let name = step::name_of(parameter);
            let decays = common.weight_decay != 0.0 && !common.is_exempt(&name);
            let memory = &mut Memory::new(&mut step, &name);
            let change = rule.change(memory, &shared, parameter, g, decays);
            step.update_parameter(parameter, parameter - change);
        });
    }
    step
}

/// [`minimize`] by AdamW.
///
/// # Panics
/// As [`minimize`].
#[track_caller]
pub fn adamw<'g>(loss: Tensor<'g>, parameters: &[Tensor<'g>], rule: &AdamW<'g>) -> Step<'g> {
    minimize(loss, parameters, rule)
}

/// [`minimize_with_gradients`] by AdamW.
///
/// # Panics
/// As [`minimize_with_gradients`].
#[track_caller]
pub fn adamw_with_gradients<'g>(
    parameters: &[Tensor<'g>],
    gradients: &[Tensor<'g>],
    rule: &AdamW<'g>,
) -> Step<'g> {
    minimize_with_gradients(parameters, gradients, rule)
}

#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
