//! Ops that move elements.

use super::*;
use crate::op::Padding;

#[test]
fn reshape_keeps_the_row_major_order() {
    check(
        Op::Reshape([3, 2].into()),
        &[counted([2, 3])],
        counted([3, 2]),
    );
    check(Op::Reshape([1].into()), &[Value::scalar(7u8)], row(&[7u8]));
}

#[test]
fn transpose() {
    let wanted = Value::new([3, 2], vec![0.0f32, 3.0, 1.0, 4.0, 2.0, 5.0]);
    check(Op::Transpose(vec![1, 0]), &[counted([2, 3])], wanted);
    let x = counted([2, 3, 4]);
    // Result [4, 2, 3]: element (i, j, k) is x's (j, k, i).
    let element = |i: usize, j: usize, k: usize| (j * 12 + k * 4 + i) as f32;
    let all = (0..4).flat_map(|i| (0..2).flat_map(move |j| (0..3).map(move |k| (i, j, k))));
    let wanted: Vec<f32> = all.map(|(i, j, k)| element(i, j, k)).collect();
    check(
        Op::Transpose(vec![2, 0, 1]),
        &[x],
        Value::new([4, 2, 3], wanted),
    );
}

#[test]
fn broadcast_repeats() {
    let to = |shape: &[usize], axes: &[usize]| Op::Broadcast {
        shape: shape.into(),
        axes: axes.to_vec(),
    };
    let x = row(&[1i32, 2]);
    let wanted = Value::new([3, 2], vec![1i32, 2, 1, 2, 1, 2]);
    check(to(&[3, 2], &[1]), std::slice::from_ref(&x), wanted);
    let wanted = Value::new([2, 3], vec![1i32, 1, 1, 2, 2, 2]);
    check(to(&[2, 3], &[0]), &[x], wanted);
    check(to(&[2], &[]), &[Value::scalar(true)], row(&[true, true]));
}

#[test]
fn slice_with_strides() {
    let op = Op::Slice {
        start: vec![1, 0],
        stop: vec![3, 4],
        stride: vec![1, 3],
    };
    let wanted = Value::new([2, 2], vec![4.0f32, 7.0, 8.0, 11.0]);
    check(op, &[counted([3, 4])], wanted);
    let empty = Op::Slice {
        start: vec![2],
        stop: vec![2],
        stride: vec![1],
    };
    check(empty, &[counted([3])], row::<f32>(&[]));
}

#[test]
fn pad_around_and_between() {
    let padding = |before, after, between| Padding {
        before,
        after,
        between,
    };
    let op = Op::Pad(vec![padding(1, 0, 0), padding(0, 2, 1)]);
    let operands = [counted([2, 2]), Value::scalar(9.0f32)];
    let wanted = [
        [9.0f32, 9.0, 9.0, 9.0, 9.0],
        [0.0, 9.0, 1.0, 9.0, 9.0],
        [2.0, 9.0, 3.0, 9.0, 9.0],
    ];
    check(op, &operands, Value::new([3, 5], wanted.concat()));
    let operands = [row::<u8>(&[]), Value::scalar(1u8)];
    check(Op::Pad(vec![padding(1, 1, 3)]), &operands, row(&[1u8, 1]));
}

#[test]
fn concat() {
    let x = Value::new([2, 1], vec![1i64, 2]);
    let y = Value::new([2, 2], vec![3i64, 4, 5, 6]);
    let wanted = Value::new([2, 3], vec![1i64, 3, 4, 2, 5, 6]);
    check(Op::Concat { axis: 1 }, &[x.clone(), y], wanted);
    let wanted = Value::new([4, 1], vec![1i64, 2, 1, 2]);
    check(Op::Concat { axis: 0 }, &[x.clone(), x], wanted);
}

#[test]
fn flip() {
    let x = [counted([2, 3])];
    let wanted = Value::new([2, 3], vec![2.0f32, 1.0, 0.0, 5.0, 4.0, 3.0]);
    check(Op::Flip(vec![1]), &x, wanted);
    let wanted = Value::new([2, 3], vec![5.0f32, 4.0, 3.0, 2.0, 1.0, 0.0]);
    check(Op::Flip(vec![0, 1]), &x, wanted);
    check(Op::Flip(vec![0]), &[counted([0, 2])], counted([0, 2]));
}

#[test]
fn window_overlaps() {
    let window = |axis, size, stride, dilation| Op::Window {
        axis,
        size,
        stride,
        dilation,
    };
    let wanted = [[0.0f32, 1.0, 2.0], [2.0, 3.0, 4.0]].concat();
    check(
        window(0, 3, 2, 1),
        &[counted([6])],
        Value::new([2, 3], wanted),
    );
    let wanted = [[0.0f32, 3.0], [1.0, 4.0]].concat();
    check(
        window(0, 2, 1, 3),
        &[counted([5])],
        Value::new([2, 2], wanted),
    );
    // Along the middle axis: [2, 3, 2] becomes [2, 2, 2, 2].
    let wanted: Vec<f32> = [0, 2, 6, 8]
        .into_iter()
        .flat_map(|start| (start..start + 4).map(|i| i as f32))
        .collect();
    let wanted = Value::new([2, 2, 2, 2], wanted);
    check(window(1, 2, 1, 1), &[counted([2, 3, 2])], wanted);
}
