//! Attention and its backward: a tile of query rows against all keys, kept in scratch.
//!
//! The tile holds the exact scores of every key, so that softmax is the plain three passes and
//! the bits are those of the spelled-out graph. The backward pass recomputes the probabilities
//! and adds each tile's share to the gradients of keys and values in ascending query order.

mod backward;
mod forward;
mod narrow;
mod query_tile;
mod score_rows;
mod score_tiles;

use super::access::Obstacle;
use super::axes::Axes;
use super::builder::KernelBuilder;
use super::pack::Operand;
use super::{Attempt, Options};
use crate::kernel::Format;
use crate::schedule::{Group, Widenings};
use bsq_ir::{Function, Mask, NodeId, Op};
use query_tile::QueryTile;

pub(super) fn lower(
    mut builder: KernelBuilder,
    function: &Function,
    group: &Group,
    widened: &Widenings,
    options: &Options,
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
    let extent = |node: NodeId, from_end: usize| {
        let shape = function.node(node).shape();
        shape[shape.rank() - from_end]
    };
    let lengths = [extent(q, 2), extent(k, 2)];
    let widths = [extent(q, 1), extent(v, 1)];
    let tiles = options.tiling.backward_tiles;
    let tiles = tiles.filter(|_| backward && tiles_fit(mask, lengths, widths));
    if tiles.is_some() {
        packs = vec![
            (k, false),
            (v, false),
            (q, false),
            (node.operands[5], false),
        ];
    } else if backward {
        packs.extend([(k, false), (q, false), (node.operands[5], false)]);
    }
    let format = options
        .precision
        .of_attention(function, &node.op, options.narrow_activations);
    // Terms are of channels and then of keys.
    let whole = |extent: usize| extent.is_multiple_of(format.terms());
    let format = match whole(extent(q, 1)) && whole(extent(k, 2)) {
        true => format,
        false => Format::F32,
    };
    let mut lowered = Vec::new();
    for (slot, &(operand, transposed)) in packs.iter().enumerate() {
        let fresh = KernelBuilder::new(function, builder.materialized(), Axes::default());
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
            widened,
        };
        lowered.push(operand.pack(fresh, function)?);
    }
    let mut tiling = options.tiling;
    let online = (tiling.online_queries)(format);
    let by_query_tiles = online.is_none();
    let fits = !backward && online_fits(mask, extent(q, 1), extent(v, 1));
    let online = online.filter(|_| fits);
    if let Some(queries) = online {
        (tiling.least_queries, tiling.most_queries) = (queries, queries);
    }
    if let Some(rows) = tiles {
        (tiling.least_queries, tiling.most_queries) = (rows, rows);
    }
    let kind = (scale, mask, format);
    let mut by_keys = None;
    let block = tiles.or(tiling.backward_block);
    if let Some(size) = block.filter(|_| backward) {
        let fresh = KernelBuilder::new(function, builder.materialized(), Axes::default());
        by_keys = Some((fresh, size));
    }
    let tile = QueryTile::new(&mut builder, function, anchor, kind, &tiling);
    let attempt = tile.and_then(|tile| match (backward, online) {
        // Elsewhere scratch is too expensive for what this keeps there.
        (false, None) if format != Format::F32 && by_query_tiles => {
            tile.forward_narrow(&mut builder)
        }
        (false, None) => tile.forward(&mut builder),
        (false, Some(_)) => tile.online(&mut builder),
        (true, _) if tiles.is_some() => tile.tiles_by_queries(&mut builder),
        (true, _) if by_keys.is_some() => tile.backward_queries(&mut builder),
        (true, _) => tile.backward(&mut builder),
    });
    lowered.push(attempt.map_err(|obstacle| (obstacle, builder.axes))?);
    if let Some((mut b, size)) = by_keys {
        (tiling.least_queries, tiling.most_queries) = (size, size);
        let tile = QueryTile::new(&mut b, function, anchor, kind, &tiling);
        let attempt = tile.and_then(|tile| {
            let (tile, block) = tile.in_blocks_of_keys(&mut b, size);
            match tiles {
                Some(_) => tile.tiles_by_keys(&mut b, block),
                None => tile.backward_keys(&mut b, block),
            }
        });
        lowered.push(attempt.map_err(|obstacle| (obstacle, b.axes))?);
    }
    Ok(lowered)
}

/// Whether attention can take keys block by block: whole steps of channels that fit registers,
/// and a mask that is a limit.
fn online_fits(mask: Mask, depth: usize, value_depth: usize) -> bool {
    let fits = |depth: usize| depth.is_multiple_of(16) && depth <= 128;
    fits(depth) && fits(value_depth) && !matches!(mask, Mask::Bias)
}

/// Whether the backward pass can keep tiles of scores in registers, beside whole rows of two
/// operands and of their gradients.
fn tiles_fit(mask: Mask, [queries, keys]: [usize; 2], widths: [usize; 2]) -> bool {
    let whole = widths.iter().all(|width| width.is_multiple_of(16));
    let seen = match mask {
        Mask::None => true,
        Mask::BlockCausal { .. } => queries == keys,
        Mask::Bias => false,
    };
    whole && seen && widths.iter().sum::<usize>() <= 128
}
