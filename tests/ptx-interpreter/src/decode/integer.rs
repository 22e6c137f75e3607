//! Integer arithmetic, logic and bit fields.

use super::{Decoder, Result};
use crate::inst::{Logic, Op};
use crate::lanes::{Lane, Lanes, Map1, Map2, Map3, by_type, lanes};
use crate::types::{Kind, Type};

/// Evaluates for each of the six integer types of arithmetic.
macro_rules! on_integers {
    ($ty:expr, $T:ident, $body:expr) => {
        by_type!($ty, $T, [U16 U32 U64 S16 S32 S64], $body)
    };
}

/// Half of a product, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Low,
    High,
    Wide,
}

pub fn decode(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    if matches!(name, "mul" | "mad") {
        return multiply(d, name == "mad");
    }
    let saturate = matches!(name, "add" | "sub") && d.take("sat");
    let ty = d.ty()?;
    let unsupported = format!("the type .{} is not supported here", ty.name());
    if matches!(name, "abs" | "neg") {
        let f: Option<Map1> = match name {
            "abs" => by_type!(ty, T, [S16 S32 S64], lanes!(T, T, |a| a.wrapping_abs())),
            _ => by_type!(ty, T, [S16 S32 S64], lanes!(T, T, |a| a.wrapping_neg())),
        };
        let f = f.ok_or_else(|| d.error(unsupported))?;
        return Ok(Op::Map1 {
            f,
            dst: d.dst(ty)?,
            a: d.src(ty)?,
        });
    }
    let f: Option<Map2> = match name {
        "add" if saturate => by_type!(ty, T, [S32], lanes!(T, T, |a, b| a.saturating_add(b))),
        "sub" if saturate => by_type!(ty, T, [S32], lanes!(T, T, |a, b| a.saturating_sub(b))),
        "add" => on_integers!(ty, T, lanes!(T, T, |a, b| a.wrapping_add(b))),
        "sub" => on_integers!(ty, T, lanes!(T, T, |a, b| a.wrapping_sub(b))),
        "min" => on_integers!(ty, T, lanes!(T, T, |a, b| a.min(b))),
        "max" => on_integers!(ty, T, lanes!(T, T, |a, b| a.max(b))),
        // Division by zero gives all ones, as GPUs do.
        "div" => {
            on_integers!(
                ty,
                T,
                lanes!(T, T, |a, b| if b == 0 { !0 } else { a.wrapping_div(b) })
            )
        }
        "rem" => {
            on_integers!(
                ty,
                T,
                lanes!(T, T, |a, b| if b == 0 { a } else { a.wrapping_rem(b) })
            )
        }
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
    let part = d.need_one(&[("lo", Part::Low), ("hi", Part::High), ("wide", Part::Wide)])?;
    let ty = d.ty()?;
    let wide = match (part, ty) {
        (Part::Wide, Type::U16) => Type::U32,
        (Part::Wide, Type::S16) => Type::S32,
        (Part::Wide, Type::U32) => Type::U64,
        (Part::Wide, Type::S32) => Type::S64,
        _ => ty,
    };
    // Products of 64 bits need 128; narrower ones are faster without.
    let f: Option<Map2> = match part {
        Part::Low => on_integers!(ty, T, lanes!(T, T, |a, b| a.wrapping_mul(b))),
        Part::High if ty.bits() == 64 => by_type!(ty, T, [U64 S64], {
            lanes!(T, T, |a, b| ((a as i128).wrapping_mul(b as i128) >> 64) as T)
        }),
        Part::High => by_type!(ty, T, [U16 U32 S16 S32], {
            lanes!(T, T, |a, b| (i64::from(a).wrapping_mul(i64::from(b)) >> T::BITS) as T)
        }),
        Part::Wide => match ty {
            Type::U16 => Some(lanes!(u16, u32, |a, b| u32::from(a) * u32::from(b))),
            Type::S16 => Some(lanes!(i16, i32, |a, b| i32::from(a) * i32::from(b))),
            Type::U32 => Some(lanes!(u32, u64, |a, b| u64::from(a) * u64::from(b))),
            Type::S32 => Some(lanes!(i32, i64, |a, b| i64::from(a) * i64::from(b))),
            _ => None,
        },
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
    let ty = d.ty_of(&[Type::Pred, Type::B16, Type::B32, Type::B64])?;
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
        let f = by_type!(ty, T, [B16 B32 B64], lanes!(T, T, |a| !a));
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

pub fn bits(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    match name {
        "shl" | "shr" => shift(d, name),
        "shf" => funnel_shift(d),
        "lop3" => {
            let ty = d.ty_of(&[Type::B32])?;
            let (dst, a, b, c) = (d.dst(ty)?, d.src(ty)?, d.src(ty)?, d.src(ty)?);
            Ok(Op::Lop3 {
                dst,
                a,
                b,
                c,
                table: d.immediate(0..=255)? as u8,
            })
        }
        "prmt" => {
            let ty = d.ty_of(&[Type::B32])?;
            let f: Map3 = lanes!(u32, u32, |a, b, c| permute(a, b, c));
            Ok(Op::Map3 {
                f,
                dst: d.dst(ty)?,
                a: d.src(ty)?,
                b: d.src(ty)?,
                c: d.src(ty)?,
            })
        }
        "bfe" => {
            let ty = d.ty_of(&[Type::U32, Type::S32, Type::U64, Type::S64])?;
            let f: Map3 = match ty {
                Type::U32 => lanes!(u64, u64, |a, b, c| extract(a, b, c, 32, false)),
                Type::S32 => lanes!(u64, u64, |a, b, c| extract(a, b, c, 32, true)),
                Type::U64 => lanes!(u64, u64, |a, b, c| extract(a, b, c, 64, false)),
                _ => lanes!(u64, u64, |a, b, c| extract(a, b, c, 64, true)),
            };
            let (dst, a) = (d.dst(ty)?, d.src(ty)?);
            Ok(Op::Map3 {
                f,
                dst,
                a,
                b: d.src(Type::U32)?,
                c: d.src(Type::U32)?,
            })
        }
        "bfi" => {
            let ty = d.ty_of(&[Type::B32, Type::B64])?;
            let (dst, a, b) = (d.dst(ty)?, d.src(ty)?, d.src(ty)?);
            let (start, length) = (d.src(Type::U32)?, d.src(Type::U32)?);
            Ok(Op::BitInsert {
                dst,
                a,
                b,
                start,
                length,
                bits: ty.bits(),
            })
        }
        "dp4a" => {
            let a_type = d.ty_of(&[Type::U32, Type::S32])?;
            let b_type = d.ty_of(&[Type::U32, Type::S32])?;
            let signed = [a_type, b_type].map(|ty| ty.kind() == Kind::Signed);
            let f: Map3 = match signed {
                [false, false] => lanes!(u32, u32, |a, b, c| dot4(a, b, c, false, false)),
                [true, false] => lanes!(u32, u32, |a, b, c| dot4(a, b, c, true, false)),
                [false, true] => lanes!(u32, u32, |a, b, c| dot4(a, b, c, false, true)),
                [true, true] => lanes!(u32, u32, |a, b, c| dot4(a, b, c, true, true)),
            };
            let ty = Type::B32;
            Ok(Op::Map3 {
                f,
                dst: d.dst(ty)?,
                a: d.src(ty)?,
                b: d.src(ty)?,
                c: d.src(ty)?,
            })
        }
        _ => {
            let ty = d.ty_of(&[Type::B32, Type::B64])?;
            let f: Option<Map1> = match name {
                "popc" => by_type!(ty, T, [B32 B64], lanes!(T, u32, |a| a.count_ones())),
                "clz" => by_type!(ty, T, [B32 B64], lanes!(T, u32, |a| a.leading_zeros())),
                _ => by_type!(ty, T, [B32 B64], lanes!(T, T, |a| a.reverse_bits())),
            };
            let f = f.expect("only these types are allowed");
            let result = if name == "brev" { ty } else { Type::U32 };
            Ok(Op::Map1 {
                f,
                dst: d.dst(result)?,
                a: d.src(ty)?,
            })
        }
    }
}

/// Shift counts of the width and above shift everything out.
fn shift(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    let ty = d.ty()?;
    let unsupported = format!("the type .{} is not supported here", ty.name());
    let f: Option<Map2> = if name == "shl" {
        by_type!(ty, T, [B16 B32 B64], {
            lanes!(u64, u64, |a, b| {
                if b as u32 >= T::BITS { 0 } else { (T::get(a) << b as u32).bits() }
            })
        })
    } else {
        by_type!(ty, T, [B16 B32 B64 U16 U32 U64 S16 S32 S64], {
            lanes!(u64, u64, |a, b| {
                let rest = T::get(a) >> (b as u32).min(T::BITS - 1);
                if b as u32 >= T::BITS { (rest >> (T::BITS - 1)).bits() } else { rest.bits() }
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

fn funnel_shift(d: &mut Decoder<'_, '_>) -> Result<Op> {
    let left = d.need_one(&[("l", true), ("r", false)])?;
    let wrap = d.need_one(&[("wrap", true), ("clamp", false)])?;
    let ty = d.ty_of(&[Type::B32])?;
    let f: Map3 = match (left, wrap) {
        (true, true) => lanes!(u64, u64, |a, b, c| ((b << 32 | a) << (c & 31)) >> 32),
        (true, false) => lanes!(u64, u64, |a, b, c| ((b << 32 | a) << c.min(32)) >> 32),
        (false, true) => lanes!(u64, u64, |a, b, c| (b << 32 | a) >> (c & 31) & 0xffff_ffff),
        (false, false) => lanes!(u64, u64, |a, b, c| (b << 32 | a) >> c.min(32) & 0xffff_ffff),
    };
    let (dst, a, b) = (d.dst(ty)?, d.src(ty)?, d.src(ty)?);
    Ok(Op::Map3 {
        f,
        dst,
        a,
        b,
        c: d.src(Type::U32)?,
    })
}

/// prmt in its default mode: each selector takes one of eight bytes, or copies of its sign.
fn permute(a: u32, b: u32, selectors: u32) -> u32 {
    let bytes = u64::from(b) << 32 | u64::from(a);
    (0..4).fold(0, |result, i| {
        let selector = selectors >> (4 * i) & 15;
        let byte = (bytes >> (8 * (selector & 7))) as u8;
        let sign = if byte >= 0x80 { 0xff } else { 0 };
        let byte = if selector & 8 != 0 { sign } else { byte };
        result | u32::from(byte) << (8 * i)
    })
}

/// bfe: a field of up to `width` bits; a sign is copied upwards.
fn extract(value: u64, start: u64, length: u64, width: u64, signed: bool) -> u64 {
    let (start, length) = (start & 0xff, length & 0xff);
    let sign = if signed && length > 0 {
        value >> (start + length - 1).min(width - 1) & 1
    } else {
        0
    };
    (0..width).fold(0, |result, i| {
        let inside = i < length && start + i < width;
        result
            | (if inside {
                value >> (start + i) & 1
            } else {
                sign
            }) << i
    })
}

fn dot4(a: u32, b: u32, c: u32, a_signed: bool, b_signed: bool) -> u32 {
    let byte = |word: u32, i: u32, signed: bool| {
        let byte = (word >> (8 * i)) as u8;
        if signed {
            i32::from(byte as i8)
        } else {
            i32::from(byte)
        }
    };
    (0..4).fold(c, |sum, i| {
        sum.wrapping_add((byte(a, i, a_signed) * byte(b, i, b_signed)) as u32)
    })
}
