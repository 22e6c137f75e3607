//! `f16` and `bf16` by integer arithmetic: a lane has their bits zero-extended to 32.

use super::build::CodeBuilder;
use super::code::{Binary, Name, Predicate, Shift};

/// Bits of infinity in `f32`.
const INFINITY: u32 = 0x7f80_0000;
/// `f32` has this many more bits of mantissa than `f16`.
const EXTRA_BITS: u8 = 13;

impl CodeBuilder<'_> {
    pub(super) fn widen_bf16(&mut self, x: Name) -> Name {
        self.shift(Shift::Left, x, 16)
    }

    /// Rounded to nearest even; a NaN stays one.
    pub(super) fn round_to_bf16(&mut self, x: Name) -> Name {
        let (one, below_half, quiet) = (self.bits(1), self.bits(0x7fff), self.bits(0x40));
        let high = self.shift(Shift::RightLogical, x, 16);
        let odd = self.binary(Binary::And, high, one);
        let tie = self.binary(Binary::AddInt, odd, below_half);
        let rounded = self.binary(Binary::AddInt, x, tie);
        let rounded = self.shift(Shift::RightLogical, rounded, 16);
        let nan = self.binary(Binary::Or, high, quiet);
        let is_nan = self.compare(Predicate::Unordered, x, x);
        self.select(is_nan, nan, rounded)
    }

    pub(super) fn widen_f16(&mut self, x: Name) -> Name {
        // The exponent is 112 too small after the shift, for normal and subnormal numbers alike.
        let magnitude = self.masked(x, 0x7fff);
        let magnitude = self.shift(Shift::Left, magnitude, EXTRA_BITS);
        let factor = self.bits(2f32.powi(112).to_bits());
        let scaled = self.binary(Binary::Mul, magnitude, factor);
        // Infinity and NaN have the largest exponent, which stands for 65536 here.
        let limit = self.bits(65536f32.to_bits());
        let special = self.compare(Predicate::LessEqual, limit, scaled);
        let infinity = self.bits(INFINITY);
        let widened = self.binary(Binary::Or, scaled, infinity);
        let magnitude = self.select(special, widened, scaled);
        let sign = self.masked(x, 0x8000);
        let sign = self.shift(Shift::Left, sign, 16);
        self.binary(Binary::Or, magnitude, sign)
    }

    /// Rounded to nearest even; a NaN stays one.
    pub(super) fn round_to_f16(&mut self, x: Name) -> Name {
        let magnitude = self.masked(x, i32::MAX as u32);
        // Normal numbers: the exponent is rebiased and the mantissa rounded.
        let shifted = self.shift(Shift::RightLogical, magnitude, EXTRA_BITS);
        let odd = self.masked(shifted, 1);
        let rebias = self.bits(0xfff_u32.wrapping_sub(112 << 23));
        let up = self.binary(Binary::AddInt, odd, rebias);
        let normal = self.binary(Binary::AddInt, magnitude, up);
        let normal = self.shift(Shift::RightLogical, normal, EXTRA_BITS);
        // Subnormal results: adding 0.5 rounds at the bit that is their last.
        let half = self.bits(0.5f32.to_bits());
        let subnormal = self.binary(Binary::Add, magnitude, half);
        let subnormal = self.binary(Binary::SubInt, subnormal, half);
        // 65536 and above, and NaN; `normal` is infinite from 65520 on.
        let payload = self.masked(shifted, 0x3ff);
        let quiet = self.bits(0x7e00);
        let nan = self.binary(Binary::Or, payload, quiet);
        let infinity = self.bits(0x7c00);
        let is_nan = self.above(magnitude, INFINITY);
        let special = self.select(is_nan, nan, infinity);
        let is_normal = self.above(magnitude, 0x387f_ffff);
        let finite = self.select(is_normal, normal, subnormal);
        let is_special = self.above(magnitude, 0x477f_ffff);
        let result = self.select(is_special, special, finite);
        let sign = self.shift(Shift::RightLogical, x, 16);
        let sign = self.masked(sign, 0x8000);
        self.binary(Binary::Or, result, sign)
    }

    fn masked(&mut self, x: Name, mask: u32) -> Name {
        let mask = self.bits(mask);
        self.binary(Binary::And, x, mask)
    }

    fn above(&mut self, x: Name, limit: u32) -> Name {
        let limit = self.bits(limit);
        self.compare(Predicate::GreaterInt, x, limit)
    }
}
