//! Arithmetic of floating-point numbers.

use super::{Decoder, Result};
use crate::ptx::inst::{Approx, Op};
use crate::ptx::lanes::{Lane, Lanes, Map1, Map2, Map3, flush, lanes, saturate};
use crate::ptx::types::Type;

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
                    single!(modes, |a, b, c| a.mul_add(b, c))
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
