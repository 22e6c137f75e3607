//! Batched matrix products among general contractions, whatever the order of their axes.

use crate::op::{DotAxes, Op};
use crate::rewrite::egraph::{Build, Classes, ENode};
use egg::Id;

/// A product of a matrix `[batch.., rows, columns]` with another.
pub struct Product {
    /// The other matrix as `[batch.., contracted, free]`.
    pub other: Id,
    /// Axis `i` of the node's result is axis `order[i]` of `[batch.., kept, free]`.
    pub order: Vec<usize>,
}

/// x and y as `[batch.., free, contracted]` if the node is `x y^T` with batch axes in front.
pub fn rows_by_rows(classes: &mut Classes, node: &ENode) -> Option<[Id; 2]> {
    let Op::DotGeneral(axes) = &node.op else {
        return None;
    };
    let mut sides = [node.operands[0], node.operands[1]];
    for (index, side) in sides.iter_mut().enumerate() {
        let (batch, free, contracted) = layout(classes, axes, *side, index == 0)?;
        let order = [&batch[..], &[free, contracted]].concat();
        *side = classes.transposed(*side, &order);
    }
    Some(sides)
}

/// The product that the node is of `matrix` over its rows (or else its columns).
pub fn product_over(
    classes: &mut Classes,
    node: &ENode,
    matrix: Id,
    over_rows: bool,
) -> Option<Product> {
    let Op::DotGeneral(axes) = &node.op else {
        return None;
    };
    let left = node.operands[0] == matrix;
    let other = node.operands[usize::from(left)];
    let (batch, kept, contracted) = layout(classes, axes, matrix, left)?;
    let (other_batch, other_free, other_contracted) = layout(classes, axes, other, !left)?;
    let rank = batch.len() + 2;
    let wanted = if over_rows { rank - 2 } else { rank - 1 };
    if contracted != wanted || kept != 2 * rank - 3 - wanted {
        return None;
    }
    // The other's batch axes in the order of the matrix.
    let mut paired: Vec<(usize, usize)> = batch.iter().copied().zip(other_batch).collect();
    paired.sort_unstable();
    let mut other_order: Vec<usize> = paired.into_iter().map(|(_, axis)| axis).collect();
    other_order.extend([other_contracted, other_free]);
    let other = classes.transposed(other, &other_order);
    let mut order = batch;
    match left {
        true => order.extend([rank - 2, rank - 1]),
        false => order.extend([rank - 1, rank - 2]),
    }
    Some(Product { other, order })
}

/// Batch axes, the only free axis and the only contracted axis of one side.
fn layout(
    classes: &Classes,
    axes: &DotAxes,
    side: Id,
    left: bool,
) -> Option<(Vec<usize>, usize, usize)> {
    let own = |&(l, r): &(usize, usize)| if left { l } else { r };
    let batch: Vec<usize> = axes.batch.iter().map(own).collect();
    let rank = classes.ty(side).shape.rank();
    match (&axes.free(rank, left)[..], &axes.contract[..]) {
        (&[free], [pair]) => Some((batch, free, own(pair))),
        _ => None,
    }
}
