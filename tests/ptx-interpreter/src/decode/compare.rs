//! setp.

use super::{Decoder, Result};
use crate::inst::Op;
use crate::lanes::{Compare, Lane, Lanes, by_type, compare};
use crate::types::Type;

pub fn setp(d: &mut Decoder<'_, '_>) -> Result<Op> {
    const RELATIONS: [&str; 8] = ["eq", "ne", "lt", "le", "gt", "ge", "neu", "num"];
    let relation = d.need_one(&RELATIONS.map(|name| (name, name)))?;
    let ty = d.ty()?;
    let f = match ty {
        Type::F32 => floats(relation),
        _ => integers(ty, relation),
    };
    let f = f.ok_or_else(|| d.error(format!("no such comparison of .{}", ty.name())))?;
    Ok(Op::Compare {
        f,
        dst: d.pred_dst()?,
        a: d.src(ty)?,
        b: d.src(ty)?,
    })
}

fn integers(ty: Type, relation: &str) -> Option<Compare> {
    macro_rules! on {
        (|$a:ident, $b:ident| $body:expr) => {
            by_type!(ty, T, [U32 U64 S32 S64], compare!(T, |$a, $b| $body))
        };
    }
    match relation {
        "eq" => on!(|a, b| a == b),
        "ne" => on!(|a, b| a != b),
        "lt" => on!(|a, b| a < b),
        "le" => on!(|a, b| a <= b),
        "gt" => on!(|a, b| a > b),
        "ge" => on!(|a, b| a >= b),
        _ => None,
    }
}

fn floats(relation: &str) -> Option<Compare> {
    Some(match relation {
        "eq" => compare!(f32, |a, b| a == b),
        "lt" => compare!(f32, |a, b| a < b),
        "le" => compare!(f32, |a, b| a <= b),
        // Also where an operand is not a number.
        "neu" => compare!(f32, |a, b| a != b),
        "num" => compare!(f32, |a, b| !a.is_nan() && !b.is_nan()),
        _ => return None,
    })
}
