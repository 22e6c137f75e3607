//! Integer arithmetic, logic and bit fields.

use super::{Decoder, Result};
use crate::inst::{Logic, Op};
use crate::lanes::{Lane, Lanes, Map1, Map2, Map3, by_type, lanes};
use crate::types::Type;

/// Evaluates for each of the four integer types of arithmetic.
macro_rules! on_integers {
    ($ty:expr, $T:ident, $body:expr) => {
        by_type!($ty, $T, [U32 U64 S32 S64], $body)
    };
}

pub fn decode(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    if matches!(name, "mul" | "mad") {
        return multiply(d, name == "mad");
    }
    let ty = d.ty()?;
    let unsupported = format!("the type .{} is not supported here", ty.name());
    if matches!(name, "abs" | "neg") {
        let f: Option<Map1> = match name {
            "abs" => by_type!(ty, T, [S32 S64], lanes!(T, T, |a| a.wrapping_abs())),
            _ => by_type!(ty, T, [S32 S64], lanes!(T, T, |a| a.wrapping_neg())),
        };
        let f = f.ok_or_else(|| d.error(unsupported))?;
        return Ok(Op::Map1 {
            f,
            dst: d.dst(ty)?,
            a: d.src(ty)?,
        });
    }
    let f: Option<Map2> = match (name, ty) {
        ("add", _) => on_integers!(ty, T, lanes!(T, T, |a, b| a.wrapping_add(b))),
        ("sub", _) => on_integers!(ty, T, lanes!(T, T, |a, b| a.wrapping_sub(b))),
        ("min", _) => on_integers!(ty, T, lanes!(T, T, |a, b| a.min(b))),
        ("max", _) => on_integers!(ty, T, lanes!(T, T, |a, b| a.max(b))),
        // Division by zero gives all ones, as GPUs do.
        ("div", Type::U32) => Some(lanes!(u32, u32, |a, b| a
            .checked_div(b)
            .unwrap_or(u32::MAX))),
        ("rem", Type::U32) => Some(lanes!(u32, u32, |a, b| a.checked_rem(b).unwrap_or(a))),
        _ => None,
    };
    let f = f.ok_or_else(|| d.error(unsupported))?;
    Ok(Op::Map2 {
        f,
        dst: d.dst(ty)?,
        a: d.src(ty)?,
        b: d.src(ty)?,
    })
}

fn multiply(d: &mut Decoder<'_, '_>, add: bool) -> Result<Op> {
    let is_wide = d.need_one(&[("lo", false), ("wide", true)])?;
    let ty = d.ty()?;
    let (f, wide): (Option<Map2>, Type) = match (is_wide, ty) {
        (false, _) => (
            on_integers!(ty, T, lanes!(T, T, |a, b| a.wrapping_mul(b))),
            ty,
        ),
        (true, Type::U32) => {
            let f: Map2 = lanes!(u32, u64, |a, b| u64::from(a) * u64::from(b));
            (Some(f), Type::U64)
        }
        (true, Type::S32) => {
            let f: Map2 = lanes!(i32, i64, |a, b| i64::from(a) * i64::from(b));
            (Some(f), Type::S64)
        }
        _ => (None, ty),
    };
    let unsupported = format!("the type .{} is not supported here", ty.name());
    let f = f.ok_or_else(|| d.error(unsupported))?;
    let (dst, a, b) = (d.dst(wide)?, d.src(ty)?, d.src(ty)?);
    if !add {
        return Ok(Op::Map2 { f, dst, a, b });
    }
    let sum = on_integers!(wide, T, lanes!(T, T, |a, b| a.wrapping_add(b)));
    let sum = sum.expect("a product's type is an integer");
    Ok(Op::MulAdd {
        product: f,
        sum,
        dst,
        a,
        b,
        c: d.src(wide)?,
    })
}

pub fn logic(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    let ty = d.ty_of(&[Type::Pred, Type::B32, Type::B64])?;
    let logic = match name {
        "and" => Logic::And,
        "or" => Logic::Or,
        _ => Logic::Xor,
    };
    if ty == Type::Pred {
        let (dst, mut a) = (d.pred_dst()?, d.pred_src()?);
        if name == "not" {
            a.negated = !a.negated;
            return Ok(Op::PredMove { dst, a });
        }
        return Ok(Op::PredLogic {
            logic,
            dst,
            a,
            b: d.pred_src()?,
        });
    }
    if name == "not" {
        let f = by_type!(ty, T, [B32 B64], lanes!(T, T, |a| !a));
        let f = f.expect("only these types are allowed");
        return Ok(Op::Map1 {
            f,
            dst: d.dst(ty)?,
            a: d.src(ty)?,
        });
    }
    let f: Map2 = match logic {
        Logic::And => lanes!(u64, u64, |a, b| a & b),
        Logic::Or => lanes!(u64, u64, |a, b| a | b),
        Logic::Xor => lanes!(u64, u64, |a, b| a ^ b),
    };
    Ok(Op::Map2 {
        f,
        dst: d.dst(ty)?,
        a: d.src(ty)?,
        b: d.src(ty)?,
    })
}

/// Shift counts of the width and above shift everything out.
pub fn shift(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    let ty = d.ty()?;
    let unsupported = format!("the type .{} is not supported here", ty.name());
    let f: Option<Map2> = if name == "shl" {
        by_type!(ty, T, [B32 B64], {
            lanes!(u64, u64, |a, b| {
                if b as u32 >= T::BITS { 0 } else { (T::get(a) << b as u32).bits() }
            })
        })
    } else {
        on_integers!(ty, T, {
            lanes!(u64, u64, |a, b| {
                let rest = T::get(a) >> (b as u32).min(T::BITS - 1);
                if b as u32 >= T::BITS {
                    (rest >> (T::BITS - 1)).bits()
                } else {
                    rest.bits()
                }
            })
        })
    };
    let f = f.ok_or_else(|| d.error(unsupported))?;
    Ok(Op::Map2 {
        f,
        dst: d.dst(ty)?,
        a: d.src(ty)?,
        b: d.src(Type::U32)?,
    })
}

/// bfe: a field of bits.
pub fn extract(d: &mut Decoder<'_, '_>) -> Result<Op> {
    let ty = d.ty_of(&[Type::U32])?;
    let f: Map3 = lanes!(u32, u32, |a, start, length| {
        let (start, length) = (start & 0xff, length & 0xff);
        let mask = u32::MAX
            .checked_shr(32u32.saturating_sub(length))
            .unwrap_or(0);
        a.checked_shr(start).unwrap_or(0) & mask
    });
    Ok(Op::Map3 {
        f,
        dst: d.dst(ty)?,
        a: d.src(ty)?,
        b: d.src(ty)?,
        c: d.src(ty)?,
    })
}
