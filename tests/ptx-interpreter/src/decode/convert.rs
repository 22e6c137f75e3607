//! cvt: a conversion, its rounding and its types, in one table.

use super::{Decoder, Result};
use crate::inst::Op;
use crate::lanes::{Lane, Lanes, Map1, Map2, lanes};
use crate::round::Format;
use crate::types::Type;

pub fn cvt(d: &mut Decoder<'_, '_>) -> Result<Op> {
    let modifiers = std::mem::take(&mut d.modifiers).join(".");
    if let Some(f) = pair(&modifiers) {
        return Ok(Op::Map2 {
            f,
            dst: d.dst(Type::B32)?,
            a: d.src(Type::F32)?,
            b: d.src(Type::F32)?,
        });
    }
    let (f, to, from) = single(&modifiers).ok_or_else(|| d.error("no such conversion"))?;
    Ok(Op::Map1 {
        f,
        dst: d.dst(to)?,
        a: d.src(from)?,
    })
}

/// Two numbers to the halves of 32 bits; the first operand is the high half.
fn pair(modifiers: &str) -> Option<Map2> {
    match modifiers {
        "rn.bf16x2.f32" => Some(lanes!(u32, u32, |a, b| {
            narrow(Format::BF16, a) << 16 | narrow(Format::BF16, b)
        })),
        "rn.f16x2.f32" => Some(lanes!(u32, u32, |a, b| {
            narrow(Format::F16, a) << 16 | narrow(Format::F16, b)
        })),
        _ => None,
    }
}

fn single(modifiers: &str) -> Option<(Map1, Type, Type)> {
    use Type::{B32, Bf16, F16, F32, S32, S64, U16, U32, U64};
    Some(match modifiers {
        "u32.u16" => (lanes!(u16, u32, |a| u32::from(a)), U32, U16),
        "u64.u32" => (lanes!(u32, u64, |a| u64::from(a)), U64, U32),
        "s64.s32" => (lanes!(i32, i64, |a| i64::from(a)), S64, S32),
        "u32.u64" => (lanes!(u64, u32, |a| a as u32), U32, U64),
        "rn.f32.u32" => (lanes!(u32, f32, |a| a as f32), F32, U32),
        "rn.f32.s32" => (lanes!(i32, f32, |a| a as f32), F32, S32),
        "rn.f32.u64" => (lanes!(u64, f32, |a| a as f32), F32, U64),
        "rn.f32.s64" => (lanes!(i64, f32, |a| a as f32), F32, S64),
        "rzi.u32.f32" => (lanes!(f32, u32, |a| a as u32), U32, F32),
        "rzi.s32.f32" => (lanes!(f32, i32, |a| a as i32), S32, F32),
        // In 64 bits what is not a number becomes the top bit alone.
        "rzi.u64.f32" => {
            let f: Map1 = lanes!(f32, u64, |a| if a.is_nan() { 1 << 63 } else { a as u64 });
            (f, U64, F32)
        }
        "rzi.s64.f32" => {
            let f: Map1 = lanes!(f32, i64, |a| if a.is_nan() { i64::MIN } else { a as i64 });
            (f, S64, F32)
        }
        "rmi.f32.f32" => (lanes!(f32, f32, |a| a.floor()), F32, F32),
        "f32.f16" => {
            let f: Map1 = lanes!(u16, f32, |a| Format::F16.decode(a) as f32);
            (f, F32, F16)
        }
        "rn.f16.f32" => (lanes!(u32, u32, |a| narrow(Format::F16, a)), F16, F32),
        "rn.bf16.f32" => (lanes!(u32, u32, |a| narrow(Format::BF16, a)), Bf16, F32),
        "rna.tf32.f32" => (lanes!(u32, u32, |a| to_tf32(a)), B32, F32),
        _ => return None,
    })
}

/// The bits of an f32 to those of a format of 16 bits.
fn narrow(format: Format, bits: u32) -> u32 {
    u32::from(format.encode(f32::from_bits(bits)))
}

/// To nearest with 10 bits of fraction, ties away from zero.
fn to_tf32(bits: u32) -> u32 {
    if bits & 0x7f80_0000 == 0x7f80_0000 {
        return if bits & 0x007f_ffff == 0 {
            bits
        } else {
            0x7fff_ffff
        };
    }
    (bits + 0x1000) & !0x1fff
}
