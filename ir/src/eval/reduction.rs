//! Reductions.

use super::numbers::Number;
use super::strided::{positions, strides};
use super::{Data, Value};
use crate::op::Op;
use crate::order::{self, Summand};
use crate::shape::Shape;

pub(super) fn evaluate(op: &Op, result: &Shape, x: &Value) -> Data {
    match x.data() {
        Data::F32(elements) => reduce(op, result, x.shape(), elements),
        Data::F64(elements) => reduce(op, result, x.shape(), elements),
        Data::I32(elements) => reduce(op, result, x.shape(), elements),
        Data::I64(elements) => reduce(op, result, x.shape(), elements),
        Data::U8(elements) => reduce(op, result, x.shape(), elements),
        Data::U32(elements) => reduce(op, result, x.shape(), elements),
        Data::U64(elements) => reduce(op, result, x.shape(), elements),
        _ => unreachable!("{} of {}", op.name(), x.ty()),
    }
}

fn reduce<T: Number + Summand>(op: &Op, result: &Shape, shape: &Shape, x: &[T]) -> Data
where
    Vec<T>: Into<Data>,
{
    match op {
        Op::Sum(axes) => rows(shape, axes, x, order::sum).into(),
        Op::ReduceMax(axes) => rows(shape, axes, x, |row| maximum(row)).into(),
        Op::ArgMax(axis) => rows(shape, &[*axis], x, arg_max).into(),
        &Op::WindowSum {
            axis,
            stride,
            dilation,
            ..
        } => window_sum(axis, [stride, dilation], shape, result, x).into(),
        _ => unreachable!("{} does not reduce", op.name()),
    }
}

/// `reduce` of the elements over `axes`, row-major, for each index of the other axes.
fn rows<T: Copy, R>(shape: &Shape, axes: &[usize], x: &[T], reduce: impl Fn(&[T]) -> R) -> Vec<R> {
    let all = strides(shape);
    let kept: Vec<usize> = (0..shape.rank())
        .filter(|axis| !axes.contains(axis))
        .collect();
    let of = |axes: &[usize]| {
        let extents: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
        let strides: Vec<isize> = axes.iter().map(|&axis| all[axis]).collect();
        positions(&extents, 0, &strides)
    };
    let (starts, along) = (of(&kept), of(axes));
    let mut row = Vec::with_capacity(along.len());
    let one = |start: usize| {
        row.clear();
        row.extend(along.iter().map(|&at| x[start + at]));
        reduce(&row)
    };
    starts.into_iter().map(one).collect()
}

fn maximum<T: Number>(row: &[T]) -> T {
    let (&first, rest) = row.split_first().expect("the type rule wants an element");
    rest.iter().fold(first, |so_far, &x| so_far.larger(x))
}

#[expect(clippy::eq_op, reason = "only NaN differs from itself")]
fn arg_max<T: Number>(row: &[T]) -> i32 {
    let maximum = maximum(row);
    let is_it = |&x: &T| x == maximum || x != x;
    row.iter()
        .position(is_it)
        .expect("the maximum is one of them") as i32
}

/// Adds window element (count, position) to where it was read, ascending in count.
fn window_sum<T: Summand>(
    axis: usize,
    [stride, dilation]: [usize; 2],
    shape: &Shape,
    result: &Shape,
    x: &[T],
) -> Vec<T> {
    let mut to_strides = strides(result);
    let along = to_strides[axis];
    to_strides.splice(
        axis..=axis,
        [stride, dilation].map(|step| (step as isize).wrapping_mul(along)),
    );
    let mut sums = vec![T::ZERO; result.elements()];
    // Row-major order visits the counts of one target in ascending order.
    for (&element, to) in x.iter().zip(positions(shape, 0, &to_strides)) {
        sums[to] = sums[to].plus(element);
    }
    sums
}
