//! Laws that hold for every shape: each op against its definition by indices.

use super::*;
use crate::op::{DotAxes, Padding};
use proptest::prelude::*;

fn extents(rank: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..5, rank)
}

/// The element at an index.
fn at(x: &[f32], shape: &Shape, index: &[usize]) -> f32 {
    let place = |(i, stride): (&usize, usize)| i * stride;
    x[index.iter().zip(shape.strides()).map(place).sum::<usize>()]
}

/// Asserts that element `index` of `op(x)` is element `from(index)` of x, for every index.
#[track_caller]
fn check_view(op: Op, x: &Value, from: impl Fn(&[usize]) -> Vec<usize>) {
    let got = &results(op.clone(), std::slice::from_ref(x), Precision::F32)[0];
    for index in got.shape().indices() {
        let wanted = at(x.as_f32(), x.shape(), &from(&index));
        assert_eq!(
            at(got.as_f32(), got.shape(), &index),
            wanted,
            "{op:?} at {index:?}"
        );
    }
}

fn dot_product(x: &Value, y: &Value) -> f64 {
    let (x, y) = (x.to_f64(), y.to_f64());
    x.iter().zip(&y).map(|(x, y)| x * y).sum()
}

proptest! {
    #[test]
    fn transpose_and_flip_by_index(
        (shape, order) in extents(0..=4).prop_flat_map(|shape| {
            let axes: Vec<usize> = (0..shape.len()).collect();
            (Just(shape), Just(axes).prop_shuffle())
        }),
        flipped in any::<u8>(),
    ) {
        let x = counted(shape.clone());
        check_view(Op::Transpose(order.clone()), &x, |index| {
            let mut from = vec![0; index.len()];
            for (i, &axis) in index.iter().zip(&order) {
                from[axis] = *i;
            }
            from
        });
        let axes: Vec<usize> = (0..shape.len()).filter(|axis| flipped >> axis & 1 == 1).collect();
        check_view(Op::Flip(axes.clone()), &x, |index| {
            let along = |axis: usize| match axes.contains(&axis) {
                true => shape[axis] - 1 - index[axis],
                false => index[axis],
            };
            (0..index.len()).map(along).collect()
        });
    }

    #[test]
    fn broadcast_by_index(shape in extents(1..=4), kept in any::<u8>()) {
        let axes: Vec<usize> = (0..shape.len()).filter(|axis| kept >> axis & 1 == 1).collect();
        let x = counted(axes.iter().map(|&axis| shape[axis]).collect::<Shape>());
        let op = Op::Broadcast { shape: shape.into(), axes: axes.clone() };
        check_view(op, &x, |index| axes.iter().map(|&axis| index[axis]).collect());
    }

    #[test]
    fn slice_by_index_and_pad_undoes_it(
        shape in extents(1..=3),
        start in 0usize..4,
        stride in 1usize..4,
    ) {
        let start: Vec<usize> = shape.iter().map(|extent| start % extent).collect();
        let steps = vec![stride; shape.len()];
        let op = Op::Slice { start: start.clone(), stop: shape.clone(), stride: steps };
        let x = counted(shape.clone());
        check_view(op.clone(), &x, |index| {
            index.iter().zip(&start).map(|(i, start)| start + i * stride).collect()
        });
        // The adjoint of a slice puts zeros where nothing was read.
        let part = results(op, std::slice::from_ref(&x), Precision::F32).remove(0);
        let padding = |axis: usize| {
            let read = (part.shape()[axis] - 1) * stride + 1;
            let after = shape[axis] - start[axis] - read;
            Padding { before: start[axis], after, between: stride - 1 }
        };
        let op = Op::Pad((0..shape.len()).map(padding).collect());
        let spread = results(op, &[part.clone(), Value::scalar(0.0f32)], Precision::F32).remove(0);
        prop_assert_eq!(dot_product(&spread, &x), dot_product(&part, &part));
        prop_assert_eq!(spread.to_f64().iter().sum::<f64>(), part.to_f64().iter().sum::<f64>());
    }

    #[test]
    fn window_by_index_and_its_adjoint(
        outer in extents(0..=1),
        inner in extents(0..=1),
        size in 1usize..4,
        stride in 1usize..4,
        dilation in 1usize..3,
        spare in 0usize..6,
    ) {
        let (axis, length) = (outer.len(), (size - 1) * dilation + 1 + spare);
        let x = noise(1, [outer, vec![length], inner].concat());
        let op = Op::Window { axis, size, stride, dilation };
        check_view(op.clone(), &x, |index| {
            let mut from = index.to_vec();
            let along = index[axis] * stride + index[axis + 1] * dilation;
            from.splice(axis..=axis + 1, [along]);
            from
        });
        let windows = results(op, std::slice::from_ref(&x), Precision::F64).remove(0);
        let y = noise(2, windows.shape().clone());
        let adjoint = Op::WindowSum { axis, length, stride, dilation };
        let sums = results(adjoint, std::slice::from_ref(&y), Precision::F64).remove(0);
        let (forward, backward) = (dot_product(&windows, &y), dot_product(&x, &sums));
        prop_assert!((forward - backward).abs() < 1e-9, "{} and {}", forward, backward);
    }

    #[test]
    fn dot_general_by_index(
        batch in extents(0..=1),
        contract in extents(0..=2),
        lhs_free in extents(0..=1),
        rhs_free in extents(0..=2),
        lhs_order in any::<prop::sample::Index>(),
        rhs_order in any::<prop::sample::Index>(),
    ) {
        // Axes are laid out as batch, contract, free and then rotated by some amount.
        let rotated = |free: &[usize], order: prop::sample::Index| {
            let mut shape = [&batch[..], &contract, free].concat();
            let by = order.index(shape.len().max(1));
            let rank = shape.len();
            shape.rotate_left(by);
            let place: Vec<usize> = (0..rank).map(|axis| (axis + rank - by) % rank).collect();
            (Shape::from(shape), place)
        };
        let (lhs_shape, lhs_place) = rotated(&lhs_free, lhs_order);
        let (rhs_shape, rhs_place) = rotated(&rhs_free, rhs_order);
        let pairs = |from: usize, count: usize| {
            (from..from + count).map(|axis| (lhs_place[axis], rhs_place[axis])).collect()
        };
        let axes = DotAxes {
            batch: pairs(0, batch.len()),
            contract: pairs(batch.len(), contract.len()),
        };
        let (lhs, rhs) = (noise(3, lhs_shape.clone()), noise(4, rhs_shape.clone()));
        let op = Op::DotGeneral(axes.clone());
        let got = results(op, &[lhs.clone(), rhs.clone()], Precision::F32).remove(0);
        let free = [axes.free(lhs_shape.rank(), true), axes.free(rhs_shape.rank(), false)];
        for index in got.shape().indices() {
            let (of_batch, rest) = index.split_at(batch.len());
            let (of_lhs, of_rhs) = rest.split_at(free[0].len());
            let mut sum = 0.0f32;
            for term in Shape::from(contract.clone()).indices() {
                let (mut l, mut r) = (vec![0; lhs_shape.rank()], vec![0; rhs_shape.rank()]);
                let pairs = axes.batch.iter().zip(of_batch);
                for (&(a, b), &i) in pairs.chain(axes.contract.iter().zip(&term)) {
                    (l[a], r[b]) = (i, i);
                }
                free[0].iter().zip(of_lhs).for_each(|(&axis, &i)| l[axis] = i);
                free[1].iter().zip(of_rhs).for_each(|(&axis, &i)| r[axis] = i);
                let x = at(lhs.as_f32(), &lhs_shape, &l);
                sum = x.mul_add(at(rhs.as_f32(), &rhs_shape, &r), sum);
            }
            prop_assert_eq!(at(got.as_f32(), got.shape(), &index).to_bits(), sum.to_bits());
        }
    }
}
