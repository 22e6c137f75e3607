//! setp.

use super::{Decoder, Result};
use crate::inst::{Logic, Op};
use crate::lanes::{Compare, Lane, Lanes, by_type, compare, flush};
use crate::types::{Kind, Type};

/// Comparisons; the unordered ones hold also when an operand is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Equ,
    Neu,
    Ltu,
    Leu,
    Gtu,
    Geu,
    Num,
    Nan,
}

pub fn setp(d: &mut Decoder<'_, '_>) -> Result<Op> {
    use Relation::*;
    let flushed = d.take("ftz");
    // lo, ls, hi and hs are the names for unsigned integers.
    let named = d.take_one(&[("lo", Lt), ("ls", Le), ("hi", Gt), ("hs", Ge)]);
    let relation = match named {
        Some(relation) => relation,
        None => d.need_one(&[
            ("eq", Eq),
            ("ne", Ne),
            ("lt", Lt),
            ("le", Le),
            ("gt", Gt),
            ("ge", Ge),
            ("equ", Equ),
            ("neu", Neu),
            ("ltu", Ltu),
            ("leu", Leu),
            ("gtu", Gtu),
            ("geu", Geu),
            ("num", Num),
            ("nan", Nan),
        ])?,
    };
    let join = d.take_one(&[("and", Logic::And), ("or", Logic::Or), ("xor", Logic::Xor)]);
    let ty = d.ty()?;
    if named.is_some() && ty.kind() != Kind::Unsigned {
        return Err(d.error("lo, ls, hi and hs compare unsigned integers"));
    }
    if flushed && ty != Type::F32 {
        return Err(d.error("`.ftz` is for .f32"));
    }
    let f = match ty.kind() {
        Kind::Bits if matches!(relation, Eq | Ne) => integers(ty, relation),
        Kind::Unsigned | Kind::Signed => integers(ty, relation),
        Kind::Float => floats(ty, relation, flushed),
        _ => None,
    };
    let f = f.ok_or_else(|| d.error(format!("no such comparison of .{}", ty.name())))?;
    let (dst, complement) = d.pred_pair()?;
    let (a, b) = (d.src(ty)?, d.src(ty)?);
    let join = match join {
        Some(logic) => Some((logic, d.pred_src()?)),
        None => None,
    };
    Ok(Op::Compare {
        f,
        dst,
        complement,
        a,
        b,
        join,
    })
}

fn integers(ty: Type, relation: Relation) -> Option<Compare> {
    macro_rules! on {
        (|$a:ident, $b:ident| $body:expr) => {
            by_type!(ty, T, [B16 B32 B64 U16 U32 U64 S16 S32 S64], compare!(T, |$a, $b| $body))
        };
    }
    match relation {
        Relation::Eq => on!(|a, b| a == b),
        Relation::Ne => on!(|a, b| a != b),
        Relation::Lt => on!(|a, b| a < b),
        Relation::Le => on!(|a, b| a <= b),
        Relation::Gt => on!(|a, b| a > b),
        Relation::Ge => on!(|a, b| a >= b),
        _ => None,
    }
}

// The negated forms are what unordered comparisons mean.
#[allow(clippy::neg_cmp_op_on_partial_ord)]
fn floats(ty: Type, relation: Relation, flushed: bool) -> Option<Compare> {
    macro_rules! on {
        (|$a:ident, $b:ident| $body:expr) => {
            match (ty, flushed) {
                (Type::F32, false) => Some(compare!(f32, |$a, $b| $body)),
                (Type::F32, true) => Some(compare!(f32, |$a, $b| {
                    let ($a, $b) = (flush($a), flush($b));
                    $body
                })),
                (Type::F64, _) => Some(compare!(f64, |$a, $b| $body)),
                _ => None,
            }
        };
    }
    match relation {
        Relation::Eq => on!(|a, b| a == b),
        Relation::Ne => on!(|a, b| a != b && !a.is_nan() && !b.is_nan()),
        Relation::Lt => on!(|a, b| a < b),
        Relation::Le => on!(|a, b| a <= b),
        Relation::Gt => on!(|a, b| a > b),
        Relation::Ge => on!(|a, b| a >= b),
        Relation::Equ => on!(|a, b| a == b || a.is_nan() || b.is_nan()),
        Relation::Neu => on!(|a, b| a != b),
        Relation::Ltu => on!(|a, b| !(a >= b)),
        Relation::Leu => on!(|a, b| !(a > b)),
        Relation::Gtu => on!(|a, b| !(a <= b)),
        Relation::Geu => on!(|a, b| !(a < b)),
        Relation::Num => on!(|a, b| !a.is_nan() && !b.is_nan()),
        Relation::Nan => on!(|a, b| a.is_nan() || b.is_nan()),
    }
}
