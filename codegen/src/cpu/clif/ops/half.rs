//! `f16` and `bf16` by integer arithmetic, so that no CPU needs an instruction for them.
//!
//! A scalar is 16 bits wide; a lane of a packed register has the same bits zero-extended to 32.

use super::Emitter;
use bsq_ir::DType;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder, types};

/// Bits of infinity in `f32`.
const INFINITY: i64 = 0x7f80_0000;
/// `f32` has this many more bits of mantissa than `f16`.
const EXTRA_BITS: i64 = 13;

impl Emitter<'_, '_> {
    pub(super) fn half_to_f32(&mut self, from: DType, x: ir::Value) -> ir::Value {
        let bits = match self.is_vector(x) {
            true => x,
            false => self.b.ins().uextend(types::I32, x),
        };
        if from == DType::BF16 {
            let bits = self.shift_left(bits, 16);
            return self.bits_float(bits);
        }
        // The exponent is 112 too small after the shift, for normal and subnormal numbers alike.
        let magnitude = self.and(bits, 0x7fff);
        let magnitude = self.shift_left(magnitude, EXTRA_BITS);
        let small = self.bits_float(magnitude);
        let factor = self.f32_like(small, 2f32.powi(112));
        let scaled = self.b.ins().fmul(small, factor);
        // Infinity and NaN have the largest exponent, which stands for 65536 here.
        let limit = self.f32_like(small, 65536.0);
        let special = self.b.ins().fcmp(FloatCC::LessThanOrEqual, limit, scaled);
        let scaled = self.float_bits(scaled);
        let infinity = self.int_like(scaled, INFINITY);
        let widened = self.b.ins().bor(scaled, infinity);
        let magnitude = self.choose(special, widened, scaled);
        let sign = self.and(bits, 0x8000);
        let sign = self.shift_left(sign, 16);
        let bits = self.b.ins().bor(magnitude, sign);
        self.bits_float(bits)
    }

    pub(super) fn f32_to_half(&mut self, to: DType, x: ir::Value) -> ir::Value {
        let bits = self.float_bits(x);
        let half = match to {
            DType::BF16 => self.bf16_bits(bits),
            _ => self.f16_bits(bits),
        };
        match self.is_vector(half) {
            true => half,
            false => self.b.ins().ireduce(types::I16, half),
        }
    }

    /// The upper half, rounded to nearest even; a NaN is kept from becoming infinity.
    fn bf16_bits(&mut self, bits: ir::Value) -> ir::Value {
        let upper = self.shift_right(bits, 16);
        let odd = self.and(upper, 1);
        let below_half = self.int_like(bits, 0x7fff);
        let up = self.b.ins().iadd(odd, below_half);
        let rounded = self.b.ins().iadd(bits, up);
        let rounded = self.shift_right(rounded, 16);
        let quiet = self.int_like(bits, 0x40);
        let nan = self.b.ins().bor(upper, quiet);
        let magnitude = self.and(bits, i64::from(i32::MAX));
        let is_nan = self.above(magnitude, INFINITY);
        self.choose(is_nan, nan, rounded)
    }

    fn f16_bits(&mut self, bits: ir::Value) -> ir::Value {
        let magnitude = self.and(bits, i64::from(i32::MAX));
        // Normal numbers: the exponent is rebiased and the mantissa rounded to nearest even.
        let shifted = self.shift_right(magnitude, EXTRA_BITS);
        let odd = self.and(shifted, 1);
        let rebias = self.int_like(bits, 0xfff - (112 << 23));
        let up = self.b.ins().iadd(odd, rebias);
        let normal = self.b.ins().iadd(magnitude, up);
        let normal = self.shift_right(normal, EXTRA_BITS);
        // Subnormal results: adding 0.5 rounds at the bit that is their last.
        let small = self.bits_float(magnitude);
        let half = self.f32_like(small, 0.5);
        let subnormal = self.b.ins().fadd(small, half);
        let subnormal = self.float_bits(subnormal);
        let half = self.float_bits(half);
        let subnormal = self.b.ins().isub(subnormal, half);
        // 65536 and above, and NaN, which keeps the upper part of its payload.
        let payload = self.and(shifted, 0x3ff);
        let quiet = self.int_like(bits, 0x7e00);
        let nan = self.b.ins().bor(payload, quiet);
        let infinity = self.int_like(bits, 0x7c00);
        let is_nan = self.above(magnitude, INFINITY);
        let special = self.choose(is_nan, nan, infinity);
        let is_normal = self.above(magnitude, 0x387f_ffff);
        let finite = self.choose(is_normal, normal, subnormal);
        let is_special = self.above(magnitude, 0x477f_ffff);
        let result = self.choose(is_special, special, finite);
        let sign = self.shift_right(bits, 16);
        let sign = self.and(sign, 0x8000);
        self.b.ins().bor(result, sign)
    }

    fn above(&mut self, x: ir::Value, limit: i64) -> ir::Value {
        let limit = self.int_like(x, limit);
        self.b.ins().icmp(IntCC::SignedGreaterThan, x, limit)
    }

    fn and(&mut self, x: ir::Value, mask: i64) -> ir::Value {
        let mask = self.int_like(x, mask);
        self.b.ins().band(x, mask)
    }

    fn shift_left(&mut self, x: ir::Value, amount: i64) -> ir::Value {
        let amount = self.b.ins().iconst(types::I32, amount);
        self.b.ins().ishl(x, amount)
    }

    fn shift_right(&mut self, x: ir::Value, amount: i64) -> ir::Value {
        let amount = self.b.ins().iconst(types::I32, amount);
        self.b.ins().ushr(x, amount)
    }
}
