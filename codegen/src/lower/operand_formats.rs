//! In which format a contraction takes its operands, and where the factors of narrow ones are.

use super::access::{Obstacle, Source};
use super::builder::KernelBuilder;
use crate::kernel::{Affine, Format, Value, Var};
use crate::schedule::{Widening, Widenings};
use bsq_ir::{DType, DotAxes, Function, NodeId, Op};

/// The operands of a contraction.
#[derive(Clone, Copy)]
pub(super) struct OperandFormats {
    pub format: Format,
    lhs: Option<Widening>,
    rhs: Option<Widening>,
}

impl OperandFormats {
    pub fn new(function: &Function, anchor: NodeId, widened: &Widenings) -> Self {
        let side = |operand: usize| widened.of(function, function.node(anchor).operands[operand]);
        let (lhs, rhs) = (side(0), side(1));
        let dtype = |side: Option<Widening>| side.map(|side| function.node(side.narrow).dtype());
        let format = match (dtype(lhs), dtype(rhs)) {
            (_, None) => Format::F32,
            (None, Some(DType::BF16)) => Format::Bf16Weights,
            (None, Some(_)) => Format::U8Weights,
            (Some(_), Some(DType::BF16)) => Format::Bf16,
            (Some(_), Some(DType::F16)) => Format::F16,
            (Some(_), Some(_)) => Format::Int8,
        };
        OperandFormats { format, lhs, rhs }
    }

    /// The factor of the rhs's columns, by offset in a materialized array; it must not differ
    /// along contracted axes. `rhs` is what to compute otherwise.
    pub fn column_factor(
        &self,
        b: &mut KernelBuilder,
        function: &Function,
        rhs: NodeId,
        dot: &DotAxes,
        result: &[Affine],
    ) -> Result<Option<(NodeId, Affine)>, Obstacle> {
        let factor = match self.rhs {
            Some(Widening {
                scale: Some(scale), ..
            }) if self.format == Format::U8Weights => scale,
            _ => return Ok(None),
        };
        let (index, contracted) = operand_index(b, function, rhs, dot, result, false);
        let index = widened_index(b, rhs, index)?;
        match b.addressing().locate(factor, index)? {
            Source::Materialized(materialized, at) if even(&at, &contracted) => {
                Ok(Some((materialized, at)))
            }
            _ => Err(Obstacle::Materialize(rhs)),
        }
    }

    /// The f32 that a sum of products of bytes stands for.
    pub fn sum_of_bytes(
        &self,
        b: &mut KernelBuilder,
        function: &Function,
        anchor: NodeId,
        result: &[Affine],
        sum: Value,
    ) -> Result<Value, Obstacle> {
        let node = function.node(anchor);
        let Op::DotGeneral(dot) = &node.op else {
            unreachable!("a contraction")
        };
        let mut scales = Vec::new();
        for (side, lhs) in [(self.lhs, true), (self.rhs, false)] {
            let operand = node.operands[usize::from(!lhs)];
            let scale = side
                .and_then(|side| side.scale)
                .expect("bytes have a factor");
            let (index, contracted) = operand_index(b, function, operand, dot, result, lhs);
            let index = widened_index(b, operand, index)?;
            match b.addressing().locate(scale, index.clone())? {
                Source::Materialized(_, at) if even(&at, &contracted) => {}
                _ => return Err(Obstacle::Materialize(operand)),
            }
            scales.push(b.value(scale, index)?);
        }
        let sum = b.map(Op::Cast(DType::F32), DType::F32, &[sum]);
        let scale = b.map(Op::Mul, DType::F32, &scales);
        Ok(b.map(Op::Mul, DType::F32, &[sum, scale]))
    }
}

/// An operand's index in terms of the widened value that it is a view of.
fn widened_index(
    b: &KernelBuilder,
    operand: NodeId,
    index: Vec<Affine>,
) -> Result<Vec<Affine>, Obstacle> {
    match b.addressing().locate(operand, index)? {
        Source::Computed(_, index) => Ok(index),
        Source::Materialized(..) => Err(Obstacle::Materialize(operand)),
    }
}

fn even(at: &Affine, contracted: &[Var]) -> bool {
    contracted.iter().all(|&var| at.coefficient(var) == 0)
}

/// The index of an operand's element in terms of the result's index and of new variables for the
/// contracted axes, outermost first.
pub(super) fn operand_index(
    b: &mut KernelBuilder,
    function: &Function,
    operand: NodeId,
    dot: &DotAxes,
    result: &[Affine],
    lhs: bool,
) -> (Vec<Affine>, Vec<Var>) {
    let shape = function.node(operand).shape();
    let mut index = vec![Affine::default(); shape.rank()];
    let side = |pair: &(usize, usize)| if lhs { pair.0 } else { pair.1 };
    for (position, pair) in dot.batch.iter().enumerate() {
        index[side(pair)] = result[position].clone();
    }
    let free = dot.free(shape.rank(), lhs);
    let first = match lhs {
        true => dot.batch.len(),
        false => result.len() - free.len(),
    };
    for (position, axis) in free.into_iter().enumerate() {
        index[axis] = result[first + position].clone();
    }
    let mut contracted = Vec::new();
    for pair in &dot.contract {
        let (at, vars) = b.axes.axis(shape[side(pair)]);
        index[side(pair)] = at;
        contracted.extend(vars);
    }
    (index, contracted)
}
