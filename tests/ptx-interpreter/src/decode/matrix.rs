//! ldmatrix and mma.sync.

use super::{Decoder, Result};
use crate::inst::{Mma, MmaShape, Op, Reg};
use crate::types::{Space, Type};

pub fn ldmatrix(d: &mut Decoder<'_, '_>) -> Result<Op> {
    for modifier in ["sync", "aligned", "m8n8", "x4"] {
        d.need(modifier)?;
    }
    let transposed = d.take("trans");
    d.need("shared")?;
    d.ty_of(&[Type::B16])?;
    Ok(Op::LdMatrix {
        dst: four(d.register_list(4, Type::B32, true)?),
        address: d.address(Space::Shared)?,
        transposed,
    })
}

pub fn mma(d: &mut Decoder<'_, '_>) -> Result<Op> {
    d.need("sync")?;
    d.need("aligned")?;
    let modifiers = std::mem::take(&mut d.modifiers).join(".");
    let int8 = |a_signed| MmaShape::M16N8K32 { a_signed };
    let shape = match modifiers.as_str() {
        "m16n8k16.row.col.f32.bf16.bf16.f32" => MmaShape::M16N8K16 { bf16: true },
        "m16n8k16.row.col.f32.f16.f16.f32" => MmaShape::M16N8K16 { bf16: false },
        "m16n8k8.row.col.f32.tf32.tf32.f32" => MmaShape::M16N8K8Tf32,
        "m16n8k32.row.col.s32.s8.s8.s32" => int8(true),
        "m16n8k32.row.col.s32.u8.s8.s32" => int8(false),
        _ => return Err(d.error("there is no product of this shape and these types")),
    };
    let ty = match shape {
        MmaShape::M16N8K32 { .. } => Type::S32,
        _ => Type::F32,
    };
    let result = four(d.register_list(4, ty, true)?);
    let a = four(d.register_list(4, Type::B32, false)?);
    let b = d.register_list(2, Type::B32, false)?;
    let c = four(d.register_list(4, ty, false)?);
    Ok(Op::Mma(Box::new(Mma {
        shape,
        d: result,
        a,
        b: [b[0], b[1]],
        c,
    })))
}

fn four(list: Vec<Reg>) -> [Reg; 4] {
    [list[0], list[1], list[2], list[3]]
}
