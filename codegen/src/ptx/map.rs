//! The elementwise ops, with the meaning of the reference evaluator.

use super::code::Reg;
use super::emit::Emitter;
use super::math::Written;
use bsq_ir::math::{Lanes, elementwise};
use bsq_ir::{DType, Op};

impl Emitter<'_> {
    pub(super) fn map(&mut self, op: &Op, to: DType, operands: &[(DType, Reg)]) -> Reg {
        let x: Vec<Reg> = operands.iter().map(|operand| operand.1).collect();
        elementwise(&mut Written(&mut self.t), op, (operands[0].0, to), &x)
    }

    /// A `bf16` as `f32`.
    pub fn widened(&mut self, x: Reg) -> Reg {
        Written(&mut self.t).widen(DType::BF16, x)
    }
}
