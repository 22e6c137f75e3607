//! The contraction.

use super::strided::{pick, positions, strides};
use super::{Data, Value};
use crate::math::with_fma;
use crate::op::Op;

pub(super) fn evaluate(op: &Op, lhs: &Value, rhs: &Value) -> Data {
    let Op::DotGeneral(axes) = op else {
        unreachable!("{} does not contract", op.name())
    };
    let lhs_free = axes.free(lhs.shape().rank(), true);
    let rhs_free = axes.free(rhs.shape().rank(), false);
    let left = |pairs: &[(usize, usize)]| pairs.iter().map(|pair| pair.0).collect();
    let right = |pairs: &[(usize, usize)]| pairs.iter().map(|pair| pair.1).collect();
    let [batch, k]: [Vec<usize>; 2] = [left(&axes.batch), left(&axes.contract)];
    let from_lhs = in_order(lhs, [&batch, &lhs_free, &k]);
    let [rhs_batch, rhs_k]: [Vec<usize>; 2] = [right(&axes.batch), right(&axes.contract)];
    let from_rhs = in_order(rhs, [&rhs_batch, &rhs_k, &rhs_free]);
    let extent = |x: &Value, axes: &[usize]| axes.iter().map(|&axis| x.shape()[axis]).product();
    let (m, n) = (extent(lhs, &lhs_free), extent(rhs, &rhs_free));
    let (batch, k) = (extent(lhs, &batch), extent(lhs, &k));
    let sizes = [batch, m, k, n];
    match (lhs.data(), rhs.data()) {
        (Data::F32(lhs), Data::F32(rhs)) => {
            let (lhs, rhs) = (pick(lhs, &from_lhs), pick(rhs, &from_rhs));
            with_fma(|| product(sizes, &lhs, &rhs, 0.0, f32::mul_add)).into()
        }
        (Data::F64(lhs), Data::F64(rhs)) => {
            let (lhs, rhs) = (pick(lhs, &from_lhs), pick(rhs, &from_rhs));
            with_fma(|| product(sizes, &lhs, &rhs, 0.0, f64::mul_add)).into()
        }
        _ => unreachable!("{} takes f32", op.name()),
    }
}

/// Positions of the elements when the axes are put in this order.
fn in_order(x: &Value, axes: [&[usize]; 3]) -> Vec<usize> {
    let (axes, all) = (axes.concat(), strides(x.shape()));
    let extents: Vec<usize> = axes.iter().map(|&axis| x.shape()[axis]).collect();
    let strides: Vec<isize> = axes.iter().map(|&axis| all[axis]).collect();
    positions(&extents, 0, &strides)
}

/// lhs `[batch, m, k]` times rhs `[batch, k, n]`: every element starts from zero and takes its terms in ascending k.
#[inline(always)]
fn product<T: Copy>(
    [batch, m, k, n]: [usize; 4],
    lhs: &[T],
    rhs: &[T],
    zero: T,
    mul_add: impl Fn(T, T, T) -> T,
) -> Vec<T> {
    let mut result = vec![zero; batch * m * n];
    if n == 0 {
        return result;
    }
    for (index, row) in result.chunks_exact_mut(n).enumerate() {
        let batch = index / m;
        for term in 0..k {
            let x = lhs[index * k + term];
            let terms = &rhs[(batch * k + term) * n..][..n];
            for (sum, &y) in row.iter_mut().zip(terms) {
                *sum = mul_add(x, y, *sum);
            }
        }
    }
    result
}
