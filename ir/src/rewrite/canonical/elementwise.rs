//! Elementwise ops: identities that keep every bit, signs, constants, and broadcasts.
//!
//! Zero needs care: `x + 0` is not `x` when x is -0, but `x + -0` and `x - 0` are; `-(a - b)` is
//! not `b - a` when they are equal.

use super::Builder;
use crate::dtype::DType;
use crate::graph::NodeId;
use crate::op::{Constant, Op};
use crate::shape::Shape;

/// How much movement a sign is looked for behind.
const MOST_MOVES: usize = 8;

impl Builder<'_> {
    pub(super) fn elementwise(&self, op: &Op, x: &[NodeId]) -> NodeId {
        let mut x = x.to_vec();
        if op.is_commutative() {
            // Constants on the right, else older nodes first: equal products become one node.
            x.sort_by_key(|&id| (self.splat(id).is_some(), id));
        }
        self.simplified(op, &x)
            .or_else(|| self.below_broadcast(op, &x))
            .or_else(|| self.below_reshape(op, &x))
            .unwrap_or_else(|| self.add(op.clone(), &x))
    }

    fn simplified(&self, op: &Op, x: &[NodeId]) -> Option<NodeId> {
        let dtype = self.ty(x[0]).dtype;
        match op {
            Op::StopGradient => Some(x[0]),
            Op::Neg => self.neg(x[0]),
            Op::Not => {
                let node = self.node(x[0]);
                (node.op == Op::Not).then(|| node.operands[0])
            }
            Op::Cast(to) => self.cast(x[0], *to),
            Op::Add => self.sum_of(x[0], x[1], dtype),
            Op::Sub => self.difference(x[0], x[1], dtype),
            Op::Mul => self.product(x[0], x[1]),
            Op::Div => self.quotient(x[0], x[1]),
            Op::Max | Op::Min | Op::And | Op::Or => (x[0] == x[1]).then_some(x[0]),
            Op::Select => self.select(x[0], x[1], x[2]),
            _ => None,
        }
    }

    /// `--x => x`, `-(x * c) => x * -c`.
    fn neg(&self, x: NodeId) -> Option<NodeId> {
        if let Some(positive) = self.negated(x) {
            return Some(positive);
        }
        if let Some(value) = self.splat_f32(x) {
            return Some(self.full(-value, &self.shape(x)));
        }
        let node = self.node(x);
        let factor = self.splat_f32(*node.operands.get(1)?)?;
        let factor = self.full(-factor, node.shape());
        (node.op == Op::Mul).then(|| self.elementwise(&Op::Mul, &[node.operands[0], factor]))
    }

    /// `x + -0 => x`, `x + -y => x - y`.
    fn sum_of(&self, x: NodeId, y: NodeId, dtype: DType) -> Option<NodeId> {
        if let (Some(a), Some(b)) = (self.splat_f32(x), self.splat_f32(y)) {
            return self.folded(a + b, x);
        }
        let zero = if dtype == DType::F32 { -0.0 } else { 0.0 };
        if self.is_splat(y, zero) {
            return Some(x);
        }
        if let Some(y) = self.negated(y) {
            return Some(self.elementwise(&Op::Sub, &[x, y]));
        }
        let x = self.negated(x)?;
        self.splat(y)
            .is_none()
            .then(|| self.elementwise(&Op::Sub, &[y, x]))
    }

    /// `x - 0 => x`, `-0 - y => -y`, `x - -y => x + y`, `x - c => x + -c`.
    fn difference(&self, x: NodeId, y: NodeId, dtype: DType) -> Option<NodeId> {
        if self.is_splat(y, 0.0) {
            return Some(x);
        }
        if dtype == DType::F32 && self.is_splat(x, -0.0) {
            return Some(self.elementwise(&Op::Neg, &[y]));
        }
        let minus_y = match self.splat_f32(y) {
            Some(value) => self.full(-value, &self.shape(y)),
            None => self.negated(y)?,
        };
        Some(self.elementwise(&Op::Add, &[x, minus_y]))
    }

    /// `x * 1 => x`, `x * -1 => -x`, `-x * y => -(x * y)`.
    fn product(&self, x: NodeId, y: NodeId) -> Option<NodeId> {
        if let (Some(a), Some(b)) = (self.splat_f32(x), self.splat_f32(y)) {
            return self.folded(a * b, x);
        }
        if self.is_splat(y, 1.0) {
            return Some(x);
        }
        if self.splat_f32(y) == Some(-1.0) {
            return Some(self.elementwise(&Op::Neg, &[x]));
        }
        let (x, y) = match (self.negated(x), self.negated(y)) {
            (Some(x), _) => (x, y),
            (None, Some(positive)) => (x, positive),
            (None, None) => return None,
        };
        let product = self.elementwise(&Op::Mul, &[x, y]);
        Some(self.elementwise(&Op::Neg, &[product]))
    }

    /// `x / 1 => x`, `x / 2^k => x * 2^-k`, `-x / y => -(x / y)`.
    fn quotient(&self, x: NodeId, y: NodeId) -> Option<NodeId> {
        if let (Some(a), Some(b)) = (self.splat_f32(x), self.splat_f32(y)) {
            return self.folded(a / b, x);
        }
        if let Some(divisor) = self.splat_f32(y) {
            let mantissa = divisor.to_bits() & 0x007f_ffff;
            let exact = mantissa == 0 && divisor.is_normal() && (1.0 / divisor).is_normal();
            if exact {
                let factor = self.full(1.0 / divisor, &self.shape(y));
                return Some(self.elementwise(&Op::Mul, &[x, factor]));
            }
        }
        let (x, y) = match (self.negated(x), self.negated(y)) {
            (Some(x), _) if self.splat(x).is_none() => (x, y),
            (_, Some(positive)) => (x, positive),
            _ => return None,
        };
        let quotient = self.elementwise(&Op::Div, &[x, y]);
        Some(self.elementwise(&Op::Neg, &[quotient]))
    }

    fn select(&self, condition: NodeId, x: NodeId, y: NodeId) -> Option<NodeId> {
        if x == y || self.is_splat(condition, 1.0) {
            return Some(x);
        }
        if self.is_splat(condition, 0.0) {
            return Some(y);
        }
        let node = self.node(condition);
        (node.op == Op::Not).then(|| self.elementwise(&Op::Select, &[node.operands[0], y, x]))
    }

    /// Casts to the same type, and through `f32` and back to the storage format it came from.
    fn cast(&self, x: NodeId, to: DType) -> Option<NodeId> {
        let node = self.node(x);
        if node.dtype() == to {
            return Some(x);
        }
        let stored = matches!(to, DType::F16 | DType::BF16) && node.op == Op::Cast(DType::F32);
        let source = stored.then(|| node.operands[0])?;
        (self.ty(source).dtype == to).then_some(source)
    }

    /// z if x is `-z`, looking through some movement.
    fn negated(&self, x: NodeId) -> Option<NodeId> {
        let mut node = self.node(x);
        let mut moves = Vec::new();
        while matches!(
            node.op,
            Op::Broadcast { .. } | Op::Reshape(_) | Op::Transpose(_)
        ) {
            if moves.len() == MOST_MOVES {
                return None;
            }
            let inner = self.node(node.operands[0]);
            moves.push(std::mem::replace(&mut node, inner).op);
        }
        let inner = (node.op == Op::Neg).then(|| node.operands[0])?;
        let moved = |x, op: &Op| self.build(op, &[x]);
        Some(moves.iter().rev().fold(inner, moved))
    }

    /// `op(broadcast x, broadcast y) => broadcast(op(x, y))`, constants counting as broadcasts.
    fn below_broadcast(&self, op: &Op, x: &[NodeId]) -> Option<NodeId> {
        let mut common: Option<(Vec<usize>, Shape)> = None;
        let mut small = Vec::with_capacity(x.len());
        for &operand in x {
            let node = self.node(operand);
            match node.op {
                Op::Broadcast { axes, .. } => {
                    let shape = self.shape(node.operands[0]);
                    let known = common.get_or_insert_with(|| (axes.clone(), shape));
                    if known.0 != axes {
                        return None;
                    }
                    small.push(Some(node.operands[0]));
                }
                Op::Constant(constant) if constant.splat_element().is_some() => small.push(None),
                _ => return None,
            }
        }
        let (axes, shape) = common?;
        let shrink = |(operand, &whole): (Option<NodeId>, &NodeId)| {
            operand.unwrap_or_else(|| self.broadcast_source(whole, &shape))
        };
        let operands: Vec<NodeId> = small.into_iter().zip(x).map(shrink).collect();
        let inner = self.elementwise(op, &operands);
        Some(self.broadcast(inner, &self.shape(x[0]), &axes))
    }

    /// `op(reshape x, reshape y) => reshape(op(x, y))`, if x and y have one shape.
    fn below_reshape(&self, op: &Op, x: &[NodeId]) -> Option<NodeId> {
        let source = |&id: &NodeId| {
            let node = self.node(id);
            let from = matches!(node.op, Op::Reshape(_)).then(|| node.operands[0]);
            (from, self.splat(id).is_some())
        };
        let sources: Vec<(Option<NodeId>, bool)> = x.iter().map(source).collect();
        let shape = self.shape(sources.iter().find_map(|source| source.0)?);
        let mut operands = Vec::with_capacity(x.len());
        for (&whole, source) in x.iter().zip(sources) {
            operands.push(match source {
                (Some(source), _) if self.shape(source) == shape => source,
                (None, true) => self.broadcast_source(whole, &shape),
                _ => return None,
            });
        }
        let inner = self.elementwise(op, &operands);
        Some(self.reshape(inner, &self.shape(x[0])))
    }

    /// The splat constant `x` in another shape.
    fn broadcast_source(&self, x: NodeId, shape: &Shape) -> NodeId {
        let constant = self.splat(x).expect("a splat constant");
        self.constant(constant.with_shape(shape).expect("a splat"))
    }

    /// A constant like `x`; the sign and payload of a NaN are left to the target.
    fn folded(&self, value: f32, x: NodeId) -> Option<NodeId> {
        (!value.is_nan()).then(|| self.full(value, &self.shape(x)))
    }

    fn full(&self, value: f32, shape: &Shape) -> NodeId {
        self.constant(Constant::splat(value.into(), DType::F32, shape))
    }

    fn splat_f32(&self, x: NodeId) -> Option<f32> {
        self.splat(x)?.splat_f32()
    }

    fn is_splat(&self, x: NodeId, value: f64) -> bool {
        let Some(constant) = self.splat(x) else {
            return false;
        };
        let wanted = Constant::splat(value, constant.ty().dtype, Shape::scalar());
        wanted.splat_element() == constant.splat_element()
    }
}
