//! cp.async and its groups.

use super::{Decoder, Result};
use crate::inst::Op;
use crate::types::{Space, Type};

pub fn copy_async(d: &mut Decoder<'_, '_>) -> Result<Op> {
    d.need("async")?;
    if d.take("commit_group") {
        return Ok(Op::CopyCommit);
    }
    if d.take("wait_group") {
        let pending = d.immediate(0..=1 << 16)? as u32;
        return Ok(Op::CopyWait { pending });
    }
    let bypass = d.need_one(&[("ca", false), ("cg", true)])?;
    d.need("shared")?;
    d.need("global")?;
    let dst = d.address(Space::Shared)?;
    let src = d.address(Space::Global)?;
    let bytes = d.immediate(4..=16)? as u32;
    if !bytes.is_power_of_two() || (bypass && bytes != 16) {
        let allowed = if bypass {
            "16 bytes"
        } else {
            "4, 8 or 16 bytes"
        };
        return Err(d.error(format!("{allowed} can be copied, not {bytes}")));
    }
    let src_bytes = match d.left() {
        0 => None,
        _ => Some(d.src(Type::U32)?),
    };
    Ok(Op::CopyAsync {
        dst,
        src,
        bytes,
        src_bytes,
    })
}
