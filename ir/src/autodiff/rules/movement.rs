//! Derivatives of movement ops: each moves the cotangent back.

use super::{apply, window};
use crate::dtype::DType;
use crate::op::{Op, Padding};
use crate::shape::Shape;
use crate::tensor::Tensor;

pub(super) fn inverse(permutation: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; permutation.len()];
    for (to, &from) in permutation.iter().enumerate() {
        inverse[from] = to;
    }
    inverse
}

/// Adds up the copies that a broadcast to `axes` made.
pub(super) fn unbroadcast<'g>(g: Tensor<'g>, axes: &[usize]) -> Tensor<'g> {
    let repeated: Vec<usize> = (0..g.rank()).filter(|axis| !axes.contains(axis)).collect();
    match repeated.is_empty() {
        true => g,
        false => apply(Op::Sum(repeated), &[g]),
    }
}

/// Puts the elements of a slice of `x` back where they were, with zeros around and between them.
pub(super) fn unslice<'g>(
    g: Tensor<'g>,
    x: Tensor<'g>,
    start: &[usize],
    stride: &[usize],
) -> Tensor<'g> {
    let (taken, shape) = (g.shape(), x.shape());
    let padding = (0..shape.rank()).map(|axis| {
        if taken[axis] == 0 {
            return Padding {
                after: shape[axis],
                ..Padding::default()
            };
        }
        let last = start[axis] + (taken[axis] - 1) * stride[axis];
        Padding {
            before: start[axis],
            after: shape[axis] - 1 - last,
            // There are no gaps beside a single element, however large they would be.
            between: if taken[axis] > 1 { stride[axis] - 1 } else { 0 },
        }
    });
    let op = Op::Pad(padding.collect());
    let zero = g.graph().full(0.0, DType::F32, Shape::scalar());
    apply(op, &[g, zero])
}

/// Takes the elements of a padded `x` out again.
pub(super) fn unpad<'g>(g: Tensor<'g>, x: Tensor<'g>, padding: &[Padding]) -> Tensor<'g> {
    let shape = x.shape();
    let start: Vec<usize> = padding.iter().map(|axis| axis.before).collect();
    let stride: Vec<usize> = (0..shape.rank())
        .map(|axis| match shape[axis] {
            0 | 1 => 1,
            _ => padding[axis].between + 1,
        })
        .collect();
    let stop = (0..shape.rank()).map(|axis| match shape[axis] {
        0 => start[axis],
        extent => start[axis] + (extent - 1) * stride[axis] + 1,
    });
    let stop: Vec<usize> = stop.collect();
    let neighbours = stride.iter().all(|&stride| stride == 1);
    if let (true, Some(part)) = (neighbours, window::part(g, &start, &stop)) {
        return part;
    }
    let op = Op::Slice {
        start,
        stop,
        stride,
    };
    apply(op, &[g])
}

/// Adds up the cotangent of the padding around and between the elements of `x`.
///
/// These are chosen by a mask: a difference of two sums would add rounding errors.
pub(super) fn padded_sum<'g>(g: Tensor<'g>, x: Tensor<'g>, padding: &[Padding]) -> Tensor<'g> {
    let element = g.graph().full(0.0, DType::Bool, x.shape());
    let between = g.graph().full(1.0, DType::Bool, Shape::scalar());
    let is_padding = apply(Op::Pad(padding.to_vec()), &[element, between]);
    g.where_(is_padding, 0.0).sum(..)
}

/// The cotangent of one of the parts that were joined along an axis.
pub(super) fn part<'g>(
    g: Tensor<'g>,
    parts: &[Tensor<'g>],
    position: usize,
    axis: usize,
) -> Tensor<'g> {
    let extent = |part: &Tensor<'g>| part.shape()[axis];
    let start: usize = parts[..position].iter().map(extent).sum();
    g.slice(axis as isize, start..start + extent(&parts[position]))
}
