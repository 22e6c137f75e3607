//! Reductions and the contraction.

use super::*;
use crate::op::DotAxes;
use crate::order;

const NAN: f32 = f32::NAN;

#[test]
fn sum_over_axes() {
    let x = [counted([2, 3])];
    check(Op::Sum(vec![1]), &x, row(&[3.0f32, 12.0]));
    check(Op::Sum(vec![0]), &x, row(&[3.0f32, 5.0, 7.0]));
    check(Op::Sum(vec![0, 1]), &x, Value::scalar(15.0f32));
    check(Op::Sum(vec![0]), &[row(&[200u8, 100])], Value::scalar(44u8));
    check(Op::Sum(vec![1]), &[counted([2, 0])], row(&[0.0f32, 0.0]));
    check(Op::Sum(vec![0]), &[row(&[-0.0f32])], Value::scalar(0.0f32));
}

#[test]
fn sum_takes_the_elements_row_major_in_the_fixed_order() {
    let x = noise(1, [3, 70, 50]);
    let elements = x.as_f32().to_vec();
    check(
        Op::Sum(vec![0, 1, 2]),
        std::slice::from_ref(&x),
        Value::scalar(order::sum(&elements)),
    );
    // Over axes 0 and 2: for each j, all (i, j, k) with k fastest.
    let wanted: Vec<f32> = (0..70)
        .map(|j| {
            let of = |i: usize| &elements[(i * 70 + j) * 50..][..50];
            order::sum(&[of(0), of(1), of(2)].concat())
        })
        .collect();
    check(Op::Sum(vec![0, 2]), &[x], Value::new([70], wanted));
}

#[test]
fn reduce_max() {
    let x = Value::new([2, 3], vec![1.0f32, NAN, 2.0, -5.0, -0.0, 0.0]);
    check(
        Op::ReduceMax(vec![1]),
        std::slice::from_ref(&x),
        row(&[NAN, 0.0]),
    );
    check(Op::ReduceMax(vec![0]), &[x], row(&[1.0f32, NAN, 2.0]));
    check(
        Op::ReduceMax(vec![0]),
        &[row(&[-3i32, -2])],
        Value::scalar(-2i32),
    );
}

#[test]
fn argmax_takes_the_first() {
    let of = |x: &[f32], wanted: i32| check(Op::ArgMax(0), &[row(x)], Value::scalar(wanted));
    of(&[1.0, 3.0, 3.0], 1);
    of(&[-0.0, 0.0], 0);
    of(&[5.0, NAN, 9.0, NAN], 1);
    let x = Value::new([2, 2], vec![1u32, 7, 3, 2]);
    check(Op::ArgMax(0), std::slice::from_ref(&x), row(&[1i32, 0]));
    check(Op::ArgMax(1), &[x], row(&[1i32, 0]));
}

#[test]
fn window_sum_is_the_adjoint_of_window() {
    let op = Op::WindowSum {
        axis: 0,
        length: 6,
        stride: 2,
        dilation: 1,
    };
    let x = Value::new([2, 3], vec![1.0f32, 2.0, 3.0, 10.0, 20.0, 30.0]);
    check(op, &[x], row(&[1.0f32, 2.0, 13.0, 20.0, 30.0, 0.0]));
    // Along the first of two axes, dilated.
    let op = Op::WindowSum {
        axis: 0,
        length: 3,
        stride: 1,
        dilation: 2,
    };
    let x = Value::new([1, 2, 2], vec![1i32, 2, 3, 4]);
    check(op, &[x], Value::new([3, 2], vec![1i32, 2, 0, 0, 3, 4]));
}

#[test]
fn window_sum_adds_in_ascending_count() {
    // Three windows of size 3 meet at element 2: counts 0, 1, 2 in this order.
    let op = Op::WindowSum {
        axis: 0,
        length: 5,
        stride: 1,
        dilation: 1,
    };
    let mut x = vec![0.0f32; 9];
    (x[2], x[4], x[6]) = (1e30, -1e30, 1.0);
    let wanted = row(&[0.0f32, 0.0, 1.0, 0.0, 0.0]);
    check(op, &[Value::new([3, 3], x)], wanted);
}

fn dot(batch: &[(usize, usize)], contract: &[(usize, usize)]) -> Op {
    let (batch, contract) = (batch.to_vec(), contract.to_vec());
    Op::DotGeneral(DotAxes { batch, contract })
}

#[test]
fn dot_general() {
    let (x, y) = (counted([2, 3]), counted([3, 2]));
    let wanted = Value::new([2, 2], vec![10.0f32, 13.0, 28.0, 40.0]);
    check(dot(&[], &[(1, 0)]), &[x.clone(), y.clone()], wanted);
    // x^T y^T.
    let wanted = [[3.0f32, 9.0, 15.0], [4.0, 14.0, 24.0], [5.0, 19.0, 33.0]];
    check(
        dot(&[], &[(0, 1)]),
        &[x.clone(), y.clone()],
        Value::new([3, 3], wanted.concat()),
    );
    // Both axes contracted, crosswise.
    check(
        dot(&[], &[(0, 1), (1, 0)]),
        &[x.clone(), y],
        Value::scalar(50.0f32),
    );
    // Batch axis 1 of both.
    let wanted = Value::new([3], vec![9.0f32, 17.0, 29.0]);
    check(dot(&[(1, 1)], &[(0, 0)]), &[x.clone(), x.clone()], wanted);
    // An outer product; an empty contraction.
    let wanted = Value::new([2, 2], vec![3.0f32, 4.0, 6.0, 8.0]);
    check(
        dot(&[], &[]),
        &[row(&[1.0f32, 2.0]), row(&[3.0f32, 4.0])],
        wanted,
    );
    let operands = [counted([2, 0]), counted([0, 1])];
    check(
        dot(&[], &[(1, 0)]),
        &operands,
        Value::new([2, 1], vec![0.0f32; 2]),
    );
    check(
        dot(&[], &[(1, 0)]),
        &[x, counted([3, 0])],
        Value::new([2, 0], Vec::<f32>::new()),
    );
}

#[test]
fn dot_general_fuses_each_term_in_ascending_order() {
    let (x, y) = (noise(2, [5, 300]), noise(3, [300, 4]));
    let (a, b) = (x.as_f32(), y.as_f32());
    let mut wanted = Vec::new();
    for (i, j) in (0..5).flat_map(|i| (0..4).map(move |j| (i, j))) {
        let term = |sum, k: usize| a[i * 300 + k].mul_add(b[k * 4 + j], sum);
        wanted.push((0..300).fold(0.0, term));
    }
    let wanted = Value::new([5, 4], wanted);
    check(dot(&[], &[(1, 0)]), &[x.clone(), y.clone()], wanted);
    // Listed order of the contracted axes is the order of the terms: k = (k1, k0).
    let x3 = Value::new([5, 3, 100], a.to_vec());
    let y3 = Value::new([3, 100, 4], b.to_vec());
    let mut wanted = Vec::new();
    for (i, j) in (0..5).flat_map(|i| (0..4).map(move |j| (i, j))) {
        let order = (0..100).flat_map(|k1| (0..3).map(move |k0| k0 * 100 + k1));
        let term = |sum, k: usize| a[i * 300 + k].mul_add(b[k * 4 + j], sum);
        wanted.push(order.fold(0.0, term));
    }
    let wanted = Value::new([5, 4], wanted);
    check(dot(&[], &[(2, 1), (1, 0)]), &[x3, y3], wanted);
}

#[test]
fn dot_general_rounds_once_per_term() {
    // (1 + e)^2 = 1 + 2e + e^2: e^2 survives only if the product is not rounded first.
    let e = 2f32.powi(-12);
    let x = row(&[1.0f32, 1.0 + e]);
    let y = row(&[-(1.0 + 2.0 * e), 1.0 + e]);
    check(dot(&[], &[(0, 0)]), &[x, y], Value::scalar(e * e));
}
