//! Attention and its backward: a strip of query rows against all keys, kept in scratch.
//!
//! The strip holds the exact scores of every key, so that softmax is the plain three passes and
//! the bits are those of the spelled-out graph. The backward pass recomputes the probabilities
//! and adds each strip's share to the gradients of keys and values in ascending query order.

mod narrow;
mod passes;
mod rows;
mod strip;

use super::access::Blocked;
use super::builder::{Axes, Builder};
use super::pack::Operand;
use super::{Attempt, Precision};
use crate::kernel::Format;
use crate::schedule::{Group, Widenings};
use bsq_ir::{Function, NodeId, Op};
use strip::Strip;

pub(super) fn lower(
    mut builder: Builder,
    function: &Function,
    group: &Group,
    precision: Precision,
) -> Attempt {
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
    let extent = |node: NodeId, from_end: usize| {
        let shape = function.node(node).shape();
        shape[shape.rank() - from_end]
    };
    let format = match precision.narrows_attention(function) && !backward {
        // Terms come in pairs, of channels and then of keys.
        true if extent(q, 1) % 2 == 0 && extent(k, 2) % 2 == 0 => Format::Bf16,
        _ => Format::F32,
    };
    let mut lowered = Vec::new();
    let none = Widenings::default();
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
        let operand = Operand {
            node: operand,
            anchor,
            slot,
            batch: &batch,
            contracted: &contracted,
            columns: &columns,
            format,
            widened: &none,
        };
        lowered.push(operand.pack(fresh, function)?);
    }
    let attempt =
        Strip::new(&mut builder, function, anchor, scale, mask, format).and_then(|strip| {
            match (backward, format) {
                (false, Format::F32) => strip.forward(&mut builder),
                (false, _) => strip.forward_narrow(&mut builder),
                (true, _) => strip.backward(&mut builder),
            }
        });
    lowered.push(attempt.map_err(|blocked| (blocked, builder.axes))?);
    Ok(lowered)
}
