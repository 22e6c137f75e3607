//! Windows in bf16: what they are of is stored in bf16, along the terms that are taken in pairs.
//!
//! A convolution's windows are views, and reading them in bf16 needs pairs of terms that lie side by side: of
//! channels in a convolution and in its gradient by the input, of pictures in that by the weights, never of places
//! in a window, of which there is an odd number as a rule. So the tensor that windows are cut from is written once in
//! bf16 with that axis innermost, and padded as it lies there; contracted axes are taken with that one last.

use super::mixed::narrow;
use super::prepare::keep;
use crate::kernel::Format;
use crate::schedule::{Role, role};
use bsq_ir::{DType, DotAxes, Graph, Node, NodeId, Op, Padding, Tensor};

/// Views down to the tensor that the innermost windows are cut from.
struct Cut<'g> {
    /// Outermost first.
    views: Vec<Node>,
    source: Tensor<'g>,
}

impl<'g> Cut<'g> {
    /// `None` if there are no windows.
    fn of(x: Tensor<'g>) -> Option<Cut<'g>> {
        let graph = x.graph();
        let (mut views, mut found) = (Vec::new(), None);
        let mut node = graph.node(x.id());
        while role(&node.op) == Role::View {
            let (below, is_window) = (node.operands[0], matches!(node.op, Op::Window { .. }));
            views.push(node);
            if is_window {
                found = Some((views.len(), below));
            }
            node = graph.node(below);
        }
        let (count, source) = found?;
        views.truncate(count);
        let source = Tensor::new(graph, source);
        Some(Cut { views, source })
    }

    /// The axis of the source that an axis is, where it is one and whole.
    fn trace(&self, axis: usize) -> Option<usize> {
        let graph = self.source.graph();
        self.views.iter().try_fold(axis, |axis, view| {
            let from = &graph.node(view.operands[0]).types[0].shape;
            match &view.op {
                &Op::Window { axis: own, .. } => match axis {
                    axis if axis < own => Some(axis),
                    axis if axis > own + 1 => Some(axis - 1),
                    _ => None,
                },
                Op::Transpose(order) => Some(order[axis]),
                Op::Broadcast { axes, .. } => axes.get(axis).copied(),
                Op::Slice { .. } => (view.shape()[axis] == from[axis]).then_some(axis),
                Op::Flip(axes) => (!axes.contains(&axis)).then_some(axis),
                Op::StopGradient | Op::OptimizationBarrier => Some(axis),
                _ => None,
            }
        })
    }

    /// The same views of the source in bf16, which lies with its axes in that order.
    fn narrow(&self, order: &[usize]) -> Tensor<'g> {
        let mut back = vec![0; order.len()];
        for (position, &axis) in order.iter().enumerate() {
            back[axis] = position;
        }
        let graph = self.source.graph();
        let mut x = stored(self.source, order).cast(DType::F32);
        if !order.is_sorted() {
            x = x.transpose(&back);
        }
        for view in self.views.iter().rev() {
            x = Tensor::new(graph, keep(graph, view, &[x.id()]));
        }
        x
    }
}

/// Whether a tensor is a view of windows.
pub(super) fn are_windows(x: Tensor<'_>) -> bool {
    Cut::of(x).is_some()
}

/// A contraction of windows in bf16; `None` if no contracted axis of the lhs is one of pairs.
pub(super) fn contraction<'g>(
    lhs: Tensor<'g>,
    rhs: Tensor<'g>,
    axes: &DotAxes,
) -> Option<Tensor<'g>> {
    let cut = Cut::of(lhs)?;
    let last = cut.source.rank() - 1;
    let shape = lhs.shape();
    let pairs = axes.contract.iter().enumerate();
    let suitable = pairs.filter(|(_, pair)| shape[pair.0].is_multiple_of(Format::Bf16.terms()));
    let found = suitable.filter_map(|(at, pair)| Some((cut.trace(pair.0)?, at)));
    let (axis, at) = found.max_by_key(|&(axis, at)| (axis == last, shape[axes.contract[at].0]))?;

    let rest = (0..=last).filter(|&other| other != axis);
    let order: Vec<usize> = rest.chain([axis]).collect();
    let mut contract = axes.contract.clone();
    let innermost = contract.remove(at);
    contract.push(innermost);
    let rhs = match Cut::of(rhs) {
        Some(cut) => cut.narrow(&(0..cut.source.rank()).collect::<Vec<_>>()),
        None => narrow(rhs),
    };
    Some(cut.narrow(&order).dot_general(rhs, &axes.batch, &contract))
}

/// A tensor in bf16 with its axes in that order. Zeros around it are put there in bf16, all at once, and before axes
/// are moved: there are more work items while the leading axes are those that have none.
fn stored<'g>(mut x: Tensor<'g>, order: &[usize]) -> Tensor<'g> {
    let graph = x.graph();
    let mut around: Vec<Vec<Padding>> = Vec::new();
    loop {
        let node = graph.node(x.id());
        let Op::Pad(padding) = &node.op else {
            break;
        };
        if !is_zero(graph, node.operands[1]) {
            break;
        }
        match around.last_mut() {
            Some(outer) if outer.iter().all(|padding| padding.between == 0) => {
                for (outer, inner) in outer.iter_mut().zip(padding) {
                    outer.before += inner.before;
                    outer.after += inner.after;
                    outer.between = inner.between;
                }
            }
            _ => around.push(padding.clone()),
        }
        x = Tensor::new(graph, node.operands[0]);
    }
    if around.is_empty() && !order.is_sorted() {
        return x.transpose(order).cast(DType::BF16);
    }
    let mut stored = in_bf16(x);
    let zero = graph.full(0.0, DType::BF16, []);
    for padding in around.into_iter().rev() {
        let padded = graph.add(Op::Pad(padding), &[stored.id(), zero.id()]);
        stored = Tensor::new(graph, padded.expect("what is padded has these axes"));
    }
    match order.is_sorted() {
        true => stored,
        false => stored.cast(DType::F32).transpose(order).cast(DType::BF16),
    }
}

/// A value rounded to bf16, or what it is widened from.
fn in_bf16(x: Tensor<'_>) -> Tensor<'_> {
    let graph = x.graph();
    let mut node = graph.node(x.id());
    while node.op.is_identity() {
        node = graph.node(node.operands[0]);
    }
    match (&node.op, node.operands.first()) {
        (Op::Cast(DType::F32), Some(&id)) if graph.node(id).dtype() == DType::BF16 => {
            Tensor::new(graph, id)
        }
        _ => x.cast(DType::BF16),
    }
}

/// Whether a value is a constant +0.
fn is_zero(graph: &Graph, value: NodeId) -> bool {
    let mut node = graph.node(value);
    while node.op.is_identity() {
        node = graph.node(node.operands[0]);
    }
    match &node.op {
        Op::Constant(constant) => {
            let element = constant.splat_element();
            element.is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0))
        }
        _ => false,
    }
}
