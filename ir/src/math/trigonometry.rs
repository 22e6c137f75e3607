//! Sine and cosine, over [`Lanes`].
//!
//! `x = n pi / 2 + r` with `n` whole and `|r|` at most a little over `pi / 4`; n modulo 4 says
//! whether the result is the polynomial of sine or that of cosine at r, and its sign.

use super::functions::polynomial;
use super::lanes::{Lanes, Named, Shift};

/// 1.5 * 2^23: the spacing of `f32` here is 1.
const ROUND: f32 = 12_582_912.0;
/// `pi / 2` in three parts, the sum of which is off by less than 2^-76.
const HALF_PI: [f32; 3] = [std::f32::consts::FRAC_PI_2, -4.371_139e-8, -1.715_124_5e-15];
/// The largest angle of which sine and cosine are computed: beyond, the three parts of pi / 2 are
/// too few. An `f32` this large is a multiple of 1/8 radian, and what it was rounded from may lie
/// anywhere in 1/8.
pub const LARGEST_ANGLE: f32 = 1_048_576.0;

/// `(sin(r) - r) / r^3` in powers of `r^2`, for `|r| <= pi / 4`.
const SIN: [f32; 3] = [-0.166_666_55, 0.008_332_161, -0.000_195_152_96];
/// `(cos(r) - 1 + r^2 / 2) / r^4` in powers of `r^2`, for `|r| <= pi / 4`.
const COS: [f32; 3] = [0.041_666_646, -0.001_388_731_6, 0.000_024_433_157];

/// Sine of an angle in radians, up to [`LARGEST_ANGLE`] in size; NaN beyond.
#[inline(always)]
pub fn sin<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    // By size, so that -0 stays what it is.
    let (size_mask, sign_mask) = (l.i32(i32::MAX), l.i32(i32::MIN));
    let bits = l.bits(x);
    let sign = l.and(bits, sign_mask);
    let size = l.and(bits, size_mask);
    let size = l.with_bits(size);
    let y = quarter_turned(l, size, 0);
    let bits = l.bits(y);
    let turned = l.add_i32(bits, sign);
    let y = l.with_bits(turned);
    within_range(l, size, y)
}

/// Cosine of an angle in radians, up to [`LARGEST_ANGLE`] in size; NaN beyond.
#[inline(always)]
pub fn cos<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let size_mask = l.i32(i32::MAX);
    let bits = l.bits(x);
    let size = l.and(bits, size_mask);
    let size = l.with_bits(size);
    let y = quarter_turned(l, size, 1);
    within_range(l, size, y)
}

/// `sin(x + quarters pi / 2)` of an x that is not negative.
#[inline(always)]
fn quarter_turned<L: Lanes>(l: &mut L, x: L::F, quarters: i32) -> L::F {
    let (round, per_quarter) = (l.f32(ROUND), l.f32(std::f32::consts::FRAC_2_PI));
    let rounded = l.fma(x, per_quarter, round);
    let n = l.sub(rounded, round);
    let [high, middle, low] = HALF_PI.map(|part| l.f32(-part));
    // Exact: x and n times the first part are multiples of one power of two, and close.
    let r = l.fma(n, high, x);
    // What the second product and its sum lose is added with the third (Knuth's two-sum).
    let product = l.mul(n, middle);
    let near = l.add(r, product);
    let added = l.sub(near, r);
    let kept = l.sub(near, added);
    let [lost_r, lost_product] = [l.sub(r, kept), l.sub(product, added)];
    let lost = l.add(lost_r, lost_product);
    let minus_one = l.f32(-1.0);
    let minus = l.mul(product, minus_one);
    let of_product = l.fma(n, middle, minus);
    let lost = l.add(lost, of_product);
    let lost = l.fma(n, low, lost);
    let r = l.add(near, lost);

    let square = l.mul(r, r);
    let p = polynomial(l, square, &SIN);
    let cube = l.mul(square, r);
    let sine = l.fma(cube, p, r);
    let p = polynomial(l, square, &COS);
    let (one, minus_half) = (l.f32(1.0), l.f32(-0.5));
    let p = l.fma(p, square, minus_half);
    let cosine = l.fma(p, square, one);

    // The low bits of the rounded number are n, and those of the magic number are 0.
    let bits = l.bits(rounded);
    let quarters = l.i32(quarters);
    let turn = l.add_i32(bits, quarters);
    let (lowest, second) = (l.i32(1), l.i32(2));
    let odd = l.and(turn, lowest);
    let odd = l.convert(odd);
    let is_odd = l.equal(odd, one);
    let y = l.select(is_odd, cosine, sine);
    // Two quarters turn the sign: added to the sign bit, whose carry is lost.
    let half_turn = l.and(turn, second);
    let sign = l.shift(Shift::Left, half_turn, 30);
    let bits = l.bits(y);
    let bits = l.add_i32(bits, sign);
    l.with_bits(bits)
}

/// `y` if the angle is in range, else NaN.
#[inline(always)]
fn within_range<L: Lanes>(l: &mut L, size: L::F, y: L::F) -> L::F {
    let (beyond, nan) = (l.f32(LARGEST_ANGLE.next_up()), l.f32(f32::NAN));
    let is_within = l.less(size, beyond);
    l.select(is_within, y, nan)
}
