//! Arithmetic of floating-point numbers.

use super::{Decoder, Result};
use crate::inst::{Approx, Op};
use crate::lanes::{Lane, Lanes, Map1, Map2, Map3, flush, lanes, saturate};
use crate::types::Type;

/// An f32 function in its four forms: plain, .ftz, .sat, both.
macro_rules! single {
    ($modes:expr, |$($x:ident),+| $body:expr) => {
        match ($modes.flush, $modes.saturate) {
            (false, false) => lanes!(f32, f32, |$($x),+| $body),
            (true, false) => lanes!(f32, f32, |$($x),+| {
                let ($($x,)+) = ($(flush($x),)+);
                flush($body)
            }),
            (false, true) => lanes!(f32, f32, |$($x),+| saturate($body)),
            (true, true) => lanes!(f32, f32, |$($x),+| {
                let ($($x,)+) = ($(flush($x),)+);
                saturate(flush($body))
            }),
        }
    };
}

struct Modes {
    flush: bool,
    saturate: bool,
}

pub fn decode(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    let modes = Modes {
        flush: d.take("ftz"),
        saturate: d.take("sat"),
    };
    let ty = d.ty_of(&[Type::F32, Type::F64])?;
    if ty == Type::F64 && (modes.flush || modes.saturate) {
        return Err(d.error("`.ftz` and `.sat` are for .f32"));
    }
    let double = ty == Type::F64;
    if matches!(name, "add" | "sub" | "mul" | "fma") {
        if !d.take("rn") {
            return Err(d.error("`.rn` is needed: without it ptxas may fuse a product with a sum"));
        }
        return Ok(match name {
            "fma" => {
                let f: Map3 = if double {
                    lanes!(f64, f64, |a, b, c| a.mul_add(b, c))
                } else {
                    single!(modes, |a, b, c| fused(a, b, c))
                };
                Op::Map3 {
                    f,
                    dst: d.dst(ty)?,
                    a: d.src(ty)?,
                    b: d.src(ty)?,
                    c: d.src(ty)?,
                }
            }
            _ => {
                let f: Map2 = match (name, double) {
                    ("add", true) => lanes!(f64, f64, |a, b| a + b),
                    ("sub", true) => lanes!(f64, f64, |a, b| a - b),
                    (_, true) => lanes!(f64, f64, |a, b| a * b),
                    ("add", false) => single!(modes, |a, b| a + b),
                    ("sub", false) => single!(modes, |a, b| a - b),
                    (_, false) => single!(modes, |a, b| a * b),
                };
                binary(d, ty, f)?
            }
        });
    }
    if modes.saturate {
        return Err(d.error("`.sat` is not supported here"));
    }
    match name {
        "min" | "max" => extremum(d, name == "min", ty, &modes),
        "abs" | "neg" => {
            let f: Map1 = match (name, double, modes.flush) {
                ("abs", true, _) => lanes!(u64, u64, |a| a & !(1 << 63)),
                ("neg", true, _) => lanes!(u64, u64, |a| a ^ (1 << 63)),
                ("abs", false, false) => lanes!(u32, u32, |a| a & !(1 << 31)),
                (_, false, false) => lanes!(u32, u32, |a| a ^ (1 << 31)),
                ("abs", false, true) => lanes!(f32, f32, |a| flush(a).abs()),
                _ => lanes!(f32, f32, |a| -flush(a)),
            };
            unary(d, ty, f)
        }
        "div" | "sqrt" | "rcp" if d.take("rn") => exact(d, name, ty, &modes),
        "mad" | "rem" => Err(d.error("there is no such instruction; write fma.rn")),
        _ => approximate(d, name, ty, &modes),
    }
}

fn unary(d: &mut Decoder<'_, '_>, ty: Type, f: Map1) -> Result<Op> {
    Ok(Op::Map1 {
        f,
        dst: d.dst(ty)?,
        a: d.src(ty)?,
    })
}

fn binary(d: &mut Decoder<'_, '_>, ty: Type, f: Map2) -> Result<Op> {
    Ok(Op::Map2 {
        f,
        dst: d.dst(ty)?,
        a: d.src(ty)?,
        b: d.src(ty)?,
    })
}

/// Division, square root and reciprocal as IEEE 754 defines them.
fn exact(d: &mut Decoder<'_, '_>, name: &str, ty: Type, modes: &Modes) -> Result<Op> {
    match (name, ty) {
        ("div", Type::F64) => binary(d, ty, lanes!(f64, f64, |a, b| a / b)),
        ("div", _) => binary(d, ty, single!(modes, |a, b| a / b)),
        ("sqrt", Type::F64) => unary(d, ty, lanes!(f64, f64, |a| a.sqrt())),
        ("sqrt", _) => unary(d, ty, single!(modes, |a| a.sqrt())),
        (_, Type::F64) => unary(d, ty, lanes!(f64, f64, |a| 1.0 / a)),
        _ => unary(d, ty, single!(modes, |a| 1.0 / a)),
    }
}

fn approximate(d: &mut Decoder<'_, '_>, name: &str, ty: Type, modes: &Modes) -> Result<Op> {
    let full = name == "div" && d.take("full");
    if !full && !d.take("approx") {
        return Err(d.error("`.approx`, or `.rn` where it exists, is needed"));
    }
    if ty != Type::F32 {
        return Err(d.error("approximations are for .f32"));
    }
    let op = match name {
        "div" => Approx::Divide,
        "sqrt" => Approx::Sqrt,
        "rcp" => Approx::Reciprocal,
        "rsqrt" => Approx::ReciprocalSqrt,
        "ex2" => Approx::Exp2,
        "lg2" => Approx::Log2,
        "tanh" if modes.flush => return Err(d.error("`.ftz` is not supported here")),
        "tanh" => Approx::Tanh,
        "sin" => Approx::Sin,
        _ => Approx::Cos,
    };
    let (dst, a) = (d.dst(ty)?, d.src(ty)?);
    let b = if op == Approx::Divide { d.src(ty)? } else { a };
    Ok(Op::Approx {
        op,
        dst,
        a,
        b,
        flush: modes.flush,
    })
}

fn extremum(d: &mut Decoder<'_, '_>, least: bool, ty: Type, modes: &Modes) -> Result<Op> {
    let propagate = d.take("NaN");
    let f: Map2 = match (ty, least, propagate) {
        (Type::F64, _, true) => return Err(d.error("`.NaN` is for .f32")),
        (Type::F64, true, _) => lanes!(f64, f64, |a, b| minimum(a, b)),
        (Type::F64, false, _) => lanes!(f64, f64, |a, b| -minimum(-a, -b)),
        (_, true, false) => single!(modes, |a, b| minimum(a.into(), b.into()) as f32),
        (_, false, false) => single!(modes, |a, b| -minimum(-f64::from(a), -f64::from(b)) as f32),
        (_, true, true) => single!(modes, |a, b| nan_or(
            a,
            b,
            minimum(a.into(), b.into()) as f32
        )),
        (_, false, true) => {
            single!(modes, |a, b| nan_or(
                a,
                b,
                -minimum(-f64::from(a), -f64::from(b)) as f32
            ))
        }
    };
    binary(d, ty, f)
}

/// The lesser number; minus zero is less than zero, and a number is taken before a NaN.
fn minimum(a: f64, b: f64) -> f64 {
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
