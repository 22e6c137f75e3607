//! Derivatives of reductions: each gives the cotangent to the elements that were reduced.

use super::apply;
use crate::dtype::DType;
use crate::op::Op;
use crate::tensor::Tensor;

/// A reduced tensor repeated over the axes that were reduced from `x`.
pub(super) fn repeat<'g>(reduced: Tensor<'g>, axes: &[usize], x: Tensor<'g>) -> Tensor<'g> {
    let kept: Vec<usize> = (0..x.rank()).filter(|axis| !axes.contains(axis)).collect();
    reduced.broadcast_in_dim(x.shape(), &kept)
}

/// The cotangent of a maximum, in equal shares, at the elements of `x` that are it.
pub(super) fn share_among_largest<'g>(
    g: Tensor<'g>,
    maximum: Tensor<'g>,
    axes: &[usize],
    x: Tensor<'g>,
) -> Tensor<'g> {
    let is_largest = x.eq(repeat(maximum, axes, x));
    let count = apply(Op::Sum(axes.to_vec()), &[is_largest.cast(DType::F32)]);
    repeat(g / count, axes, x).where_(is_largest, 0.0)
}

/// The cotangent of windows of `x`, added up where they overlapped.
pub(super) fn window_sum<'g>(g: Tensor<'g>, x: Tensor<'g>, op: &Op) -> Tensor<'g> {
    let &Op::Window {
        axis,
        stride,
        dilation,
        size: _,
    } = op
    else {
        unreachable!("{} makes no windows", op.name())
    };
    let length = x.shape()[axis];
    let adjoint = Op::WindowSum {
        axis,
        length,
        stride,
        dilation,
    };
    apply(adjoint, &[g])
}

/// The windows of the cotangent that were added up.
pub(super) fn window<'g>(g: Tensor<'g>, x: Tensor<'g>, op: &Op) -> Tensor<'g> {
    let &Op::WindowSum {
        axis,
        stride,
        dilation,
        length: _,
    } = op
    else {
        unreachable!("{} adds no windows", op.name())
    };
    let (count, size) = (x.shape()[axis], x.shape()[axis + 1]);
    // The length may have room for more windows than `x` has.
    let axis = axis as isize;
    g.window(axis, size, stride, dilation).slice(axis, 0..count)
}
