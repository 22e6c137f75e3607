//! What each fused op means: its expansion into primitives.
//!
//! A fused op is defined by the graph that [`expand`] builds, and every target must give the
//! bits of that graph. Forward ops are spelled exactly as the DSL spells them, and
//! [`Op::GeluBackward`] as differentiation does, so that finding them keeps every bit. The other
//! backward ops are the usual algebraically simplified forms, and finding them reassociates.

mod attention;

use crate::dtype::DType;
use crate::graph::{Function, Graph, NodeId};
use crate::op::{Family, Op};
use crate::shape::Shape;
use crate::tensor::Tensor;
use smallvec::{SmallVec, smallvec};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// The results of an op; nearly always one.
pub type Results<'g> = SmallVec<[Tensor<'g>; 3]>;

/// The results of a fused op, built from primitives in `graph`.
///
/// # Panics
/// If the op is not fused, or the operands do not have the types that it takes.
#[track_caller]
pub fn expand<'g>(graph: &'g Graph, op: &Op, operands: &[Tensor<'g>]) -> Results<'g> {
    match (op, operands) {
        (Op::Softmax, &[x]) => smallvec![x.softmax()],
        (Op::SoftmaxBackward, &[p, g]) => smallvec![softmax_backward(p, g)],
        (Op::LayerNorm { epsilon }, &[x, weight, bias]) => {
            let epsilon = f64::from(epsilon.get());
            let (y, mean, rstd) = x.layer_norm_with_statistics(weight, bias, epsilon);
            smallvec![y, mean, rstd]
        }
        (Op::LayerNormBackward, &[x, weight, mean, rstd, g]) => {
            smallvec![layer_norm_backward(x, weight, mean, rstd, g)]
        }
        (Op::Gelu, &[x]) => smallvec![x.gelu()],
        (Op::GeluBackward, &[x, g]) => smallvec![gelu_backward(x, g)],
        (&Op::Attention { scale, mask }, &[q, k, v, ..]) => {
            let bias = operands.get(3).copied();
            attention::forward(graph, scale.get(), mask, [q, k, v], bias)
        }
        (&Op::AttentionBackward { scale, mask }, &[q, k, v, maximum, sum, g, ..]) => {
            let (scale, bias) = (scale.get(), operands.get(6).copied());
            attention::backward(graph, scale, mask, [q, k, v], [maximum, sum, g], bias)
        }
        (Op::PackSigns, &[x]) => smallvec![pack_signs(graph, x)],
        _ => panic!("{} has no expansion for {operands:?}", op.name()),
    }
}

/// The function with every fused op replaced by its expansion.
///
/// # Panics
/// If an expansion has another type than its op, which is a mistake in this module.
pub fn expand_function(function: &Function) -> Function {
    // The results of each node so far, by its place in the old function.
    let mut results: Vec<SmallVec<[NodeId; 3]>> = Vec::with_capacity(function.nodes().len());
    function.transform(|graph, node, operands| {
        let ids: SmallVec<[NodeId; 3]> = match &node.op {
            Op::Projection(index) => smallvec![results[node.operands[0].index()][*index]],
            op if op.family() == Family::Fused => {
                let tensor = |&id: &NodeId| Tensor::new(graph, id);
                let operands: Vec<Tensor> = operands.iter().map(tensor).collect();
                let expanded = graph.in_place_of(node, || expand(graph, op, &operands));
                expanded.iter().map(|tensor| tensor.id()).collect()
            }
            op => match graph.add_like(op.clone(), operands, node) {
                Ok(id) => smallvec![id],
                Err(error) => panic!("an expansion has another type than its op: {error}"),
            },
        };
        let first = ids[0];
        results.push(ids);
        first
    })
}

/// `p (g - sum(g p))` over the last axis: the derivative of softmax where its value is `p`.
fn softmax_backward<'g>(p: Tensor<'g>, g: Tensor<'g>) -> Tensor<'g> {
    let along = (g * p).sum(-1).expand_axes(-1, p.shape());
    p * (g - along)
}

/// With `h = weight g` and `n` the normalised x: `(h - mean(h) - n mean(h n)) rstd`.
fn layer_norm_backward<'g>(
    x: Tensor<'g>,
    weight: Tensor<'g>,
    mean: Tensor<'g>,
    rstd: Tensor<'g>,
    g: Tensor<'g>,
) -> Tensor<'g> {
    let shape = x.shape();
    let repeat = |row: Tensor<'g>| row.expand_axes(-1, &shape);
    let normalised = (x - repeat(mean)) * repeat(rstd);
    let h = g * weight;
    let centred = h - repeat(h.mean(-1));
    (centred - normalised * repeat((h * normalised).mean(-1))) * repeat(rstd)
}

/// Both branches of the product `x/2 * (1 + erf(x / sqrt 2))`, as the product rule gives them.
fn gelu_backward<'g>(x: Tensor<'g>, g: Tensor<'g>) -> Tensor<'g> {
    let (half, u) = (x * 0.5, x * FRAC_1_SQRT_2);
    let through_erf = g * half * ((-(u * u)).exp() * FRAC_2_SQRT_PI) * FRAC_1_SQRT_2;
    through_erf + g * (u.erf() + 1.0) * 0.5
}

fn pack_signs<'g>(graph: &'g Graph, x: Tensor<'g>) -> Tensor<'g> {
    let shape: Shape = x.shape();
    let last = shape.rank() - 1;
    let position = graph.iota(DType::U64, &shape, last);
    let amount = (shape[last] - 1) as f64 - position;
    let sign = x.gt(0.0).cast(DType::U64);
    sign.shift_left(amount).sum(-1)
}

#[cfg(test)]
mod tests;
