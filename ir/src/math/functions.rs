//! The four functions, over [`Lanes`].
//!
//! exp, tanh and erf share a core. An argument `x` is split as `n ln 2 + r` with `n` whole and
//! `|r| <= ln 2 / 2`; `e^r` is a polynomial and `2^n` is made from bits. Adding [`ROUND`] to a
//! small number rounds it to a whole one, which then stands in the low bits of the sum.

use super::lanes::{Lanes, Named, Shift};

/// 1.5 * 2^23: the spacing of `f32` here is 1.
const ROUND: f32 = 12_582_912.0;
const EXPONENT_BIAS: f32 = 127.0;
const MANTISSA_BITS: u32 = 23;
const LOG2_E: f32 = std::f32::consts::LOG2_E;
const LN_2: f32 = std::f32::consts::LN_2;
/// `ln 2 - LN_2`.
const LN_2_LOW: f32 = -1.904_654_2e-9;

/// `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 2`, lowest power first.
const EXP: [f32; 5] = [
    0.499_999_97,
    0.166_665_39,
    0.041_667_75,
    0.008_367_079,
    0.001_383_804_6,
];
/// `(ln(1 + f) - f + f^2 / 2) / f^3` for `|f| <= 1/3`.
const LOG: [f32; 8] = [
    0.333_332_15,
    -0.249_997_97,
    0.200_104_06,
    -0.166_804_9,
    0.140_058_7,
    -0.121_842_28,
    0.139_844_33,
    -0.128_918_25,
];
/// `ln(1 - erf(a)) / a` for `0 <= a <= 4`, less [`ERF_SLOPE`].
const ERF: [f32; 9] = [
    ERF_SLOPE_LOW,
    -0.636_619_4,
    -0.102_777_83,
    0.019_153_066,
    0.000_160_391_73,
    -0.001_667_022_7,
    0.000_632_834_3,
    -0.000_117_640_58,
    9.256_192e-6,
];

/// `(tanh(x) - x) / x^3` in powers of `x^2`, for `|x| <= 1/2`.
const TANH: [f32; 4] = [-0.333_331_44, 0.133_258_79, -0.053_045_5, 0.017_241_5];
/// `-2 / sqrt(pi)`.
const ERF_SLOPE: f32 = -std::f32::consts::FRAC_2_SQRT_PI;
/// `-2 / sqrt(pi) - ERF_SLOPE`.
const ERF_SLOPE_LOW: f32 = 5.863_538_6e-8;

/// `e^x`. Overflows to infinity, underflows through the subnormals to 0.
#[inline(always)]
pub fn exp<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    // Beyond these the result is infinity and 0 anyway, and n fits the two factors below.
    let (high, low) = (l.f32(89.0), l.f32(-104.0));
    let x = l.min(high, x);
    let x = l.max(low, x);
    // 2^n with n from -150 to 128 is two factors 2^floor(n/2) 2^ceil(n/2). Twice the exponent
    // bias is added here already, so that halving leaves it once in each.
    let bias = l.f32(ROUND + 2.0 * EXPONENT_BIAS);
    let (log2_e, ln_2, ln_2_low) = (l.f32(LOG2_E), l.f32(-LN_2), l.f32(-LN_2_LOW));
    let rounded = l.fma(x, log2_e, bias);
    let n = l.sub(rounded, bias);
    let r = l.fma(n, ln_2, x);
    let r = l.fma(n, ln_2_low, r);
    let q = polynomial(l, r, &EXP);
    let one = l.f32(1.0);
    let p = l.fma(q, r, one);
    let p = l.fma(p, r, one);
    let bits = l.bits(rounded);
    l.times_power(p, n, bits)
}

/// `x * 2^n` in two factors, where the low 10 bits of `biased` are `n` plus twice the exponent
/// bias. The first product is exact, so that the result is rounded once.
#[inline(always)]
pub fn times_power<L: Lanes + ?Sized>(l: &mut L, x: L::F, biased: L::I) -> L::F {
    let half = l.shift(Shift::RightLogical, biased, 1);
    let rest = l.sub_i32(biased, half);
    let scaled = scale(l, x, half);
    scale(l, scaled, rest)
}

/// Natural logarithm. Negative infinity at ±0, NaN below.
#[inline(always)]
pub fn log<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    // Subnormals are scaled by 2^23, and n is lowered by as much.
    let (smallest, up) = (l.f32(f32::MIN_POSITIVE), l.f32(8_388_608.0));
    let is_small = l.less(x, smallest);
    let scaled = l.mul(x, up);
    let normal = l.select(is_small, scaled, x);
    let (zero, lowered) = (l.f32(0.0), l.f32(-23.0));
    let offset = l.select(is_small, lowered, zero);
    // x = 2^n m with m from 2/3 to 4/3: m's exponent is found by subtracting the bits of 2/3.
    let two_thirds = l.i32((2.0f32 / 3.0).to_bits() as i32);
    let bits = l.bits(normal);
    let above = l.sub_i32(bits, two_thirds);
    let whole = l.shift(Shift::RightArithmetic, above, MANTISSA_BITS);
    let exponent = l.shift(Shift::Left, whole, MANTISSA_BITS);
    let m = l.sub_i32(bits, exponent);
    let m = l.with_bits(m);
    let n = l.convert(whole);
    let n = l.add(n, offset);
    let (one, minus_half, ln_2) = (l.f32(1.0), l.f32(-0.5), l.f32(LN_2));
    let f = l.sub(m, one);
    let square = l.mul(f, f);
    let p = polynomial(l, f, &LOG);
    let p = l.fma(p, f, minus_half);
    let p = l.fma(square, p, f);
    let y = l.fma(n, ln_2, p);
    let (infinity, minus_infinity) = (l.f32(f32::INFINITY), l.f32(f32::NEG_INFINITY));
    let nan = l.f32(f32::NAN);
    let is_infinite = l.equal(x, infinity);
    let y = l.select(is_infinite, infinity, y);
    let is_zero = l.equal(x, zero);
    let outside = l.select(is_zero, minus_infinity, nan);
    let is_positive = l.less(zero, x);
    l.select(is_positive, y, outside)
}

/// Hyperbolic tangent: `t / (t + 2)` with `t = e^(2|x|) - 1`, and the sign of `x`.
#[inline(always)]
pub fn tanh<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (magnitude, sign) = split_sign(l, x);
    let double = l.add(magnitude, magnitude);
    // From 18.03 on the result is 1.
    let limit = l.f32(20.0);
    let double = l.min(limit, double);
    let (p, bits) = expm1_parts(l, double, EXPONENT_BIAS);
    let (minus_one, two) = (l.f32(-1.0), l.f32(2.0));
    let power = l.shift(Shift::Left, bits, MANTISSA_BITS);
    let power = l.with_bits(power);
    let less_one = l.add(power, minus_one);
    let t = l.fma(p, power, less_one);
    let denominator = l.add(t, two);
    let y = l.div(t, denominator);
    // Near 0 the two roundings above weigh too much: there it is an odd polynomial.
    let square = l.mul(magnitude, magnitude);
    let cube = l.mul(square, magnitude);
    let p = polynomial(l, square, &TANH);
    let near = l.fma(cube, p, magnitude);
    let half = l.f32(0.5);
    let is_near = l.less(magnitude, half);
    let y = l.select(is_near, near, y);
    join_sign(l, y, sign)
}

/// The error function: `1 - e^(a S(a))` with `a = |x|` and a polynomial S, and the sign of `x`.
///
/// The exponential is taken less 1, so that nothing cancels near 0.
#[inline(always)]
pub fn erf<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (magnitude, sign) = split_sign(l, x);
    // From 3.92 on the result is 1.
    let limit = l.f32(4.0);
    let a = l.min(limit, magnitude);
    let s = polynomial(l, a, &ERF);
    let curve = l.mul(a, s);
    let slope = l.f32(ERF_SLOPE);
    let exponent = l.fma(a, slope, curve);
    // The bias is 256 higher, which sets the sign: the factor is -2^n, so that the result is
    // positive, and +0 at 0.
    let (p, bits) = expm1_parts(l, exponent, EXPONENT_BIAS + 256.0);
    let one = l.f32(1.0);
    let power = l.shift(Shift::Left, bits, MANTISSA_BITS);
    let power = l.with_bits(power);
    let rest = l.add(power, one);
    let y = l.fma(p, power, rest);
    join_sign(l, y, sign)
}

/// `(e^r - 1, bits)` where `x = n ln 2 + r` and the low 9 bits of `bits` are `n + bias`.
///
/// `r` is rounded relative to `n`, which costs `e^x - 1` nothing as long as `|n| <= 30`.
#[inline(always)]
fn expm1_parts<L: Lanes>(l: &mut L, x: L::F, bias: f32) -> (L::F, L::I) {
    let (bias, log2_e, ln_2) = (l.f32(ROUND + bias), l.f32(LOG2_E), l.f32(-LN_2));
    let rounded = l.fma(x, log2_e, bias);
    let n = l.sub(rounded, bias);
    let r = l.fma(n, ln_2, x);
    let q = polynomial(l, r, &EXP);
    let p = l.mul(q, r);
    let p = l.fma(p, r, r);
    (p, l.bits(rounded))
}

/// `x * 2^n`, where the low 9 bits of `biased` are `n` plus the exponent bias.
#[inline(always)]
fn scale<L: Lanes + ?Sized>(l: &mut L, x: L::F, biased: L::I) -> L::F {
    let bits = l.shift(Shift::Left, biased, MANTISSA_BITS);
    let power = l.with_bits(bits);
    l.mul(x, power)
}

/// Horner's rule from the highest power down.
#[inline(always)]
pub(super) fn polynomial<L: Lanes>(l: &mut L, x: L::F, coefficients: &[f32]) -> L::F {
    let mut powers = coefficients.iter().rev();
    let highest = *powers.next().expect("a polynomial has a coefficient");
    let mut sum = l.f32(highest);
    for &coefficient in powers {
        let coefficient = l.f32(coefficient);
        sum = l.fma(sum, x, coefficient);
    }
    sum
}

/// `(|x|, sign bit of x)`.
#[inline(always)]
fn split_sign<L: Lanes>(l: &mut L, x: L::F) -> (L::F, L::I) {
    let (magnitude_mask, sign_mask) = (l.i32(i32::MAX), l.i32(i32::MIN));
    let bits = l.bits(x);
    let magnitude = l.and(bits, magnitude_mask);
    let sign = l.and(bits, sign_mask);
    (l.with_bits(magnitude), sign)
}

#[inline(always)]
fn join_sign<L: Lanes>(l: &mut L, magnitude: L::F, sign: L::I) -> L::F {
    let bits = l.bits(magnitude);
    let bits = l.or(bits, sign);
    l.with_bits(bits)
}
