//! Derivative of the contraction: two contractions of the cotangent.

use crate::op::DotAxes;
use crate::tensor::Tensor;

/// The cotangent of one operand is the node's cotangent contracted with the other operand over
/// the other's free axes.
///
/// Its axes come out as batch, the operand's free axes, and the contracted axes in the other
/// operand's order, or with the last two exchanged, whichever way around the product is
/// written. The way that gives the operand's own order of axes is taken; if neither does, the
/// axes of the first are transposed.
pub(super) fn rule<'g>(
    g: Tensor<'g>,
    axes: &DotAxes,
    [lhs, rhs]: [Tensor<'g>; 2],
    operand: usize,
) -> Tensor<'g> {
    let other = [rhs, lhs][operand];
    // Pairs (own axis, other's axis).
    let turn = |&(l, r): &(usize, usize)| if operand == 0 { (l, r) } else { (r, l) };
    let batch: Vec<_> = axes.batch.iter().map(turn).collect();
    let mut contracted: Vec<_> = axes.contract.iter().map(turn).collect();
    contracted.sort_unstable_by_key(|&(_, other)| other);

    // The axes of the cotangent are batch, free of lhs, free of rhs.
    let lhs_free = axes.free(lhs.rank(), true);
    let rhs_free = axes.free(rhs.rank(), false);
    let rhs_start = batch.len() + lhs_free.len();
    let (own_free, other_free, other_start) = match operand {
        0 => (lhs_free, rhs_free, rhs_start),
        _ => (rhs_free, lhs_free, batch.len()),
    };
    let other_batch = batch.iter().map(|&(_, other)| other);
    let batch_pairs: Vec<_> = other_batch.enumerate().collect();
    let contract_pairs: Vec<_> = (other_start..).zip(other_free).collect();

    let own_batch: Vec<usize> = batch.iter().map(|&(own, _)| own).collect();
    let own_contracted: Vec<usize> = contracted.iter().map(|&(own, _)| own).collect();
    let order = [&own_batch[..], &own_free, &own_contracted].concat();
    let swapped = [&own_batch[..], &own_contracted, &own_free].concat();
    if !order.is_sorted() && swapped.is_sorted() {
        let flip =
            |pairs: &[(usize, usize)]| -> Vec<_> { pairs.iter().map(|&(a, b)| (b, a)).collect() };
        return other.dot_general(g, &flip(&batch_pairs), &flip(&contract_pairs));
    }
    let mut permutation = vec![0; order.len()];
    for (position, &own) in order.iter().enumerate() {
        permutation[own] = position;
    }
    let product = g.dot_general(other, &batch_pairs, &contract_pairs);
    product.transpose(&permutation)
}
