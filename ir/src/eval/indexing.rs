//! Random bits, and ops whose positions are operands.

use super::movement::written;
use super::numbers::Number;
use super::strided::{pick, positions, strides};
use super::value::{each_number_pair, each_type};
use super::{Data, Value};
use crate::op::Op;
use crate::philox::random_word;
use crate::shape::Shape;

pub(super) fn evaluate(op: &Op, result: &Shape, operands: &[&Value]) -> Data {
    let x = operands[0];
    match *op {
        Op::Random { .. } => random(result, operands[0], operands[1]),
        Op::Gather { axis } => {
            let from = gathered(x.shape(), axis, operands[1]);
            each_type!(x.data(), x => pick(x, &from).into())
        }
        Op::ScatterAdd { axis } => scatter_add(axis, x, operands[1], operands[2]),
        Op::DynamicSlice { axis, size } => {
            let start = clamped(operands[1], x.shape()[axis] - size)[0];
            let from = block(x.shape(), axis, start, result);
            each_type!(x.data(), x => pick(x, &from).into())
        }
        Op::DynamicUpdateSlice { axis } => {
            let update = operands[1];
            let last = x.shape()[axis] - update.shape()[axis];
            let start = clamped(operands[2], last)[0];
            let to = block(x.shape(), axis, start, update.shape());
            written(x.data().clone(), &to, update.data())
        }
        _ => unreachable!("{} does not index", op.name()),
    }
}

fn random(result: &Shape, key: &Value, counter: &Value) -> Data {
    let (Data::U64(key), Data::U64(counter)) = (key.data(), counter.data()) else {
        unreachable!("key and counter are u64")
    };
    let word = |index: usize| random_word(key[0], counter[0], index as u64);
    Data::U32((0..result.elements()).map(word).collect())
}

/// Integers as positions from 0 to `last`.
fn clamped(indices: &Value, last: usize) -> Vec<usize> {
    let signed = |x: i64| usize::try_from(x.max(0)).unwrap_or(last).min(last);
    let unsigned = |x: u64| usize::try_from(x).unwrap_or(last).min(last);
    match indices.data() {
        Data::I32(x) => x.iter().map(|&x| signed(x.into())).collect(),
        Data::I64(x) => x.iter().map(|&x| signed(x)).collect(),
        Data::U8(x) => x.iter().map(|&x| unsigned(x.into())).collect(),
        Data::U32(x) => x.iter().map(|&x| unsigned(x.into())).collect(),
        Data::U64(x) => x.iter().map(|&x| unsigned(x)).collect(),
        _ => unreachable!("indices are integers"),
    }
}

/// Positions in `shape` of the elements of a gather along `axis`, row-major in its result.
fn gathered(shape: &Shape, axis: usize, indices: &Value) -> Vec<usize> {
    let stride = shape.strides()[axis];
    let outer: usize = shape[..axis].iter().product();
    let indices = clamped(indices, shape[axis] - 1);
    let mut from = Vec::with_capacity(outer * indices.len() * stride);
    for block in 0..outer {
        for &index in &indices {
            let start = (block * shape[axis] + index) * stride;
            from.extend(start..start + stride);
        }
    }
    from
}

/// Positions in `shape` of a part that starts at `start` along `axis`.
fn block(shape: &Shape, axis: usize, start: usize, part: &Shape) -> Vec<usize> {
    positions(part, start * shape.strides()[axis], &strides(shape))
}

fn scatter_add(axis: usize, x: &Value, indices: &Value, updates: &Value) -> Data {
    let to = gathered(x.shape(), axis, indices);
    each_number_pair!(Op::ScatterAdd { axis }, (x.data(), updates.data()),
        (x, y) => added(x, &to, y).into())
}

fn added<T: Number>(x: &[T], to: &[usize], updates: &[T]) -> Vec<T> {
    let mut sums = x.to_vec();
    for (&at, &update) in to.iter().zip(updates) {
        sums[at] = sums[at].add(update);
    }
    sums
}
