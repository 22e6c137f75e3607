//! mov, cvta, selp, slct.

use super::{Decoder, Result};
use crate::exec::{LOCAL_WINDOW, SHARED_WINDOW};
use crate::inst::{Op, PredReg, Reg, Special};
use crate::lanes::{Lane, Lanes, Map1, Map3, lanes};
use crate::parse::{Operand, Position};
use crate::types::{Kind, Space, Type};

pub(super) const COPY: Map1 = lanes!(u64, u64, |a| a);

pub fn mov(d: &mut Decoder<'_, '_>) -> Result<Op> {
    let ty = d.ty()?;
    if ty == Type::Pred {
        return pred_mov(d);
    }
    if ty.bits() == 8 || matches!(ty, Type::F16 | Type::Bf16) {
        return Err(d.error(format!("the type .{} is not supported here", ty.name())));
    }
    if let Some((Operand::Vector(parts), _)) = d.statement.operands.first() {
        return unpack(d, ty, parts);
    }
    let dst = d.dst(ty)?;
    let (operand, position) = d.operand()?;
    match operand {
        Operand::Vector(parts) => {
            let part = part_type(d, ty, parts.len())?;
            let parts = parts
                .iter()
                .map(|(part_operand, at)| d.src_of(part_operand, *at, part));
            let parts = parts.collect::<Result<Vec<Reg>>>()?;
            Ok(Op::Pack {
                dst,
                parts,
                bits: part.bits(),
            })
        }
        Operand::Name(name) if name.starts_with('%') && special(name).is_some() => {
            let special = special(name).expect("it was just found");
            if ty.bits() != 32 || ty.kind() == Kind::Float {
                return Err(position.error(format!("`{name}` has 32 bits")));
            }
            Ok(Op::ReadSpecial { special, dst })
        }
        Operand::Name(name) if d.context.find_register(name).is_none() => {
            symbol(d, name, 0, ty, dst, position)
        }
        Operand::Sum(name, offset) => symbol(d, name, *offset, ty, dst, position),
        _ => Ok(Op::Map1 {
            f: COPY,
            dst,
            a: d.src_of(operand, position, ty)?,
        }),
    }
}

fn symbol(
    d: &mut Decoder<'_, '_>,
    name: &str,
    offset: i64,
    ty: Type,
    dst: Reg,
    position: Position,
) -> Result<Op> {
    let symbol = d.context.symbol(name);
    let symbol = symbol.ok_or_else(|| position.error(format!("`{name}` is not declared")))?;
    let wide = symbol.space() == Space::Global;
    if ty.kind() == Kind::Float || ty.bits() < 32 || (wide && ty.bits() != 64) {
        return Err(position.error(format!(
            "the address of `{name}` does not fit .{}",
            ty.name()
        )));
    }
    Ok(Op::Map1 {
        f: COPY,
        dst,
        a: d.context.symbol_address(symbol, offset),
    })
}

fn pred_mov(d: &mut Decoder<'_, '_>) -> Result<Op> {
    let dst = d.pred_dst()?;
    if let Some((Operand::Integer(value @ 0..=1), _)) = d.statement.operands.get(1) {
        d.next += 1;
        return Ok(Op::PredConst {
            dst,
            value: *value == 1,
        });
    }
    let a = d.pred_src()?;
    if a.negated {
        return Err(d.error("`!` is not allowed here; use not.pred"));
    }
    Ok(Op::PredMove { dst, a })
}

fn part_type(d: &Decoder<'_, '_>, ty: Type, parts: usize) -> Result<Type> {
    match (ty, parts) {
        (Type::B64, 2) => Ok(Type::B32),
        (Type::B64, 4) | (Type::B32, 2) => Ok(Type::B16),
        _ => Err(d.error(format!("{parts} parts do not make a .{}", ty.name()))),
    }
}

fn unpack(d: &mut Decoder<'_, '_>, ty: Type, parts: &[(Operand<'_>, Position)]) -> Result<Op> {
    d.next += 1;
    let part = part_type(d, ty, parts.len())?;
    let one = |d: &mut Decoder<'_, '_>, (operand, at): &(Operand<'_>, Position)| {
        if *operand == Operand::Name("_") {
            return Ok(None);
        }
        d.dst_of(operand, *at, |found| part.accepts(found), part)
            .map(Some)
    };
    let parts = parts
        .iter()
        .map(|part| one(d, part))
        .collect::<Result<Vec<Option<Reg>>>>()?;
    Ok(Op::Unpack {
        parts,
        src: d.src(ty)?,
        bits: part.bits(),
    })
}

fn special(name: &str) -> Option<Special> {
    let axis = |rest: &str| ["x", "y", "z"].iter().position(|axis| *axis == rest);
    let (base, rest) = name.split_once('.').unwrap_or((name, ""));
    Some(match (base, rest) {
        ("%tid", _) => Special::Tid(axis(rest)?),
        ("%ntid", _) => Special::Ntid(axis(rest)?),
        ("%ctaid", _) => Special::Ctaid(axis(rest)?),
        ("%nctaid", _) => Special::Nctaid(axis(rest)?),
        ("%laneid", "") => Special::LaneId,
        ("%warpid", "") => Special::WarpId,
        ("%lanemask_lt", "") => Special::LaneMaskLt,
        ("%lanemask_le", "") => Special::LaneMaskLe,
        ("%lanemask_eq", "") => Special::LaneMaskEq,
        ("%lanemask_gt", "") => Special::LaneMaskGt,
        ("%lanemask_ge", "") => Special::LaneMaskGe,
        _ => return None,
    })
}

pub fn cvta(d: &mut Decoder<'_, '_>) -> Result<Op> {
    let to = d.take("to");
    let spaces = [
        ("global", Space::Global),
        ("shared", Space::Shared),
        ("local", Space::Local),
        ("const", Space::Const),
    ];
    let space = d.need_one(&spaces)?;
    d.ty_of(&[Type::U64])?;
    let dst = d.dst(Type::U64)?;
    let (operand, position) = d.operand()?;
    let a = match operand {
        Operand::Name(name) if d.context.find_register(name).is_none() => {
            let symbol = d.context.symbol(name);
            let symbol =
                symbol.ok_or_else(|| position.error(format!("`{name}` is not declared")))?;
            d.context.symbol_address(symbol, 0)
        }
        _ => d.src_of(operand, position, Type::U64)?,
    };
    let f: Map1 = match (space, to) {
        (Space::Shared, false) => lanes!(u64, u64, |a| a.wrapping_add(SHARED_WINDOW)),
        (Space::Shared, true) => lanes!(u64, u64, |a| a.wrapping_sub(SHARED_WINDOW)),
        (Space::Local, false) => lanes!(u64, u64, |a| a.wrapping_add(LOCAL_WINDOW)),
        (Space::Local, true) => lanes!(u64, u64, |a| a.wrapping_sub(LOCAL_WINDOW)),
        _ => COPY,
    };
    Ok(Op::Map1 { f, dst, a })
}

pub fn select(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    let flush = d.take("ftz");
    let ty = d.ty()?;
    if ty.bits() < 16 || matches!(ty, Type::F16 | Type::Bf16) {
        return Err(d.error(format!("the type .{} is not supported here", ty.name())));
    }
    if name == "selp" {
        if flush {
            return Err(d.error("`.ftz` is not supported here"));
        }
        let (dst, a, b) = (d.dst(ty)?, d.src(ty)?, d.src(ty)?);
        let p: PredReg = d.pred_dst()?;
        return Ok(Op::Select { dst, a, b, p });
    }
    let by = d.ty_of(&[Type::S32, Type::F32])?;
    let (dst, a, b, c) = (d.dst(ty)?, d.src(ty)?, d.src(ty)?, d.src(by)?);
    let f: Map3 = if by == Type::S32 {
        lanes!(u64, u64, |a, b, c| if c as u32 as i32 >= 0 { a } else { b })
    } else {
        // Minus zero counts as zero, and so does a subnormal number under .ftz, of either sign.
        if flush {
            lanes!(
                u64,
                u64,
                |a, b, c| if crate::lanes::flush(f32::from_bits(c as u32)) >= 0.0 {
                    a
                } else {
                    b
                }
            )
        } else {
            lanes!(u64, u64, |a, b, c| if f32::from_bits(c as u32) >= 0.0 {
                a
            } else {
                b
            })
        }
    };
    Ok(Op::Map3 { f, dst, a, b, c })
}
