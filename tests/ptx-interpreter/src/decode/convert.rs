//! cvt.

use super::moves::COPY;
use super::{Decoder, Result};
use crate::inst::{Cvt, Op};
use crate::lanes::{Lane, Lanes, Map1, by_type, lanes};
use crate::parse::Operand;
use crate::round::Rounding;
use crate::types::{Kind, Type};

pub fn cvt(d: &mut Decoder<'_, '_>) -> Result<Op> {
    let integral = d.take_one(&[
        ("rni", Rounding::Even),
        ("rzi", Rounding::Zero),
        ("rmi", Rounding::Minus),
        ("rpi", Rounding::Plus),
    ]);
    let rounding = d.take_one(&[
        ("rn", Rounding::Even),
        ("rna", Rounding::Away),
        ("rz", Rounding::Zero),
        ("rm", Rounding::Minus),
        ("rp", Rounding::Plus),
    ]);
    let pair = d.take_one(&[("bf16x2", Type::Bf16), ("f16x2", Type::F16)]);
    if let Some(to) = pair {
        d.need("f32")?;
        let relu = d.take("relu");
        let rounding = rounding.filter(|way| matches!(way, Rounding::Even | Rounding::Zero));
        let rounding = rounding.ok_or_else(|| d.error("`.rn` or `.rz` is needed"))?;
        let (dst, a, b) = (d.dst(Type::B32)?, d.src(Type::F32)?, d.src(Type::F32)?);
        return Ok(Op::ConvertPair {
            to,
            rounding,
            relu,
            dst,
            a,
            b,
        });
    }
    if d.take("tf32") {
        d.need("f32")?;
        if rounding != Some(Rounding::Away) {
            return Err(d.error("`.rna` is needed"));
        }
        let f: Map1 = lanes!(u32, u32, |a| to_tf32(a));
        return Ok(Op::Map1 {
            f,
            dst: d.dst(Type::B32)?,
            a: d.src(Type::F32)?,
        });
    }
    let flush = d.take("ftz");
    let saturate = d.take("sat");
    let (to, from) = (d.ty()?, d.ty()?);
    if to == Type::Pred || from == Type::Pred || rounding == Some(Rounding::Away) {
        return Err(d.error("there is no such conversion"));
    }
    if to.kind() == Kind::Bits || from.kind() == Kind::Bits {
        return Err(d.error("a conversion needs types with a meaning, not .b"));
    }
    let to_float = to.kind() == Kind::Float;
    let from_float = from.kind() == Kind::Float;
    let narrows = to_float && (!from_float || to.bits() < from.bits());
    let narrows = narrows || (to.bits() == from.bits() && to != from && to_float && from_float);
    let whole = from_float && !to_float;
    let may_round = from_float && to == from;
    if rounding.is_some() != narrows {
        let message = if narrows {
            "a rounding such as `.rn` is needed"
        } else {
            "nothing is rounded here"
        };
        return Err(d.error(message));
    }
    if integral.is_some() != whole && !(may_round && integral.is_some()) {
        let message = if whole {
            "a rounding such as `.rzi` is needed"
        } else {
            "nothing is rounded here"
        };
        return Err(d.error(message));
    }
    if flush && to != Type::F32 && from != Type::F32 {
        return Err(d.error("`.ftz` is for .f32"));
    }
    let (dst_operand, dst_at) = d.operand()?;
    let dst = d.dst_of(dst_operand, dst_at, |found| to.accepts_wider(found), to)?;
    let register_bits = match dst_operand {
        Operand::Name(name) => d.context.register(name, dst_at)?.ty.bits(),
        _ => to.bits(),
    };
    let (src_operand, src_at) = d.operand()?;
    let a = match src_operand {
        Operand::Name(_) => {
            d.dst_of(src_operand, src_at, |found| from.accepts_wider(found), from)?
        }
        _ => d.src_of(src_operand, src_at, from)?,
    };
    let simple = !saturate && !flush && register_bits == to.bits();
    if let Some(f) = plain(to, from, integral.or(rounding)).filter(|_| simple) {
        return Ok(Op::Map1 { f, dst, a });
    }
    let rounding = integral.or(rounding).unwrap_or(Rounding::Even);
    let integral = integral.is_some();
    let cvt = Cvt {
        to,
        from,
        rounding,
        integral,
        saturate,
        flush,
        register_bits,
    };
    Ok(Op::Convert { cvt, dst, a })
}

/// Conversions that Rust's `as` does.
fn plain(to: Type, from: Type, rounding: Option<Rounding>) -> Option<Map1> {
    if to == from && rounding.is_none() && from.kind() != Kind::Float && from.bits() >= 32 {
        return Some(COPY);
    }
    match (from.kind(), to.kind()) {
        (Kind::Float, Kind::Float) => match (from, to) {
            (Type::F32, Type::F64) => Some(lanes!(f32, f64, |a| f64::from(a))),
            (Type::F64, Type::F32) if rounding == Some(Rounding::Even) => {
                Some(lanes!(f64, f32, |a| a as f32))
            }
            _ => None,
        },
        (Kind::Float, _) => match (from, to) {
            (Type::F32, Type::S32) if rounding == Some(Rounding::Zero) => {
                Some(lanes!(f32, i32, |a| a as i32))
            }
            (Type::F32, Type::U32) if rounding == Some(Rounding::Zero) => {
                Some(lanes!(f32, u32, |a| a as u32))
            }
            _ => None,
        },
        (_, Kind::Float) if rounding == Some(Rounding::Even) => {
            by_type!(from, F, [U32 U64 S32 S64], {
                by_type!(to, T, [F32 F64], lanes!(F, T, |a| a as T))
            })?
        }
        (_, Kind::Float) => None,
        _ => by_type!(from, F, [U16 U32 U64 S16 S32 S64], {
            by_type!(to, T, [U16 U32 U64 S16 S32 S64], lanes!(F, T, |a| a as T))
        })?,
    }
}

/// To nearest with 10 bits of fraction, ties away from zero.
fn to_tf32(bits: u32) -> u32 {
    if bits & 0x7f80_0000 == 0x7f80_0000 {
        return if bits & 0x007f_ffff == 0 {
            bits
        } else {
            0x7fff_ffff
        };
    }
    (bits + 0x1000) & !0x1fff
}
