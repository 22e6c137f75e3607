//! Contractions with any batch and contracted axes.

use crate::programs::generate::Builder;
use crate::programs::shapes::{extent, permutation};
use bsq_ir::{DType, DotAxes, Op, Shape, Tensor, Type};

pub(super) fn step(builder: &mut Builder) {
    let x = builder.any_f32();
    match builder.choices.below(3) {
        0 => any_pairs(builder, x),
        _ => fitting(builder, x),
    }
}

/// Pairs of equal axes of two values that there are.
fn any_pairs<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) {
    let y = builder.any_f32();
    let mut axes = DotAxes::default();
    let mut free: Vec<usize> = (0..y.rank()).collect();
    for l in permutation(builder.choices, x.rank()) {
        let equal: Vec<usize> = free
            .iter()
            .copied()
            .filter(|&r| y.shape()[r] == x.shape()[l])
            .collect();
        if equal.is_empty() {
            continue;
        }
        let r = builder.choices.of(&equal);
        match builder.choices.below(3) {
            0 => axes.batch.push((l, r)),
            1 => axes.contract.push((l, r)),
            _ => continue,
        }
        free.retain(|&other| other != r);
    }
    builder.add(Op::DotGeneral(axes), &[x, y]);
}

/// The other side is made to fit: some axes of the first are batch, some contracted, in any order,
/// with free ones between.
fn fitting<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) {
    let mut axes = DotAxes::default();
    let mut sides = Vec::new();
    for l in 0..x.rank() {
        match builder.choices.below(4) {
            0 => sides.push((Some(l), true)),
            1 | 2 => sides.push((Some(l), false)),
            _ => {}
        }
    }
    for _ in 0..builder.choices.below(3) {
        sides.push((None, false));
    }
    let order = permutation(builder.choices, sides.len());
    let mut shape = Vec::new();
    for (r, &place) in order.iter().enumerate() {
        let (l, batch) = sides[place];
        shape.push(match l {
            Some(l) => x.shape()[l],
            None => extent(builder.choices),
        });
        match (l, batch) {
            (Some(l), true) => axes.batch.push((l, r)),
            (Some(l), false) => axes.contract.push((l, r)),
            (None, _) => {}
        }
    }
    let shape: Shape = shape.into();
    if shape.elements() > builder.limits.elements {
        return;
    }
    let y = builder.of(&Type::new(DType::F32, shape));
    builder.add(Op::DotGeneral(axes), &[x, y]);
}
