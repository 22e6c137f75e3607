//! Contractions read their operands as they lie: transposes and merged axes are absorbed.
//!
//! The contracted pairs keep their order, so the terms are added in the same order.

use super::Builder;
use super::blocks::blocks;
use crate::graph::NodeId;
use crate::op::{DotAxes, Op};
use crate::shape::Shape;

/// What one axis of a contraction's result is.
#[derive(Clone, Copy, PartialEq)]
enum Label {
    Batch(usize),
    Lhs(usize),
    Rhs(usize),
}

fn labels(axes: &DotAxes, lhs_rank: usize, rhs_rank: usize) -> Vec<Label> {
    let batch = (0..axes.batch.len()).map(Label::Batch);
    let lhs = axes.free(lhs_rank, true).into_iter().map(Label::Lhs);
    let rhs = axes.free(rhs_rank, false).into_iter().map(Label::Rhs);
    batch.chain(lhs).chain(rhs).collect()
}

impl Builder<'_> {
    pub(super) fn dot(&self, axes: &DotAxes, lhs: NodeId, rhs: NodeId) -> NodeId {
        self.dot_of_transposes(axes, lhs, rhs)
            .or_else(|| self.dot_of_merged_axes(axes, lhs, rhs))
            .unwrap_or_else(|| self.add(Op::DotGeneral(axes.clone()), &[lhs, rhs]))
    }

    /// `dot(transpose x, y) => transpose(dot(x, y))`, mostly without the outer transpose.
    fn dot_of_transposes(&self, axes: &DotAxes, lhs: NodeId, rhs: NodeId) -> Option<NodeId> {
        let (new_lhs, lhs_axis) = self.below_transpose(lhs);
        let (new_rhs, rhs_axis) = self.below_transpose(rhs);
        if (new_lhs, new_rhs) == (lhs, rhs) {
            return None;
        }
        let moved = |pairs: &[(usize, usize)]| -> Vec<(usize, usize)> {
            pairs
                .iter()
                .map(|&(l, r)| (lhs_axis[l], rhs_axis[r]))
                .collect()
        };
        let new = DotAxes {
            batch: moved(&axes.batch),
            contract: moved(&axes.contract),
        };
        let (lhs_rank, rhs_rank) = (lhs_axis.len(), rhs_axis.len());
        let order = labels(&new, lhs_rank, rhs_rank);
        let place = |label: Label| {
            let label = match label {
                Label::Batch(pair) => Label::Batch(pair),
                Label::Lhs(axis) => Label::Lhs(lhs_axis[axis]),
                Label::Rhs(axis) => Label::Rhs(rhs_axis[axis]),
            };
            order
                .iter()
                .position(|&other| other == label)
                .expect("the same axes")
        };
        let old = labels(axes, lhs_rank, rhs_rank);
        let permutation: Vec<usize> = old.into_iter().map(place).collect();
        Some(self.transpose(self.dot(&new, new_lhs, new_rhs), &permutation))
    }

    /// What lies below a transpose, and where each axis of `x` is there.
    fn below_transpose(&self, x: NodeId) -> (NodeId, Vec<usize>) {
        let node = self.node(x);
        match node.op {
            Op::Transpose(permutation) => (node.operands[0], permutation),
            _ => (x, (0..node.shape().rank()).collect()),
        }
    }

    /// Free axes that a reshape merged are used apart, and so are contracted ones if both sides
    /// merged them alike. Batch axes stay as they are: a reshape of the result between scores and
    /// softmax would hide attention.
    fn dot_of_merged_axes(&self, axes: &DotAxes, lhs: NodeId, rhs: NodeId) -> Option<NodeId> {
        let (lhs_parts, rhs_parts) = (self.parts(lhs), self.parts(rhs));
        let allowed = |axis: usize, left: bool| {
            let side = |&(l, r): &(usize, usize)| if left { l } else { r };
            if axes.batch.iter().map(side).any(|batch| batch == axis) {
                return false;
            }
            match axes.contract.iter().find(|pair| side(pair) == axis) {
                Some(&(l, r)) => lhs_parts[l] == rhs_parts[r],
                None => true,
            }
        };
        let (new_lhs, lhs_axes) = self.unmerged(lhs, &lhs_parts, |axis| allowed(axis, true));
        let (new_rhs, rhs_axes) = self.unmerged(rhs, &rhs_parts, |axis| allowed(axis, false));
        if (new_lhs, new_rhs) == (lhs, rhs) {
            return None;
        }
        let split = |pairs: &[(usize, usize)]| -> Vec<(usize, usize)> {
            let apart = |&(l, r): &(usize, usize)| {
                let (l, r): (Vec<_>, Vec<_>) = (lhs_axes[l].clone(), rhs_axes[r].clone());
                l.into_iter().zip(r)
            };
            pairs.iter().flat_map(apart).collect()
        };
        let new = DotAxes {
            batch: split(&axes.batch),
            contract: split(&axes.contract),
        };
        let (l, r) = (self.shape(lhs), self.shape(rhs));
        let batch = axes.batch.iter().map(|&(axis, _)| l[axis]);
        let lhs_free = axes.free(l.rank(), true).into_iter().map(|axis| l[axis]);
        let rhs_free = axes.free(r.rank(), false).into_iter().map(|axis| r[axis]);
        let shape: Shape = batch.chain(lhs_free).chain(rhs_free).collect();
        Some(self.reshape(self.dot(&new, new_lhs, new_rhs), &shape))
    }

    /// Per axis of `x`: the extents that a reshape merged into it, or its own.
    fn parts(&self, x: NodeId) -> Vec<Vec<usize>> {
        let node = self.node(x);
        let shape = node.shape();
        let mut parts: Vec<Vec<usize>> = shape.iter().map(|&extent| vec![extent]).collect();
        if let Op::Reshape(_) = node.op {
            let source = self.shape(node.operands[0]);
            for (from, to) in blocks(&source, shape).unwrap_or_default() {
                if to.len() == 1 && from.len() > 1 {
                    parts[to.start] = source[from].to_vec();
                }
            }
        }
        parts
    }

    /// `x` with the allowed axes in parts, and the new axes of each old axis.
    fn unmerged(
        &self,
        x: NodeId,
        parts: &[Vec<usize>],
        allowed: impl Fn(usize) -> bool,
    ) -> (NodeId, Vec<Vec<usize>>) {
        let old = self.shape(x);
        let mut shape = Vec::new();
        let mut axes = Vec::new();
        for (axis, parts) in parts.iter().enumerate() {
            let first = shape.len();
            match allowed(axis) {
                true => shape.extend_from_slice(parts),
                false => shape.push(old[axis]),
            }
            axes.push((first..shape.len()).collect());
        }
        (self.reshape(x, &shape.into()), axes)
    }

    /// A transposed contraction as another contraction of the same operands, if that can be:
    /// `transpose(dot(x, y)) => dot(y, x)`.
    pub(super) fn transposed_dot(
        &self,
        axes: &DotAxes,
        operands: &[NodeId],
        permutation: &[usize],
    ) -> Option<NodeId> {
        let (lhs, rhs) = (operands[0], operands[1]);
        let (lhs_rank, rhs_rank) = (self.shape(lhs).rank(), self.shape(rhs).rank());
        let batches = axes.batch.len();
        let (batch, free) = permutation.split_at(batches);
        if batch.iter().any(|&axis| axis >= batches) {
            return None;
        }
        let batch: Vec<(usize, usize)> = batch.iter().map(|&axis| axes.batch[axis]).collect();
        let lhs_free = axes.free(lhs_rank, true).len();
        let rhs_free = axes.free(rhs_rank, false).len();
        let (middle, end) = (batches + lhs_free, batches + lhs_free + rhs_free);
        let contract = axes.contract.clone();
        if free.iter().copied().eq(batches..end) {
            return Some(self.dot(&DotAxes { batch, contract }, lhs, rhs));
        }
        if free
            .iter()
            .copied()
            .eq((middle..end).chain(batches..middle))
        {
            let swap =
                |pairs: Vec<(usize, usize)>| pairs.into_iter().map(|(l, r)| (r, l)).collect();
            let (batch, contract) = (swap(batch), swap(contract));
            return Some(self.dot(&DotAxes { batch, contract }, rhs, lhs));
        }
        None
    }
}
