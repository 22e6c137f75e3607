//! A tensor's elements in turn from several tensors, along one axis.

use crate::op::Op;
use crate::tensor::Tensor;

/// Elements of the parts in turn along an axis, `length` in all.
pub(super) fn interleave<'g>(parts: &[Tensor<'g>], axis: usize, length: usize) -> Tensor<'g> {
    let signed = axis as isize;
    let joined = parts[0].graph().stack(parts, signed + 1);
    let mut shape = joined.shape().to_vec();
    shape[axis] *= shape.remove(axis + 1);
    let joined = joined.reshape(shape);
    match joined.shape()[axis] == length {
        true => joined,
        false => joined.slice(signed, 0..length),
    }
}

/// The parts, the axis and the length that [`interleave`] made a tensor of.
pub(super) fn interleaved(g: Tensor<'_>) -> Option<(Vec<Tensor<'_>>, usize, usize)> {
    let graph = g.graph();
    let operands = |x: Tensor<'_>| graph.node(x.id()).operands.clone();
    let mut joined = g;
    if let Op::Slice { start, stride, .. } = graph.node(g.id()).op {
        let is_start = start.iter().all(|&start| start == 0) && stride.iter().all(|&s| s == 1);
        joined = Tensor::new(graph, *operands(g).first().filter(|_| is_start)?);
    }
    let Op::Reshape(shape) = graph.node(joined.id()).op else {
        return None;
    };
    let stacked = Tensor::new(graph, operands(joined)[0]);
    let Op::Concat { axis } = graph.node(stacked.id()).op else {
        return None;
    };
    let own = axis.checked_sub(1)?;
    let mut merged = stacked.shape().to_vec();
    merged[own] *= merged.remove(axis);
    // No other axis is cut short.
    let mut whole = g.shape().to_vec();
    whole[own] = merged[own];
    if *shape != merged[..] || whole != merged {
        return None;
    }
    let part = |id| {
        let (unit, shape) = (graph.node(id), Tensor::new(graph, id).shape());
        let inner = Tensor::new(graph, *unit.operands.first()?);
        let mut without = shape.to_vec();
        let is_unit = matches!(unit.op, Op::Reshape(_)) && without.remove(axis) == 1;
        (is_unit && *inner.shape() == without[..]).then_some(inner)
    };
    let parts: Option<Vec<_>> = operands(stacked).into_iter().map(part).collect();
    Some((parts?, own, g.shape()[own]))
}
