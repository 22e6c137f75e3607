//! Branches, barriers and fences.

use super::{Decoder, Result};
use crate::inst::Op;
use crate::parse::Operand;
use crate::types::Type;

pub fn branch(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    let uniform = d.take("uni");
    if name != "bra" {
        return Ok(Op::Exit);
    }
    let (operand, position) = d.operand()?;
    let Operand::Name(label) = operand else {
        return Err(position.error("a label expected"));
    };
    d.context.branch(label, position);
    Ok(Op::Branch { target: 0, uniform })
}

pub fn barrier(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    if matches!(name, "membar" | "fence") {
        d.take_one(&[("acq_rel", ()), ("sc", ())]);
        d.need_one(&[("cta", ()), ("gpu", ()), ("gl", ()), ("sys", ())])?;
        return Ok(Op::Fence);
    }
    if name == "bar" && d.take("warp") {
        d.need("sync")?;
        return Ok(Op::WarpSync {
            mask: d.src(Type::B32)?,
        });
    }
    d.take("cta");
    let arrive = d.need_one(&[("sync", false), ("arrive", true)])?;
    // bar is barrier.aligned: all lanes of a warp execute it together.
    let aligned = d.take("aligned") || name == "bar";
    if !aligned {
        return Err(d.error("only the aligned form is supported"));
    }
    let id = d.src(Type::U32)?;
    let count = if d.left() > 0 {
        Some(d.src(Type::U32)?)
    } else {
        None
    };
    if arrive && count.is_none() {
        return Err(d.error("a number of threads is needed"));
    }
    Ok(Op::Barrier { id, count, arrive })
}
