//! What running a node costs on a target: bytes moved, operations, and kernel launches.
//!
//! The figures are constants of the target, never measured on the machine at hand, so that every
//! machine builds the same program.

use crate::op::{Family, Op};
use crate::shape::Type;

/// A target's figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostModel {
    pub bytes_per_second: f64,
    /// Multiply-adds count as two.
    pub operations_per_second: f64,
    pub seconds_per_launch: f64,
}

impl CostModel {
    /// A processor of a few cores.
    pub const CPU: CostModel = CostModel {
        bytes_per_second: 20e9,
        operations_per_second: 200e9,
        seconds_per_launch: 1e-6,
    };

    /// A graphics processor of compute capability 8.6.
    pub const GPU: CostModel = CostModel {
        bytes_per_second: 600e9,
        operations_per_second: 20e12,
        seconds_per_launch: 4e-6,
    };

    /// Seconds for one node.
    pub fn of(&self, op: &Op, operands: &[&[Type]], results: &[Type]) -> f64 {
        let bytes = |types: &[Type]| types.iter().map(Type::bytes).sum::<usize>() as f64;
        let read: f64 = operands.iter().map(|types| bytes(types)).sum();
        let moved = (read + bytes(results)) / self.bytes_per_second;
        match op.family() {
            Family::Leaf | Family::Projection => 0.0,
            Family::Movement => match op {
                // Kernels read through strides; contiguous copies are rare.
                Op::Reshape(_) | Op::Broadcast { .. } | Op::Slice { .. } => 0.0,
                Op::Transpose(_) | Op::Flip(_) | Op::Window { .. } => moved / 8.0,
                _ => moved,
            },
            Family::Elementwise => weight(op) * (self.seconds_per_launch + moved),
            _ => {
                let work = operations(op, operands, results) / self.operations_per_second;
                self.seconds_per_launch + moved + work
            }
        }
    }
}

/// An elementwise op nearly always joins the kernel of a neighbour: the part of a kernel of its
/// own that it costs there.
fn weight(op: &Op) -> f64 {
    match op {
        Op::Exp | Op::Log | Op::Tanh | Op::Erf | Op::Sin | Op::Cos => 1.0,
        Op::Div | Op::Sqrt => 0.75,
        _ => 0.2,
    }
}

impl Default for CostModel {
    fn default() -> Self {
        CostModel::CPU
    }
}

/// Arithmetic operations of a node that is not elementwise.
fn operations(op: &Op, operands: &[&[Type]], results: &[Type]) -> f64 {
    let elements = |types: &[Type]| types[0].shape.elements() as f64;
    let out = elements(results);
    match op {
        Op::DotGeneral(axes) => {
            let lhs = &operands[0][0].shape;
            let terms: usize = axes.contract.iter().map(|&(axis, _)| lhs[axis]).product();
            2.0 * out * terms as f64
        }
        Op::Attention { .. } => 2.0 * attention_products(operands) + 12.0 * scores(operands),
        Op::AttentionBackward { .. } => {
            let [depth, width] = [depth(operands[0]), depth(operands[2])];
            scores(operands) * (6.0 * depth + 4.0 * width + 20.0)
        }
        Op::Gelu | Op::Softmax => 10.0 * out,
        Op::GeluBackward => 20.0 * out,
        Op::LayerNorm { .. } | Op::LayerNormBackward => 10.0 * elements(operands[0]),
        _ => operands
            .iter()
            .map(|types| elements(types))
            .fold(out, f64::max),
    }
}

fn depth(types: &[Type]) -> f64 {
    *types[0].shape.last().expect("a matrix") as f64
}

/// Elements of the scores.
fn scores(operands: &[&[Type]]) -> f64 {
    let keys = &operands[1][0].shape;
    let keys = keys[keys.rank() - 2] as f64;
    operands[0][0].shape.elements() as f64 / depth(operands[0]).max(1.0) * keys
}

fn attention_products(operands: &[&[Type]]) -> f64 {
    scores(operands) * (depth(operands[0]) + depth(operands[2]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType::F32;
    use crate::op::{DotAxes, Float, Mask};

    #[test]
    fn attention_costs_less_than_its_parts() {
        let model = CostModel::CPU;
        let q = [Type::new(F32, [8, 64, 32])];
        let p = [Type::new(F32, [8, 64, 64])];
        let row = Type::new(F32, [8, 64]);
        let (batch, contract) = (vec![(0, 0)], vec![(2, 2)]);
        let dot = Op::DotGeneral(DotAxes { batch, contract });
        let parts = model.of(&dot, &[&q, &q], &p)
            + model.of(&Op::Softmax, &[&p], &p)
            + model.of(&dot, &[&p, &p], &q);
        let (scale, mask) = (Float::new(1.0), Mask::None);
        let results = [q[0].clone(), row.clone(), row];
        let whole = model.of(&Op::Attention { scale, mask }, &[&q, &q, &q], &results);
        assert!(whole < parts, "{whole} < {parts}");
    }
}
