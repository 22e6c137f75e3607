//! Movement ops: compositions, identities, and constants.

use super::Builder;
use super::blocks::{blocks, unit_insertion};
use crate::graph::NodeId;
use crate::op::{Constant, Op};
use crate::shape::{Shape, Type};

/// A concatenation of more parts is not taken apart again.
const MOST_PARTS: usize = 256;

impl Builder<'_> {
    /// `reshape(reshape x) => reshape x`, and through a broadcast where axes stay whole.
    pub(super) fn reshape(&self, x: NodeId, shape: &Shape) -> NodeId {
        if self.shape(x) == *shape {
            return x;
        }
        let node = self.node(x);
        match &node.op {
            Op::Reshape(_) => self.reshape(node.operands[0], shape),
            Op::Constant(constant) => self.constant(reshaped_constant(constant, shape)),
            Op::Broadcast { shape: from, axes } => match reshaped_broadcast(from, axes, shape) {
                Some(axes) => self.broadcast(node.operands[0], shape, &axes),
                None => self.add(Op::Reshape(shape.clone()), &[x]),
            },
            _ => self.add(Op::Reshape(shape.clone()), &[x]),
        }
    }

    /// `transpose(transpose x) => transpose x`; a broadcast is transposed before it grows; a
    /// contraction exchanges its operands.
    pub(super) fn transpose(&self, x: NodeId, permutation: &[usize]) -> NodeId {
        if permutation.iter().copied().eq(0..permutation.len()) {
            return x;
        }
        let node = self.node(x);
        match &node.op {
            Op::Transpose(inner) => {
                let composed: Vec<usize> = permutation.iter().map(|&axis| inner[axis]).collect();
                self.transpose(node.operands[0], &composed)
            }
            Op::Constant(constant) if constant.splat_element().is_some() => {
                let shape = self.shape(x);
                let shape: Shape = permutation.iter().map(|&axis| shape[axis]).collect();
                self.constant(constant.with_shape(shape).expect("a splat"))
            }
            Op::Broadcast { shape, axes } => {
                let shape: Shape = permutation.iter().map(|&axis| shape[axis]).collect();
                let place = |to: usize| permutation.iter().position(|&axis| axis == to);
                let places: Vec<usize> = axes.iter().filter_map(|&to| place(to)).collect();
                let mut order: Vec<usize> = (0..axes.len()).collect();
                order.sort_unstable_by_key(|&axis| places[axis]);
                let axes: Vec<usize> = order.iter().map(|&axis| places[axis]).collect();
                let turned = self.transpose(node.operands[0], &order);
                self.broadcast(turned, &shape, &axes)
            }
            Op::DotGeneral(axes) => match self.transposed_dot(axes, &node.operands, permutation) {
                Some(dot) => dot,
                None => self.add(Op::Transpose(permutation.to_vec()), &[x]),
            },
            _ => self.add(Op::Transpose(permutation.to_vec()), &[x]),
        }
    }

    /// `broadcast(broadcast x) => broadcast x`; inserted axes of extent 1 are the broadcast's.
    pub(super) fn broadcast(&self, x: NodeId, shape: &Shape, axes: &[usize]) -> NodeId {
        if axes.len() == shape.rank() {
            return x;
        }
        let node = self.node(x);
        match &node.op {
            Op::Constant(constant) if constant.splat_element().is_some() => {
                self.constant(constant.with_shape(shape).expect("a splat"))
            }
            Op::Broadcast { axes: inner, .. } => {
                let composed: Vec<usize> = inner.iter().map(|&axis| axes[axis]).collect();
                self.broadcast(node.operands[0], shape, &composed)
            }
            Op::Reshape(to) => {
                let source = node.operands[0];
                match unit_insertion(&self.shape(source), to) {
                    Some(places) => {
                        let composed: Vec<usize> = places.iter().map(|&axis| axes[axis]).collect();
                        self.broadcast(source, shape, &composed)
                    }
                    None => self.add_broadcast(x, shape, axes),
                }
            }
            _ => self.add_broadcast(x, shape, axes),
        }
    }

    fn add_broadcast(&self, x: NodeId, shape: &Shape, axes: &[usize]) -> NodeId {
        let (shape, axes) = (shape.clone(), axes.to_vec());
        self.add(Op::Broadcast { shape, axes }, &[x])
    }

    /// Counting along one axis of several is counting once and repeating.
    pub(super) fn iota(&self, ty: &Type, axis: usize) -> NodeId {
        let extent = ty.shape[axis];
        let line = Type::new(ty.dtype, [extent]);
        let line = self.add(Op::Iota { ty: line, axis: 0 }, &[]);
        self.broadcast(line, &ty.shape, &[axis])
    }

    /// Slices compose, and reach through concatenations and broadcasts. One that takes nothing
    /// from an axis is `0..0`, and one that takes one element has no stride: whatever follows need
    /// not mind where nothing is, and a step that is never taken cannot overflow.
    pub(super) fn slice(
        &self,
        x: NodeId,
        start: &[usize],
        stop: &[usize],
        stride: &[usize],
    ) -> NodeId {
        let shape = self.shape(x);
        let extent = |axis: usize| (stop[axis] - start[axis]).div_ceil(stride[axis]);
        let result: Shape = (0..shape.rank()).map(extent).collect();
        if result == shape {
            return x;
        }
        let taken = |axis: usize| match result[axis] {
            0 => (0, 0, 1),
            1 => (start[axis], start[axis] + 1, 1),
            n => (
                start[axis],
                start[axis] + (n - 1) * stride[axis] + 1,
                stride[axis],
            ),
        };
        let axes = || 0..shape.rank();
        let start: &[usize] = &axes().map(|axis| taken(axis).0).collect::<Vec<_>>();
        let stop: &[usize] = &axes().map(|axis| taken(axis).1).collect::<Vec<_>>();
        let stride: &[usize] = &axes().map(|axis| taken(axis).2).collect::<Vec<_>>();
        let node = self.node(x);
        let kept = || {
            let (start, stop, stride) = (start.to_vec(), stop.to_vec(), stride.to_vec());
            let op = Op::Slice {
                start,
                stop,
                stride,
            };
            self.add(op, &[x])
        };
        match &node.op {
            Op::Constant(constant) if constant.splat_element().is_some() => {
                self.constant(constant.with_shape(result).expect("a splat"))
            }
            Op::Slice {
                start: inner,
                stride: step,
                ..
            } => {
                let from: Vec<usize> = axes().map(|a| inner[a] + start[a] * step[a]).collect();
                let to = |a: usize| match result[a] {
                    0 => from[a],
                    n => from[a] + (n - 1) * stride[a] * step[a] + 1,
                };
                let to: Vec<usize> = axes().map(to).collect();
                let by: Vec<usize> = axes().map(|a| stride[a] * step[a]).collect();
                self.slice(node.operands[0], &from, &to, &by)
            }
            Op::Concat { axis } => {
                let mut begin = 0;
                for &part in &node.operands {
                    let end = begin + self.shape(part)[*axis];
                    if begin <= start[*axis] && stop[*axis] <= end {
                        let (mut start, mut stop) = (start.to_vec(), stop.to_vec());
                        start[*axis] -= begin;
                        stop[*axis] -= begin;
                        return self.slice(part, &start, &stop, stride);
                    }
                    begin = end;
                }
                kept()
            }
            Op::Broadcast { axes, .. } => {
                let of = |list: &[usize]| axes.iter().map(|&axis| list[axis]).collect::<Vec<_>>();
                let inner = self.slice(node.operands[0], &of(start), &of(stop), &of(stride));
                self.broadcast(inner, &result, axes)
            }
            _ => kept(),
        }
    }

    /// Nested concatenations flatten, unless one grows by a part at a time; neighbouring slices of
    /// one tensor join, and parts without elements are left out.
    pub(super) fn concat(&self, axis: usize, parts: &[NodeId]) -> NodeId {
        let mut flat: Vec<NodeId> = Vec::with_capacity(parts.len());
        let filled = |part: &&NodeId| self.shape(**part)[axis] > 0;
        if !parts.iter().any(|part| filled(&part)) {
            return parts[0];
        }
        for &part in parts.iter().filter(filled) {
            let node = self.node(part);
            match node.op {
                Op::Concat { axis: inner }
                    if inner == axis && node.operands.len() <= MOST_PARTS =>
                {
                    for &part in &node.operands {
                        self.push_part(&mut flat, axis, part);
                    }
                }
                _ => self.push_part(&mut flat, axis, part),
            }
        }
        match flat[..] {
            [one] => one,
            _ => self.add(Op::Concat { axis }, &flat),
        }
    }

    fn push_part(&self, parts: &mut Vec<NodeId>, axis: usize, part: NodeId) {
        let joined = parts
            .last()
            .and_then(|&last| self.joined_slices(axis, last, part));
        match joined {
            Some(joined) => *parts.last_mut().expect("joined to it") = joined,
            None => parts.push(part),
        }
    }

    fn joined_slices(&self, axis: usize, left: NodeId, right: NodeId) -> Option<NodeId> {
        let (left, right) = (self.node(left), self.node(right));
        let (
            Op::Slice {
                start,
                stop: middle,
                stride,
            },
            Op::Slice {
                start: from,
                stop,
                stride: step,
            },
        ) = (&left.op, &right.op)
        else {
            return None;
        };
        let others = || (0..start.len()).filter(|&other| other != axis);
        let aligned = others().all(|a| start[a] == from[a] && middle[a] == stop[a]);
        let adjacent = middle[axis] == from[axis] && stride[axis] == 1;
        let same = left.operands == right.operands && stride == step;
        (same && aligned && adjacent).then(|| self.slice(left.operands[0], start, stop, stride))
    }

    pub(super) fn flip(&self, x: NodeId, axes: &[usize]) -> NodeId {
        let node = self.node(x);
        match &node.op {
            _ if axes.is_empty() => x,
            Op::Constant(constant) if constant.splat_element().is_some() => x,
            Op::Flip(inner) => {
                let once = |axis: &usize| inner.contains(axis) != axes.contains(axis);
                let axes: Vec<usize> = (0..self.shape(x).rank()).filter(once).collect();
                self.flip(node.operands[0], &axes)
            }
            _ => self.add(Op::Flip(axes.to_vec()), &[x]),
        }
    }
}

fn reshaped_constant(constant: &Constant, shape: &Shape) -> Constant {
    match constant.dense_elements() {
        Some(bytes) => Constant::dense_bytes(Type::new(constant.ty().dtype, shape), bytes.clone()),
        None => constant.with_shape(shape).expect("a splat"),
    }
}

/// The axes of a broadcast to `from` after a reshape to `to`, where every block of axes is either
/// all repetition, or one axis of the operand beside axes of extent 1.
fn reshaped_broadcast(from: &Shape, axes: &[usize], to: &Shape) -> Option<Vec<usize>> {
    let mut new = Vec::with_capacity(axes.len());
    for (source, target) in blocks(from, to)? {
        let kept: Vec<usize> = source.clone().filter(|axis| axes.contains(axis)).collect();
        match kept[..] {
            [] => {}
            [axis] => {
                let whole = source.clone().all(|a| a == axis || from[a] == 1);
                let place = target.clone().find(|&a| to[a] == from[axis])?;
                let alone = target.clone().all(|a| a == place || to[a] == 1);
                if !whole || !alone {
                    return None;
                }
                new.push(place);
            }
            _ => return None,
        }
    }
    Some(new)
}
