//! ldmatrix and mma.sync.

use super::{Decoder, Result};
use crate::inst::{Mma, MmaShape, Op};
use crate::types::{Space, Type};

pub fn ldmatrix(d: &mut Decoder<'_, '_>) -> Result<Op> {
    d.need("sync")?;
    d.need("aligned")?;
    d.need("m8n8")?;
    let count = d.need_one(&[("x1", 1), ("x2", 2), ("x4", 4)])?;
    let transposed = d.take("trans");
    if !d.take("shared") {
        d.need("shared::cta")?;
    }
    d.ty_of(&[Type::B16])?;
    let dst = d.register_list(count, Type::B32, true)?;
    Ok(Op::LdMatrix {
        dst,
        address: d.address(Space::Shared)?,
        transposed,
    })
}

pub fn mma(d: &mut Decoder<'_, '_>) -> Result<Op> {
    d.need("sync")?;
    d.need("aligned")?;
    let shape = d.need_one(&[
        ("m16n8k4", 4),
        ("m16n8k8", 8),
        ("m16n8k16", 16),
        ("m16n8k32", 32),
    ])?;
    d.need("row")?;
    d.need("col")?;
    let saturate = d.take("satfinite");
    let types = [0; 4].map(|_| {
        if d.modifiers.is_empty() {
            ""
        } else {
            d.modifiers.remove(0)
        }
    });
    let [d_type, a_type, b_type, c_type] = types;
    let signs = |a: &str, b: &str| {
        let sign = |name: &str| match name {
            "s8" => Some(true),
            "u8" => Some(false),
            _ => None,
        };
        Some((sign(a)?, sign(b)?))
    };
    let bf16 = a_type == "bf16";
    let half = a_type == b_type && matches!(a_type, "bf16" | "f16");
    let tf32 = a_type == "tf32" && b_type == "tf32";
    let (shape, a, b) = match (shape, signs(a_type, b_type)) {
        (16, None) if half => (MmaShape::M16N8K16 { bf16 }, 4, 2),
        (8, None) if half => (MmaShape::M16N8K8 { bf16 }, 2, 1),
        (8, None) if tf32 => (MmaShape::M16N8K8Tf32, 4, 2),
        (4, None) if tf32 => (MmaShape::M16N8K4Tf32, 2, 1),
        (32, Some((a_signed, b_signed))) => (MmaShape::M16N8K32 { a_signed, b_signed }, 4, 2),
        (16, Some((a_signed, b_signed))) => (MmaShape::M16N8K16Int { a_signed, b_signed }, 2, 1),
        _ => return Err(d.error("this shape does not exist for these types")),
    };
    let integer = signs(a_type, b_type).is_some();
    let (wanted, ty) = if integer {
        ("s32", Type::S32)
    } else {
        ("f32", Type::F32)
    };
    if d_type != wanted || c_type != wanted {
        return Err(d.error(format!("the accumulators must be .{wanted}")));
    }
    if saturate && !integer {
        return Err(d.error("`.satfinite` is for integers"));
    }
    let four = |list: Vec<u32>| [list[0], list[1], list[2], list[3]];
    let result = four(d.register_list(4, ty, true)?);
    let a = d.register_list(a, Type::B32, false)?;
    let b = d.register_list(b, Type::B32, false)?;
    let c = four(d.register_list(4, ty, false)?);
    Ok(Op::Mma(Box::new(Mma {
        shape,
        d: result,
        a,
        b,
        c,
        saturate,
    })))
}
