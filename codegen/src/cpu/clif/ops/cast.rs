//! Conversions between element types.
//!
//! Integers wrap; `f32` to an integer truncates and saturates, NaN to 0; anything but zero is
//! true; the half formats go through `f32`, rounding to nearest even.

use super::Emitter;
use bsq_ir::DType;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder, types};

impl Emitter<'_, '_> {
    pub(super) fn cast(&mut self, from: DType, to: DType, x: ir::Value) -> ir::Value {
        if from == to {
            return x;
        }
        if matches!(from, DType::F16 | DType::BF16) {
            let wide = self.half_to_f32(from, x);
            return self.cast(DType::F32, to, wide);
        }
        match to {
            DType::F32 => self.widen_to_f32(from, x),
            DType::F16 | DType::BF16 => {
                let wide = self.cast(from, DType::F32, x);
                self.f32_to_half(to, wide)
            }
            DType::Bool if from == DType::F32 => {
                let zero = self.f32_like(x, 0.0);
                self.b.ins().fcmp(FloatCC::NotEqual, x, zero)
            }
            DType::Bool => {
                let zero = self.int_like(x, 0);
                self.b.ins().icmp(IntCC::NotEqual, x, zero)
            }
            _ if from == DType::F32 => self.f32_to_integer(to, x),
            _ => self.integer_to_integer(from, to, x),
        }
    }

    fn widen_to_f32(&mut self, from: DType, x: ir::Value) -> ir::Value {
        let vector = self.is_vector(x);
        let ty = match vector {
            true => types::F32X4,
            false => types::F32,
        };
        match from {
            DType::Bool if vector => {
                let one = self.f32_like(x, 1.0);
                let one = self.float_bits(one);
                let bits = self.b.ins().band(x, one);
                self.bits_float(bits)
            }
            DType::Bool | DType::U8 => {
                let wide = self.b.ins().uextend(types::I32, x);
                self.b.ins().fcvt_from_sint(ty, wide)
            }
            DType::I32 | DType::I64 => self.b.ins().fcvt_from_sint(ty, x),
            _ => self.b.ins().fcvt_from_uint(ty, x),
        }
    }

    fn f32_to_integer(&mut self, to: DType, x: ir::Value) -> ir::Value {
        let vector = self.is_vector(x);
        let ty = match vector {
            true => types::I32X4,
            false => super::super::lanes::scalar_type(to),
        };
        match to {
            DType::I32 | DType::I64 => self.b.ins().fcvt_to_sint_sat(ty, x),
            DType::U32 | DType::U64 => self.b.ins().fcvt_to_uint_sat(ty, x),
            _ => {
                let wide = self.b.ins().fcvt_to_uint_sat(types::I32, x);
                let most = self.int_like(wide, 255);
                let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, wide, most);
                let clamped = self.b.ins().select(inside, wide, most);
                self.b.ins().ireduce(types::I8, clamped)
            }
        }
    }

    fn integer_to_integer(&mut self, from: DType, to: DType, x: ir::Value) -> ir::Value {
        if self.is_vector(x) {
            // Packed are the 32-bit integers, and bool as a mask.
            return match from {
                DType::Bool => self.b.ins().ineg(x),
                _ => x,
            };
        }
        let ty = super::super::lanes::scalar_type(to);
        let have = self.b.func.dfg.value_type(x);
        match (ty.bits().cmp(&have.bits()), from) {
            (std::cmp::Ordering::Equal, _) => x,
            (std::cmp::Ordering::Less, _) => self.b.ins().ireduce(ty, x),
            (_, DType::I32 | DType::I64) => self.b.ins().sextend(ty, x),
            _ => self.b.ins().uextend(ty, x),
        }
    }
}
