//! Attention and its backward: a strip of query rows against all keys, kept in scratch.
//!
//! The strip holds the exact scores of every key, so that softmax is the plain three passes and
//! the bits are those of the spelled-out graph. The backward pass recomputes the probabilities
//! and adds each strip's share to the gradients of keys and values in ascending query order.

mod passes;
mod rows;
mod strip;

use super::access::Blocked;
use super::builder::{Axes, Builder, Shared};
use super::{Attempt, pack};
use crate::schedule::Group;
use bsq_ir::{Function, Op};
use strip::Strip;

pub(super) fn lower(mut builder: Builder, function: &Function, group: &Group) -> Attempt {
    let anchor = group.anchor.expect("attention");
    let node = function.node(anchor);
    let (scale, mask, backward) = match node.op {
        Op::Attention { scale, mask } => (scale.get(), mask, false),
        Op::AttentionBackward { scale, mask } => (scale.get(), mask, true),
        _ => unreachable!("an attention op"),
    };
    let (q, k, v) = (node.operands[0], node.operands[1], node.operands[2]);
    let mut packs = vec![(k, true)];
    packs.push((v, backward));
    if backward {
        packs.extend([(k, false), (q, false), (node.operands[5], false)]);
    }
    let mut lowered = Vec::new();
    for (slot, &(operand, transposed)) in packs.iter().enumerate() {
        let fresh = Builder::new(function, builder.stored(), Axes::default());
        let rank = function.node(operand).shape().rank();
        let batch: Vec<usize> = (0..rank - 2).collect();
        let (rows, columns) = ([rank - 2], [rank - 1]);
        let (contracted, columns) = if transposed {
            (columns, rows)
        } else {
            (rows, columns)
        };
        let target = Shared::Extra(anchor, slot);
        lowered.push(pack::operand(
            fresh,
            function,
            operand,
            target,
            &batch,
            &contracted,
            &columns,
        )?);
    }
    let attempt =
        Strip::new(&mut builder, function, anchor, scale, mask).and_then(|strip| match backward {
            false => strip.forward(&mut builder),
            true => strip.backward(&mut builder),
        });
    lowered.push(attempt.map_err(|blocked| (blocked, builder.axes))?);
    Ok(lowered)
}
