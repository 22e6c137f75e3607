//! ld, st, atom, red.

use super::{Decoder, Result};
use crate::inst::{Atomic, Element, Op};
use crate::parse::{Operand, Position};
use crate::types::{Space, Type};

fn space(d: &mut Decoder<'_, '_>) -> Space {
    let found = d
        .modifiers
        .iter()
        .position(|name| Space::from_name(name).is_some());
    let space = found.and_then(|at| Space::from_name(d.modifiers.remove(at)));
    space.unwrap_or(Space::Generic)
}

/// Hints change speed, not results.
fn drop_cache_hints(d: &mut Decoder<'_, '_>, load: bool) {
    let list: &[&str] = if load {
        &["ca", "cg", "cs", "lu", "cv"]
    } else {
        &["wb", "cg", "cs", "wt"]
    };
    d.modifiers.retain(|name| {
        let prefetch = matches!(*name, "L2::64B" | "L2::128B" | "L2::256B") && load;
        let eviction = matches!(
            *name,
            "L1::evict_normal"
                | "L1::evict_unchanged"
                | "L1::evict_first"
                | "L1::evict_last"
                | "L1::no_allocate"
        );
        !(list.contains(name) || prefetch || eviction)
    });
}

pub fn access(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    let load = name == "ld";
    let space = space(d);
    drop_cache_hints(d, load);
    let read_only = load && d.take("nc");
    if read_only && space != Space::Global {
        return Err(d.error("`.nc` is for global memory"));
    }
    if !load && matches!(space, Space::Param | Space::Const) {
        return Err(d.error(format!("{space} memory cannot be written")));
    }
    d.take("weak");
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
            if *operand == Operand::Name("_") {
                return Ok(None);
            }
            let register = d.dst_of(operand, position, |found| ty.accepts_wider(found), ty)?;
            Ok(Some(register))
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
) -> Result<Option<u32>> {
    let register = match operand {
        Operand::Name(_) => d.dst_of(operand, position, |found| ty.accepts_wider(found), ty)?,
        _ => d.src_of(operand, position, ty)?,
    };
    Ok(Some(register))
}

pub fn atomic(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    let space = space(d);
    if !matches!(space, Space::Global | Space::Shared | Space::Generic) {
        return Err(d.error(format!("there are no atomic operations on {space} memory")));
    }
    d.take_one(&[
        ("relaxed", ()),
        ("acquire", ()),
        ("release", ()),
        ("acq_rel", ()),
    ]);
    d.take_one(&[("cta", ()), ("gpu", ()), ("sys", ())]);
    let op = d.need_one(&[
        ("add", Atomic::Add),
        ("min", Atomic::Min),
        ("max", Atomic::Max),
        ("and", Atomic::And),
        ("or", Atomic::Or),
        ("xor", Atomic::Xor),
        ("exch", Atomic::Exchange),
        ("cas", Atomic::CompareSwap),
        ("inc", Atomic::Increment),
        ("dec", Atomic::Decrement),
    ])?;
    use Type::{B32, B64, S32, S64, U32, U64};
    let allowed: &[Type] = match op {
        // Sums of floating-point numbers depend on the order of threads.
        Atomic::Add => &[U32, S32, U64],
        Atomic::Min | Atomic::Max => &[U32, S32, U64, S64],
        Atomic::Increment | Atomic::Decrement => &[U32],
        Atomic::Exchange | Atomic::CompareSwap if name == "red" => &[],
        _ => &[B32, B64],
    };
    let ty = d.ty_of(allowed)?;
    let dst = if name == "atom" {
        Some(d.dst(ty)?)
    } else {
        None
    };
    let address = d.address(space)?;
    let b = d.src(ty)?;
    let c = if op == Atomic::CompareSwap {
        Some(d.src(ty)?)
    } else {
        None
    };
    Ok(Op::Atomic {
        op,
        ty,
        dst,
        address,
        b,
        c,
    })
}
