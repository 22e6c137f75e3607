//! Contractions of a training step in bf16, sums in f32: graph to graph, after preparation.
//!
//! Both sides of every contraction become bf16, in the forward pass and in both gradients, but for those whose
//! result decides a sign directly, as a quantizer's input does, and those of an odd number of terms. Weights, moments
//! and whatever else a step updates stay f32; so do sums, norms, softmax, losses and the optimizer.
//!
//! An lhs lies along its terms, so that pairs of them are side by side: one that does not is written so. Convolutions
//! are in [`windows`].

use super::precision::mixes;
use super::prepare::keep;
use super::windows;
use crate::kernel::Format;
use crate::schedule::{Role, role};
use bsq_ir::{DType, DotAxes, Function, Graph, NodeId, Op, Tensor};

/// The function with its contractions in bf16.
pub(super) fn mixed(function: &Function) -> Function {
    let decisive = decisive(function);
    let mut next = 0;
    function.clone().transform(|graph, node, operands| {
        let at = next;
        next += 1;
        match &node.op {
            Op::DotGeneral(axes) if !decisive[at] => graph.in_place_of(node, || {
                let [lhs, rhs] = [0, 1].map(|side| Tensor::new(graph, operands[side]));
                let narrow = contraction(lhs, rhs, axes);
                narrow.map_or_else(|| keep(graph, node, operands), Tensor::id)
            }),
            _ => keep(graph, node, operands),
        }
    })
}

/// Contractions whose result reaches a sign or an index without another one between.
fn decisive(function: &Function) -> Vec<bool> {
    let mut decisive = vec![false; function.nodes().len()];
    for (id, node) in function.iter().rev() {
        let decides = matches!(
            node.op,
            Op::Sign | Op::Floor | Op::ArgMax(_) | Op::PackSigns
        );
        if decides || decisive[id.index()] && !mixes(&node.op) {
            let operands = node.operands.iter();
            operands.for_each(|operand| decisive[operand.index()] = true);
        }
    }
    decisive
}

/// A contraction in bf16; `None` if a side is not f32, or the terms are not whole pairs.
fn contraction<'g>(lhs: Tensor<'g>, rhs: Tensor<'g>, axes: &DotAxes) -> Option<Tensor<'g>> {
    if [lhs, rhs].iter().any(|side| side.dtype() != DType::F32) {
        return None;
    }
    if windows::are_windows(lhs) {
        return windows::contraction(lhs, rhs, axes);
    }
    let &(last, _) = axes.contract.last()?;
    let is_whole = lhs.shape()[last].is_multiple_of(Format::Bf16.terms());
    if !is_whole || windows::are_windows(rhs) {
        return None;
    }
    let lhs = along_terms(lhs, axes);
    Some(lhs.dot_general(narrow(rhs), &axes.batch, &axes.contract))
}

/// A value that is stored in bf16.
pub(super) fn narrow(x: Tensor<'_>) -> Tensor<'_> {
    match is_narrow(x.graph(), x.id()) {
        true => x,
        false => x.cast(DType::BF16).cast(DType::F32),
    }
}

/// Whether a value is widened from bf16, views aside.
fn is_narrow(graph: &Graph, mut id: NodeId) -> bool {
    loop {
        let node = graph.node(id);
        match node.op {
            Op::Cast(DType::F32) => return graph.node(node.operands[0]).dtype() == DType::BF16,
            ref op if role(op) == Role::View => id = node.operands[0],
            _ => return false,
        }
    }
}

/// An lhs in bf16 that lies along its terms.
fn along_terms<'g>(lhs: Tensor<'g>, axes: &DotAxes) -> Tensor<'g> {
    let free = axes.free(lhs.rank(), true);
    let first = |pairs: &[(usize, usize)]| pairs.iter().map(|pair| pair.0).collect::<Vec<_>>();
    let order = [first(&axes.batch), free, first(&axes.contract)].concat();
    if order.is_sorted() && lies_as_it_is(lhs) {
        return narrow(lhs);
    }
    let mut back = vec![0; order.len()];
    for (position, &axis) in order.iter().enumerate() {
        back[axis] = position;
    }
    let along = lhs.transpose(&order).cast(DType::BF16).cast(DType::F32);
    along.transpose(&back)
}

/// Whether an element lies where its index says: no view puts it elsewhere.
fn lies_as_it_is(x: Tensor<'_>) -> bool {
    let (graph, mut id) = (x.graph(), x.id());
    loop {
        let node = graph.node(id);
        match node.op {
            Op::Reshape(_) | Op::StopGradient | Op::OptimizationBarrier => id = node.operands[0],
            Op::Cast(DType::F32) if graph.node(node.operands[0]).dtype() == DType::BF16 => {
                id = node.operands[0];
            }
            ref op => return role(op) != Role::View,
        }
    }
}
