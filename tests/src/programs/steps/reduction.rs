//! Reductions, and the adjoint of windows.

use crate::programs::generate::Builder;
use crate::programs::shapes::some_axes;
use bsq_ir::{DType, Op, Tensor};

pub(super) fn step(builder: &mut Builder) {
    let x = builder.any_of(DType::is_arithmetic);
    let rank = x.rank();
    match builder.choices.below(8) {
        0..3 => {
            let axes = axes(builder, rank);
            builder.add(Op::Sum(axes), &[x]);
        }
        3..5 => {
            let axes = axes(builder, rank);
            builder.add(Op::ReduceMax(axes), &[x]);
        }
        5 if rank > 0 => {
            let axis = builder.choices.below(rank);
            builder.add(Op::ArgMax(axis), &[x]);
        }
        6 => {
            if let Some(x) = builder.pick(|ty| ty.dtype.is_arithmetic() && ty.shape.rank() > 1) {
                window_sum(builder, x);
            }
        }
        // A mean, and what is left of it.
        7 if x.dtype() == DType::F32 && rank > 0 => {
            let mean = x.mean(-1);
            builder.keep(mean);
            let centred = x - mean.expand_axes(-1, x.shape());
            builder.keep(centred);
        }
        _ => {}
    }
}

/// Any, often the last alone.
fn axes(builder: &mut Builder, rank: usize) -> Vec<usize> {
    match builder.choices.below(3) {
        0 if rank > 0 => vec![rank - 1],
        1 => (0..rank).collect(),
        _ => some_axes(builder.choices, rank),
    }
}

fn window_sum<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) {
    let axis = builder.choices.below(x.rank() - 1);
    let (count, size) = (x.shape()[axis], x.shape()[axis + 1]);
    let [stride, dilation] = [(); 2].map(|()| 1 + builder.choices.below(3));
    let span = size.saturating_sub(1) * dilation + 1;
    let length = count.saturating_sub(1) * stride + span + builder.choices.below(3);
    builder.add(
        Op::WindowSum {
            axis,
            length,
            stride,
            dilation,
        },
        &[x],
    );
}
