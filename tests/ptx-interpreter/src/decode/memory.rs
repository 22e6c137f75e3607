//! ld, st.

use super::{Decoder, Result};
use crate::inst::{Element, Op};
use crate::parse::{Operand, Position};
use crate::types::{Space, Type};

pub fn access(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    let load = name == "ld";
    let space = d.need_one(&[
        ("global", Space::Global),
        ("shared", Space::Shared),
        ("param", Space::Param),
    ])?;
    let read_only = load && d.take("nc");
    if read_only && space != Space::Global {
        return Err(d.error("`.nc` is for global memory"));
    }
    if !load && space == Space::Param {
        return Err(d.error(format!("{space} memory cannot be written")));
    }
    let count = d.take_one(&[("v2", 2), ("v4", 4)]).unwrap_or(1);
    let ty = d.ty()?;
    if matches!(ty, Type::Pred | Type::F16 | Type::Bf16) {
        return Err(d.error(format!("the type .{} is not supported here", ty.name())));
    }
    if ty.bytes() * count > 16 {
        return Err(d.error("an access has at most 16 bytes"));
    }
    if load {
        let mut width = 64;
        let registers = d.registers(count, |d, operand, position| {
            d.dst_of(operand, position, |found| ty.accepts_wider(found), ty)
        })?;
        if let Some((Operand::Name(name), position)) = d.statement.operands.first() {
            width = d.context.register(name, *position)?.ty.bits();
        }
        let element = Element {
            ty,
            register_bits: width,
        };
        return Ok(Op::Load {
            read_only,
            registers,
            element,
            address: d.address(space)?,
        });
    }
    let address = d.address(space)?;
    let registers = d.registers(count, |d, operand, position| {
        stored(d, operand, position, ty)
    })?;
    Ok(Op::Store {
        registers,
        ty,
        address,
    })
}

/// A register that may be wider than what is stored, or a constant.
fn stored(
    d: &mut Decoder<'_, '_>,
    operand: &Operand<'_>,
    position: Position,
    ty: Type,
) -> Result<u32> {
    match operand {
        Operand::Name(_) => d.dst_of(operand, position, |found| ty.accepts_wider(found), ty),
        _ => d.src_of(operand, position, ty),
    }
}
