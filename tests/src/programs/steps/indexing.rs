//! Ops whose positions are known at run time, and random bits.

use crate::programs::generate::Builder;
use crate::programs::shapes::{integer, shape};
use bsq_ir::{DType, Op, Shape, Tensor, Type};

pub(super) fn step(builder: &mut Builder) {
    if builder.choices.once_in(10) {
        return random(builder);
    }
    let x = builder.any();
    if x.rank() == 0 {
        return;
    }
    let axis = builder.choices.below(x.rank());
    match builder.choices.below(4) {
        0 => {
            let indices = indices(builder);
            builder.add(Op::Gather { axis }, &[x, indices]);
        }
        1 => {
            let indices = indices(builder);
            let updates = Type::new(x.dtype(), x.shape().splice(axis, &indices.shape()));
            if updates.shape.elements() <= builder.limits.elements {
                let updates = builder.of(&updates);
                builder.add(Op::ScatterAdd { axis }, &[x, indices, updates]);
            }
        }
        2 => {
            let size = builder.choices.below(x.shape()[axis] + 1);
            let start = start(builder);
            builder.add(Op::DynamicSlice { axis, size }, &[x, start]);
        }
        _ => {
            let size = builder.choices.below(x.shape()[axis] + 1);
            let update = Type::new(x.dtype(), x.shape().splice(axis, &[size]));
            let update = builder.of(&update);
            let start = start(builder);
            builder.add(Op::DynamicUpdateSlice { axis }, &[x, update, start]);
        }
    }
}

/// Integers of rank 0 to 2, or any that there are.
fn indices<'g>(builder: &mut Builder<'g, '_, '_>) -> Tensor<'g> {
    let small = |ty: &Type| ty.dtype.is_integer() && ty.shape.elements() < 40;
    match builder.pick(small) {
        Some(found) if builder.choices.once_in(2) => found,
        _ => {
            let dtype = integer(builder.choices);
            let all = shape(builder.choices, &builder.limits);
            let some: Shape = all.iter().copied().take(2).map(|n| n.min(7)).collect();
            builder.of(&Type::new(dtype, some))
        }
    }
}

fn start<'g>(builder: &mut Builder<'g, '_, '_>) -> Tensor<'g> {
    let dtype = integer(builder.choices);
    builder.of(&Type::scalar(dtype))
}

fn random(builder: &mut Builder) {
    let [key, counter] = [(); 2].map(|()| builder.of(&Type::scalar(DType::U64)));
    let shape = shape(builder.choices, &builder.limits);
    if let Some(bits) = builder.add(Op::Random { shape }, &[key, counter])
        && builder.choices.once_in(2)
    {
        // Uniform numbers, as a model draws them.
        let high = bits.shift_right(8.0).cast(DType::F32);
        builder.keep(high * (1.0 / 16_777_216.0));
    }
}
