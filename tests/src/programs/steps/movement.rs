//! Ops that move elements.

use crate::programs::generate::Builder;
use crate::programs::shapes::{RANK, extent, permutation, reshaped, some_axes};
use bsq_ir::{Op, Padding, Shape, Tensor, Type};

pub(super) fn step(builder: &mut Builder) {
    let x = builder.any();
    let (shape, rank) = (x.shape(), x.rank());
    match builder.choices.below(10) {
        0 | 1 => {
            let shape = reshaped(builder.choices, &shape);
            builder.add(Op::Reshape(shape), &[x]);
        }
        2 => {
            let axes = permutation(builder.choices, rank);
            builder.add(Op::Transpose(axes), &[x]);
        }
        3 => broadcast(builder, x),
        4 | 5 => slice(builder, x),
        6 => pad(builder, x),
        7 if rank > 0 => concat(builder, x),
        8 => {
            let axes = some_axes(builder.choices, rank);
            builder.add(Op::Flip(axes), &[x]);
        }
        9 if rank > 0 => window(builder, x),
        _ => {}
    }
}

/// Axes of any extent between those that there are.
fn broadcast<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) {
    let (mut shape, mut axes) = (Vec::new(), Vec::new());
    for &old in x.shape().iter() {
        while builder.choices.once_in(4) && shape.len() < RANK {
            let new = extent(builder.choices);
            shape.push(new);
        }
        axes.push(shape.len());
        shape.push(old);
    }
    if axes.len() == shape.len() || builder.choices.once_in(3) {
        let new = extent(builder.choices);
        shape.push(new);
    }
    let shape: Shape = shape.into();
    builder.add(Op::Broadcast { shape, axes }, &[x]);
}

/// Any part of every axis, often with steps; empty parts where the limits allow them.
fn slice<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) {
    let (mut start, mut stop, mut stride) = (Vec::new(), Vec::new(), Vec::new());
    for &extent in x.shape().iter() {
        let whole = builder.choices.once_in(2);
        let a = if whole {
            0
        } else {
            builder.choices.below(extent + 1)
        };
        let b = match whole {
            true => extent,
            false => a + builder.choices.below(extent - a + 1),
        };
        // Without a rare empty part most slices would have one.
        let empty = builder.choices.once_in(16);
        let (a, b) = match a == b && !empty && extent > 0 {
            true => (a.min(extent - 1), extent),
            false => (a, b),
        };
        start.push(a);
        stop.push(b);
        stride.push(builder.choices.of(&[1, 1, 1, 2, 3, 5]));
    }
    builder.add(
        Op::Slice {
            start,
            stop,
            stride,
        },
        &[x],
    );
}

/// Before, after and between the elements of some axes, with any value.
fn pad<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) {
    let padding: Vec<Padding> = (0..x.rank())
        .map(|_| match builder.choices.once_in(2) {
            true => Padding {
                before: builder.choices.below(4),
                after: builder.choices.below(4),
                between: builder.choices.of(&[0, 0, 1, 2]),
            },
            false => Padding::default(),
        })
        .collect();
    let value = builder.of(&Type::scalar(x.dtype()));
    builder.add(Op::Pad(padding), &[x, value]);
}

/// One to four that differ in the extent of one axis only.
fn concat<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) {
    let (ty, axis) = (x.ty(), builder.choices.below(x.rank()));
    let mut operands = vec![x];
    for _ in 0..builder.choices.below(4) {
        let fits = |other: &Type| {
            let same = |a: usize| a == axis || other.shape[a] == ty.shape[a];
            other.dtype == ty.dtype
                && other.shape.rank() == ty.shape.rank()
                && (0..ty.shape.rank()).all(same)
        };
        let next = match builder.choices.below(3) {
            0 => {
                let other = extent(builder.choices);
                let ty = Type::new(ty.dtype, ty.shape.splice(axis, &[other.min(9)]));
                builder.of(&ty)
            }
            _ => builder.pick(fits).expect("the first operand fits"),
        };
        operands.insert(builder.choices.below(operands.len() + 1), next);
    }
    builder.add(Op::Concat { axis }, &operands);
}

fn window<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) {
    let axis = builder.choices.below(x.rank());
    let extent = x.shape()[axis];
    if extent == 0 {
        return;
    }
    let size = 1 + builder.choices.below(extent.min(5));
    let room = (extent - 1) / (size - 1).max(1);
    let dilation = 1 + builder.choices.below(room.clamp(1, 3));
    let stride = 1 + builder.choices.below(3);
    builder.add(
        Op::Window {
            axis,
            size,
            stride,
            dilation,
        },
        &[x],
    );
}
