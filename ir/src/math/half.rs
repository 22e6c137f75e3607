//! `f16` and `bf16` by integer arithmetic, over [`Lanes`]: no machine needs an instruction for them.
//! A half number is the 16 bits of its format, zero-extended to 32.

use super::lanes::{Comparison, Lanes, Named, Shift};
use crate::dtype::DType;

/// Bits of infinity in `f32`.
const INFINITY: i32 = 0x7f80_0000;
/// `f32` has this many more bits of mantissa than `f16`.
const EXTRA_BITS: u32 = 13;

/// `f16` or `bf16` as `f32`.
#[inline(always)]
pub fn widen<L: Lanes + ?Sized>(l: &mut L, from: DType, x: L::I) -> L::F {
    if from == DType::BF16 {
        let bits = l.shift(Shift::Left, x, 16);
        return l.with_bits(bits);
    }
    // The exponent is 112 too small after the shift, for normal and subnormal numbers alike.
    let magnitude = masked(l, x, 0x7fff);
    let magnitude = l.shift(Shift::Left, magnitude, EXTRA_BITS);
    let (small, factor) = (l.with_bits(magnitude), l.f32(2f32.powi(112)));
    let scaled = l.mul(small, factor);
    // Infinity and NaN have the largest exponent, which stands for 65536 here.
    let limit = l.f32(65536.0);
    let special = l.compare(Comparison::LessEqual, limit, scaled);
    let (scaled, infinity) = (l.bits(scaled), l.i32(INFINITY));
    let widened = l.or(scaled, infinity);
    let magnitude = l.select_integer(special, widened, scaled);
    let sign = masked(l, x, 0x8000);
    let sign = l.shift(Shift::Left, sign, 16);
    let bits = l.or(magnitude, sign);
    l.with_bits(bits)
}

/// `f32` as `f16` or `bf16`, rounded to nearest even.
#[inline(always)]
pub fn narrow<L: Lanes + ?Sized>(l: &mut L, to: DType, x: L::F) -> L::I {
    match to {
        DType::BF16 => to_bf16(l, x),
        _ => to_f16(l, x),
    }
}

/// The upper half, rounded; a NaN is kept from becoming infinity.
#[inline(always)]
fn to_bf16<L: Lanes + ?Sized>(l: &mut L, x: L::F) -> L::I {
    let bits = l.bits(x);
    let (one, below_half, quiet) = (l.i32(1), l.i32(0x7fff), l.i32(0x40));
    let upper = l.shift(Shift::RightLogical, bits, 16);
    let odd = l.and(upper, one);
    let up = l.add_i32(odd, below_half);
    let rounded = l.add_i32(bits, up);
    let rounded = l.shift(Shift::RightLogical, rounded, 16);
    let nan = l.or(upper, quiet);
    let is_nan = l.unordered(x, x);
    l.select_integer(is_nan, nan, rounded)
}

#[inline(always)]
fn to_f16<L: Lanes + ?Sized>(l: &mut L, x: L::F) -> L::I {
    let bits = l.bits(x);
    let magnitude = masked(l, bits, i32::MAX);
    // Normal numbers: the exponent is rebiased and the mantissa rounded.
    let shifted = l.shift(Shift::RightLogical, magnitude, EXTRA_BITS);
    let odd = masked(l, shifted, 1);
    let rebias = l.i32(0xfff - (112 << 23));
    let up = l.add_i32(odd, rebias);
    let normal = l.add_i32(magnitude, up);
    let normal = l.shift(Shift::RightLogical, normal, EXTRA_BITS);
    // Subnormal results: adding 0.5 rounds at the bit that is their last.
    let (small, half) = (l.with_bits(magnitude), l.f32(0.5));
    let subnormal = l.add(small, half);
    let (subnormal, half) = (l.bits(subnormal), l.i32(0.5f32.to_bits() as i32));
    let subnormal = l.sub_i32(subnormal, half);
    // 65536 and above, and NaN, which keeps the upper part of its payload; `normal` is infinite
    // from 65520 on.
    let payload = masked(l, shifted, 0x3ff);
    let quiet = l.i32(0x7e00);
    let nan = l.or(payload, quiet);
    let infinity = l.i32(0x7c00);
    let is_nan = above(l, magnitude, INFINITY);
    let special = l.select_integer(is_nan, nan, infinity);
    let is_normal = above(l, magnitude, 0x387f_ffff);
    let finite = l.select_integer(is_normal, normal, subnormal);
    let is_special = above(l, magnitude, 0x477f_ffff);
    let result = l.select_integer(is_special, special, finite);
    let sign = l.shift(Shift::RightLogical, bits, 16);
    let sign = masked(l, sign, 0x8000);
    l.or(result, sign)
}

#[inline(always)]
fn masked<L: Lanes + ?Sized>(l: &mut L, x: L::I, mask: i32) -> L::I {
    let mask = l.i32(mask);
    l.and(x, mask)
}

#[inline(always)]
fn above<L: Lanes + ?Sized>(l: &mut L, x: L::I, limit: i32) -> L::B {
    let limit = l.i32(limit);
    l.compare_integers(Comparison::Less, true, limit, x)
}
