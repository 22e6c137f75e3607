//! shfl: an exchange among the lanes of a warp.

use super::{Decoder, Result};
use crate::inst::Op;
use crate::types::Type;

pub fn shuffle(d: &mut Decoder<'_, '_>) -> Result<Op> {
    d.need("sync")?;
    d.need("bfly")?;
    let ty = d.ty_of(&[Type::B32])?;
    Ok(Op::Shuffle {
        dst: d.dst(ty)?,
        a: d.src(ty)?,
        by: d.src(ty)?,
        clamp: d.src(ty)?,
        mask: d.src(ty)?,
    })
}
