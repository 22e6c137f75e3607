//! Reverse-mode differentiation: vector-Jacobian products as nodes of the same graph.
//!
//! [`gradients`] walks from the loss towards the leaves. Each node's cotangent (the derivative of
//! the loss by it) is turned into contributions to its operands' by the op's rule; the tables of
//! rules are in `rules`, one file per family. Rules build the same primitives that users
//! build, so a gradient can be differentiated again.
//!
//! * **Order.** Contributions to one node are added one by one: users in descending order of
//!   their position in the graph, operands of one user in ascending order. So a gradient has the
//!   same bits wherever it is built.
//! * **Place.** What a rule builds lies in the region, and points at the line, of the node that is
//!   differentiated.
//! * **Fused ops** have the derivative of their [expansion](crate::fused::expand).
//! * **Types.** A cotangent is `f32`, also that of a tensor stored as `f16` or `bf16`: casts between
//!   floats pass it on unrounded. Integers and booleans have none.
//! * **Convolutions.** The derivative of a contraction by the tensor whose windows it reads is a
//!   contraction of windows again (`rules/window.rs`), of every order.
//!
//! # Where the derivative is zero by definition
//!
//! | | |
//! |---|---|
//! | `stop_gradient` | zero: that is its purpose |
//! | `sign`, `floor` | zero, also at the jumps |
//! | comparisons, casts to integers, `argmax`, `pack_signs` | the results are no floats; nothing passes |
//! | the condition of `select`, indices, starts, keys | no floats; nothing passes |
//! | `random`, `iota`, constants | depend on nothing |
//!
//! Every other op that makes floats of floats has a rule. A rounding function with another
//! gradient, such as a straight-through sign, is written `x + (x.sign() - x).stop_gradient()`.
//!
//! # Where the derivative is a choice
//!
//! | | |
//! |---|---|
//! | `abs` at 0 | 0 |
//! | `max(x, y)`, `min(x, y)` of equal values | all to x: a clamp has gradient 1 at its limits |
//! | `reduce_max` of equal values | shared equally |
//! | `max_pool` of equal values | all to the first of the window: it is made of `max(x, y)` |
//! | `sqrt` at 0 | infinite, as the limit; multiplied by a zero cotangent that is NaN |
//! | indices outside | clamped, as in the forward pass |

mod backward;
mod rules;

use crate::dtype::DType;
use crate::graph::ONE_GRAPH;
use crate::op::TypeError;
use crate::shape::Type;
use crate::tensor::Tensor;
use backward::Backward;
use std::panic::Location;

/// The derivatives of `loss` (`f32[]`) by each of `parameters`, shaped like them.
///
/// Any float tensors of the graph may stand for the parameters, inputs and intermediate results
/// too; a derivative is a total one, through other parameters as well. Where the loss does not
/// depend on a parameter the derivative is a constant zero.
///
/// ```
/// # use bsq_ir::{DType, Graph, autodiff::gradients};
/// let g = Graph::new();
/// let x = g.input("x", DType::F32, [3]);
/// let loss = (x * x * x).sum(..);
/// let first = gradients(loss, &[x])[0]; // 3 x^2
/// let second = gradients(first.sum(..), &[x])[0]; // 6 x
/// assert_eq!(second.shape(), x.shape());
/// ```
///
/// # Panics
/// If the loss is not `f32[]`, or a parameter is no float or lies in another graph.
#[track_caller]
pub fn gradients<'g>(loss: Tensor<'g>, parameters: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    let ty = loss.ty();
    if ty.dtype != DType::F32 || ty.shape.rank() != 0 {
        let error = TypeError::of_call("gradients", [&ty], "the loss must be f32[]")
            .help("reduce it: `loss.mean(..)` or `loss.sum(..)`");
        panic!("{}", error.at(Location::caller()));
    }
    vjp(&[loss], &[loss.full_like(1.0)], parameters)
}

/// The vector-Jacobian product: derivatives of the sum of `outputs[i] * cotangents[i]` by each
/// tensor of `wrt`, where the cotangents are held constant.
///
/// Like [`gradients`], but for outputs of any shape. An output may appear more than once.
///
/// # Panics
/// If a cotangent is not `f32` in its output's shape, or an output or a tensor of `wrt` is no
/// float, or they lie in different graphs.
#[track_caller]
pub fn vjp<'g>(
    outputs: &[Tensor<'g>],
    cotangents: &[Tensor<'g>],
    wrt: &[Tensor<'g>],
) -> Vec<Tensor<'g>> {
    if let Err(error) = check(outputs, cotangents, wrt) {
        panic!("{}", error.at(Location::caller()));
    }
    let Some(first) = outputs.first().or(wrt.first()) else {
        return Vec::new();
    };
    let mut backward = Backward::new(first.graph(), wrt);
    for (&output, &cotangent) in outputs.iter().zip(cotangents) {
        backward.seed(output, cotangent);
    }
    backward.run();
    let gradient = |&tensor| backward.gradient(tensor);
    wrt.iter().map(gradient).collect()
}

fn check(
    outputs: &[Tensor<'_>],
    cotangents: &[Tensor<'_>],
    wrt: &[Tensor<'_>],
) -> Result<(), TypeError> {
    let fail = |tensor: Tensor<'_>, what: String| {
        Err(TypeError::of_call("gradients", [&tensor.ty()], what))
    };
    if outputs.len() != cotangents.len() {
        let (n, m) = (outputs.len(), cotangents.len());
        let what = format!("{n} outputs need {n} cotangents, got {m}");
        return Err(TypeError::of_call("gradients", [], what));
    }
    let all = || outputs.iter().chain(cotangents).chain(wrt);
    let first = all().next();
    for &tensor in all() {
        if first.is_some_and(|first| !std::ptr::eq(first.graph(), tensor.graph())) {
            let types: Vec<Type> = [first.copied(), Some(tensor)]
                .into_iter()
                .flatten()
                .map(Tensor::ty)
                .collect();
            let error = TypeError::of_call("gradients", &types, "tensors of different graphs");
            return Err(error.help(ONE_GRAPH));
        }
        if !tensor.dtype().is_float() {
            let what = format!("{} is no float and has no derivative", tensor.id());
            return fail(tensor, what);
        }
    }
    for (output, &cotangent) in outputs.iter().zip(cotangents) {
        if cotangent.dtype() != DType::F32 || cotangent.shape() != output.shape() {
            let wanted = format!(
                "the cotangent of {} must be f32{}",
                output.ty(),
                output.shape()
            );
            return fail(cotangent, wanted);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
