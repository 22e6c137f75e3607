//! mov, cvta, selp.

use super::{Decoder, Result};
use crate::inst::{Op, Reg, Special};
use crate::lanes::{Lane, Lanes, Map1, lanes};
use crate::parse::{Operand, Position};
use crate::types::{Kind, Type};

const COPY: Map1 = lanes!(u64, u64, |a| a);

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
            symbol(d, name, ty, dst, position)
        }
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
    ty: Type,
    dst: Reg,
    position: Position,
) -> Result<Op> {
    let symbol = d.context.symbol(name);
    let symbol = symbol.ok_or_else(|| position.error(format!("`{name}` is not declared")))?;
    if ty.kind() == Kind::Float || ty.bits() < 32 {
        return Err(position.error(format!(
            "the address of `{name}` does not fit .{}",
            ty.name()
        )));
    }
    Ok(Op::Map1 {
        f: COPY,
        dst,
        a: d.context.symbol_address(symbol),
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
    let (base, axis) = name.split_once('.')?;
    let axis = ["x", "y", "z"].iter().position(|known| *known == axis)?;
    Some(match base {
        "%tid" => Special::Tid(axis),
        "%ntid" => Special::Ntid(axis),
        "%ctaid" => Special::Ctaid(axis),
        "%nctaid" => Special::Nctaid(axis),
        _ => return None,
    })
}

/// cvta.to.global: generic addresses of global memory are those of global memory.
pub fn cvta(d: &mut Decoder<'_, '_>) -> Result<Op> {
    d.need("to")?;
    d.need("global")?;
    let ty = d.ty_of(&[Type::U64])?;
    Ok(Op::Map1 {
        f: COPY,
        dst: d.dst(ty)?,
        a: d.src(ty)?,
    })
}

pub fn select(d: &mut Decoder<'_, '_>) -> Result<Op> {
    let ty = d.ty()?;
    if ty.bits() < 16 || matches!(ty, Type::F16 | Type::Bf16) {
        return Err(d.error(format!("the type .{} is not supported here", ty.name())));
    }
    Ok(Op::Select {
        dst: d.dst(ty)?,
        a: d.src(ty)?,
        b: d.src(ty)?,
        p: d.pred_dst()?,
    })
}
