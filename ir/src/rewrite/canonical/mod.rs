//! One sweep that brings a function into canonical form through smart constructors.
//!
//! Every step keeps the bits of every result, so the sweep is always allowed: movement ops
//! compose, constants fold, signs and broadcasts move outwards, and contractions read their
//! operands as they lie. What a sweep cannot decide locally is left to the e-graph.

mod blocks;
mod contraction;
mod elementwise;
mod movement;

use crate::graph::{Function, Graph, Node, NodeId};
use crate::op::{Constant, Op};
use crate::shape::{Shape, Type};

/// The canonical form of a function: same names, types and bits.
pub fn canonicalise(function: &Function) -> Function {
    function.transform(|graph, node, operands| {
        let builder = Builder {
            graph,
            origin: node,
        };
        builder.build(&node.op, operands)
    })
}

/// Adds nodes in canonical form; what it adds takes line and region from `origin`.
pub(super) struct Builder<'a> {
    pub graph: &'a Graph,
    pub origin: &'a Node,
}

impl Builder<'_> {
    /// The canonical node for `op` applied to canonical operands.
    pub fn build(&self, op: &Op, x: &[NodeId]) -> NodeId {
        match op {
            Op::Reshape(shape) => self.reshape(x[0], shape),
            Op::Transpose(permutation) => self.transpose(x[0], permutation),
            Op::Broadcast { shape, axes } => self.broadcast(x[0], shape, axes),
            Op::Slice {
                start,
                stop,
                stride,
            } => self.slice(x[0], start, stop, stride),
            Op::Concat { axis } => self.concat(*axis, x),
            Op::Flip(axes) => self.flip(x[0], axes),
            Op::Pad(padding) if padding.iter().all(|p| *p == Default::default()) => x[0],
            Op::Iota { ty, axis } => self.iota(ty, *axis),
            Op::Constant(constant) => self.constant(constant.clone()),
            // Not a sum: it starts from +0, so that of -0 alone is +0.
            Op::ReduceMax(axes) if axes.is_empty() => x[0],
            Op::DotGeneral(axes) => self.dot(axes, x[0], x[1]),
            Op::OptimizationBarrier => self.add(op.clone(), x),
            op if op.is_elementwise() => self.elementwise(op, x),
            op => self.add(op.clone(), x),
        }
    }

    /// Adds a node as it is.
    fn add(&self, op: Op, x: &[NodeId]) -> NodeId {
        match self.graph.add_like(op, x, self.origin) {
            Ok(id) => id,
            Err(error) => panic!("the canonical form of a well-typed node is well-typed: {error}"),
        }
    }

    fn node(&self, id: NodeId) -> Node {
        self.graph.node(id)
    }

    fn ty(&self, id: NodeId) -> Type {
        self.graph.ty(id)
    }

    fn shape(&self, id: NodeId) -> Shape {
        self.ty(id).shape
    }

    /// Constants of equal elements are kept as one element.
    fn constant(&self, constant: Constant) -> NodeId {
        if let Some(bytes) = constant.dense_elements()
            && let mut elements = bytes.chunks_exact(constant.ty().dtype.size())
            && let Some(first) = elements.next()
            && elements.all(|element| element == first)
        {
            let splat = Constant::splat_bytes(constant.ty().clone(), first);
            return self.add(Op::Constant(splat), &[]);
        }
        self.add(Op::Constant(constant), &[])
    }

    /// The constant behind a node whose elements are all equal.
    fn splat(&self, id: NodeId) -> Option<Constant> {
        match self.node(id).op {
            Op::Constant(constant) => constant.splat_element().is_some().then_some(constant),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
