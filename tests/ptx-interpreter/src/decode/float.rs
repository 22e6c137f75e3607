//! Arithmetic of floating-point numbers.

use super::{Decoder, Result};
use crate::inst::Op;
use crate::lanes::{Lane, Lanes, Map1, Map2, Map3, lanes};
use crate::types::Type;

pub fn decode(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    let ty = d.ty_of(&[Type::F32])?;
    match name {
        "ex2" => {
            d.need("approx")?;
            d.need("ftz")?;
            return Ok(Op::Exp2 {
                dst: d.dst(ty)?,
                a: d.src(ty)?,
            });
        }
        "min" | "max" => {
            let f = extremum(name == "min", d.take("NaN"));
            return binary(d, f);
        }
        "abs" => return unary(d, lanes!(u32, u32, |a| a & !(1 << 31))),
        "neg" => return unary(d, lanes!(u32, u32, |a| a ^ (1 << 31))),
        "mad" | "rem" => return Err(d.error("there is no such instruction; write fma.rn")),
        _ => {}
    }
    if !d.take("rn") {
        return Err(d.error("`.rn` is needed: without it ptxas may fuse a product with a sum"));
    }
    match name {
        "add" => binary(d, lanes!(f32, f32, |a, b| a + b)),
        "sub" => binary(d, lanes!(f32, f32, |a, b| a - b)),
        "mul" => binary(d, lanes!(f32, f32, |a, b| a * b)),
        "div" => binary(d, lanes!(f32, f32, |a, b| a / b)),
        "sqrt" => unary(d, lanes!(f32, f32, |a| a.sqrt())),
        "rcp" => unary(d, lanes!(f32, f32, |a| 1.0 / a)),
        _ => {
            let f: Map3 = lanes!(f32, f32, |a, b, c| fused(a, b, c));
            Ok(Op::Map3 {
                f,
                dst: d.dst(ty)?,
                a: d.src(ty)?,
                b: d.src(ty)?,
                c: d.src(ty)?,
            })
        }
    }
}

fn unary(d: &mut Decoder<'_, '_>, f: Map1) -> Result<Op> {
    Ok(Op::Map1 {
        f,
        dst: d.dst(Type::F32)?,
        a: d.src(Type::F32)?,
    })
}

fn binary(d: &mut Decoder<'_, '_>, f: Map2) -> Result<Op> {
    Ok(Op::Map2 {
        f,
        dst: d.dst(Type::F32)?,
        a: d.src(Type::F32)?,
        b: d.src(Type::F32)?,
    })
}

fn extremum(least: bool, propagate: bool) -> Map2 {
    match (least, propagate) {
        (true, false) => lanes!(f32, f32, |a, b| minimum(a, b)),
        (false, false) => lanes!(f32, f32, |a, b| -minimum(-a, -b)),
        (true, true) => lanes!(f32, f32, |a, b| nan_or(a, b, minimum(a, b))),
        (false, true) => lanes!(f32, f32, |a, b| nan_or(a, b, -minimum(-a, -b))),
    }
}

/// The lesser number; minus zero is less than zero, and a number is taken before a NaN.
fn minimum(a: f32, b: f32) -> f32 {
    if a.is_nan() || b < a || (a == b && b.is_sign_negative()) {
        b
    } else {
        a
    }
}

fn nan_or(a: f32, b: f32, result: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        f32::NAN
    } else {
        result
    }
}

/// a * b + c, rounded once. `f32::mul_add` would be a call per lane where the compiler may not
/// assume an FMA unit; this is straight code.
///
/// The product is exact in f64. The sum is rounded to odd, from its error by TwoSum, and then
/// rounding it once more to f32 is as good as rounding once (Boldo, Melquiond: Emulation of a FMA
/// and correctly rounded sums).
#[inline]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    let part = sum - product;
    let error = (product - (sum - part)) + (c - part);
    // Infinite and undefined sums have an undefined error.
    let inexact = error.abs() > 0.0;
    let bits = sum.to_bits();
    let step = if (error > 0.0) == (sum > 0.0) {
        1
    } else {
        u64::MAX
    };
    let odd = if inexact & (bits & 1 == 0) {
        bits.wrapping_add(step)
    } else {
        bits
    };
    f64::from_bits(odd) as f32
}

#[cfg(test)]
mod tests {
    use super::fused;

    #[test]
    fn a_fused_sum_is_rounded_once() {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            let bits = (state >> 32) as u32;
            // Half of them near one another, so that sums cancel and round to halves.
            let near = bits & 0x807f_ffff | (120 + (bits >> 23 & 15)) << 23;
            f32::from_bits(if state & 0x8000_0000 == 0 { near } else { bits })
        };
        let special = [
            0.0,
            -0.0,
            1.0,
            f32::INFINITY,
            -f32::INFINITY,
            f32::NAN,
            1e-45,
            f32::MAX,
        ];
        for i in 0..3_000_000 {
            let (mut a, mut b, mut c) = (next(), next(), next());
            match i % 16 {
                0 => a = special[i / 16 % 8],
                1 => b = special[i / 16 % 8],
                2 => c = special[i / 16 % 8],
                3 => c = -(a * b),
                4 => c = a * b * 2f32.powi(24) * 1.5,
                5 => (a, b) = (a * 1e-20, b * 1e-20),
                // Just below half a unit of c: rounding twice would make it a tie.
                6 => {
                    c = f32::from_bits(0x4b80_0000 | c.to_bits() & 0x7f_ffff);
                    (a, b) = (1.0 + f32::EPSILON, 1.0 - f32::EPSILON);
                }
                _ => {}
            }
            let (found, wanted) = (fused(a, b, c), a.mul_add(b, c));
            let same = found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan());
            assert!(same, "{a:e} * {b:e} + {c:e}: {found:e}, not {wanted:e}");
        }
    }
}
