//! The running maximum or minimum of packed `f32`, in few operations that wait for one another.
//!
//! The instructions `maxps` and `minps` give their second operand if either is NaN or both are
//! zero. Taken in both orders they differ only there: for zeros, joining the bits gives the right
//! sign; where a NaN has been is kept beside in a mask, which the result gets in the end.
//!
//! SIMD loops take them in one order, so that one instruction waits for the one of the iteration before, and keep two
//! things beside: the greatest magnitude, from which the mask is made, and the signs of all numbers, joined. A maximum
//! of zero has no number above it, so it is +0 where any number had the sign of +0; a minimum is -0 where any had
//! that of -0.

use super::emit::Emitter;
use crate::kernel::{Combine, Reduction};
use bsq_ir::DType;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{self, InstBuilder, types};

/// True for the reductions that this is for.
pub(super) fn is_min_max(result: &Reduction) -> bool {
    result.dtype == DType::F32 && result.op != Combine::Sum
}

impl Emitter<'_, '_> {
    /// The larger or smaller of two numbers; anything if one is NaN.
    pub fn min_max(&mut self, op: Combine, x: ir::Value, y: ir::Value) -> ir::Value {
        let [forth, back] = [[x, y], [y, x]].map(|[x, y]| {
            let better = match op {
                Combine::Max => self.b.ins().fcmp(FloatCC::LessThan, y, x),
                _ => self.b.ins().fcmp(FloatCC::LessThan, x, y),
            };
            let mask = self.recast(types::F32X4, better);
            self.b.ins().bitselect(mask, x, y)
        });
        match op {
            Combine::Max => self.b.ins().band(forth, back),
            _ => self.b.ins().bor(forth, back),
        }
    }

    /// The mask of lanes in which `x` or an earlier number is NaN.
    pub fn note_nan(&mut self, mask: ir::Value, x: ir::Value) -> ir::Value {
        let is_nan = self.b.ins().fcmp(FloatCC::Unordered, x, x);
        self.b.ins().bor(mask, is_nan)
    }

    /// Zeros with the sign that `signs` says, all else as it is.
    pub fn with_sign_of_zero(&mut self, x: ir::Value, signs: ir::Value) -> ir::Value {
        let zero = self.lanes_of(types::F32X4, [0; 4]);
        let is_zero = self.b.ins().fcmp(FloatCC::Equal, x, zero);
        let is_zero = self.recast(types::I32X4, is_zero);
        let sign = self.lanes_of(types::I32X4, [1 << 31; 4]);
        let sign = self.b.ins().band(signs, sign);
        let bits = self.recast(types::I32X4, x);
        let bits = self.b.ins().bitselect(is_zero, sign, bits);
        self.recast(types::F32X4, bits)
    }

    /// NaN in the lanes of the mask.
    pub fn with_nan(&mut self, x: ir::Value, mask: ir::Value) -> ir::Value {
        let bits = self.recast(types::F32X4, mask);
        self.b.ins().bor(x, bits)
    }
}
