//! Branches and barriers.

use super::{Decoder, Result};
use crate::inst::Op;
use crate::parse::Operand;
use crate::types::Type;

pub fn branch(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    if name != "bra" {
        return Ok(Op::Exit);
    }
    let uniform = d.take("uni");
    let (operand, position) = d.operand()?;
    let Operand::Name(label) = operand else {
        return Err(position.error("a label expected"));
    };
    d.context.branch(label, position);
    Ok(Op::Branch { target: 0, uniform })
}

pub fn barrier(d: &mut Decoder<'_, '_>) -> Result<Op> {
    if d.take("warp") {
        d.need("sync")?;
        return Ok(Op::WarpSync {
            mask: d.src(Type::B32)?,
        });
    }
    let arrive = d.need_one(&[("sync", false), ("arrive", true)])?;
    let id = d.src(Type::U32)?;
    let count = match d.left() {
        0 => None,
        _ => Some(d.src(Type::U32)?),
    };
    if arrive && count.is_none() {
        return Err(d.error("a number of threads is needed"));
    }
    Ok(Op::Barrier { id, count, arrive })
}
