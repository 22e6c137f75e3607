//! Exchanges among the lanes of a warp: shfl, vote, activemask, redux.

use super::{Decoder, Result};
use crate::inst::{Atomic, Op, Shuffle, Vote};
use crate::parse::Operand;
use crate::types::Type;

pub fn exchange(d: &mut Decoder<'_, '_>, name: &str) -> Result<Op> {
    match name {
        "shfl" => shuffle(d),
        "vote" => vote(d),
        "activemask" => {
            d.ty_of(&[Type::B32])?;
            Ok(Op::ActiveMask {
                dst: d.dst(Type::B32)?,
            })
        }
        _ => reduce(d),
    }
}

fn shuffle(d: &mut Decoder<'_, '_>) -> Result<Op> {
    d.need("sync")?;
    let mode = d.need_one(&[
        ("up", Shuffle::Up),
        ("down", Shuffle::Down),
        ("bfly", Shuffle::Butterfly),
        ("idx", Shuffle::Index),
    ])?;
    let ty = d.ty_of(&[Type::B32])?;
    let (operand, position) = d.operand()?;
    let (dst, valid) = match operand {
        Operand::Pair(first, second) => {
            let dst = Operand::Name(first);
            let dst = d.dst_of(&dst, position, |found| ty.accepts(found), ty)?;
            (dst, Some(d.context.predicate(second, position)?))
        }
        _ => (
            d.dst_of(operand, position, |found| ty.accepts(found), ty)?,
            None,
        ),
    };
    let (a, b, c) = (d.src(ty)?, d.src(ty)?, d.src(ty)?);
    Ok(Op::Shuffle {
        mode,
        dst,
        valid,
        a,
        b,
        c,
        mask: d.src(ty)?,
    })
}

fn vote(d: &mut Decoder<'_, '_>) -> Result<Op> {
    d.need("sync")?;
    if d.take("ballot") {
        d.ty_of(&[Type::B32])?;
        let (dst, a) = (d.dst(Type::B32)?, d.pred_src()?);
        return Ok(Op::Ballot {
            dst,
            a,
            mask: d.src(Type::B32)?,
        });
    }
    let mode = d.need_one(&[("all", Vote::All), ("any", Vote::Any), ("uni", Vote::Uni)])?;
    d.ty_of(&[Type::Pred])?;
    let (dst, a) = (d.pred_dst()?, d.pred_src()?);
    Ok(Op::Vote {
        mode,
        dst,
        a,
        mask: d.src(Type::B32)?,
    })
}

fn reduce(d: &mut Decoder<'_, '_>) -> Result<Op> {
    d.need("sync")?;
    let op = d.need_one(&[
        ("add", Atomic::Add),
        ("min", Atomic::Min),
        ("max", Atomic::Max),
        ("and", Atomic::And),
        ("or", Atomic::Or),
        ("xor", Atomic::Xor),
    ])?;
    let logic = matches!(op, Atomic::And | Atomic::Or | Atomic::Xor);
    let ty = d.ty_of(if logic {
        &[Type::B32]
    } else {
        &[Type::U32, Type::S32]
    })?;
    let (dst, a) = (d.dst(ty)?, d.src(ty)?);
    Ok(Op::Reduce {
        op,
        ty,
        dst,
        a,
        mask: d.src(Type::B32)?,
    })
}
