//! What moves, selects or sorts along axes.

use super::{INF, NAN, assert_bits, data, each, floats, numbers, whole};
use bsq_ir::eval::{Precision, Values, evaluate};
use bsq_ir::{DType, Graph, Tensor};

#[test]
fn running_sums_and_triangles() {
    let x: Vec<f32> = (0..22).map(|i| (i * i % 13) as f32).collect();
    let sums = floats(&[2, 11], &x, |x| x.cumsum(1));
    for row in 0..2 {
        let mut sum = 0.0;
        for i in 0..11 {
            sum += x[row * 11 + i];
            assert_eq!(sums[row * 11 + i], sum);
        }
    }
    // What comes later does not touch what is before.
    assert_bits(
        &each(&[1.0, INF, NAN, 1.0], |x| x.cumsum(0)),
        &[1.0, INF, NAN, NAN],
    );
    assert_bits(&each(&[], |x| x.cumsum(0)), &[]);
    let integers = data(&[3], &[250.0, 5.0, 3.0], |x| x.cast(DType::U8).cumsum(0));
    assert_eq!(whole(&integers, DType::U8), [250, 255, 2]);
    let x = [NAN, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0];
    for diagonal in -5..5_isize {
        let keeps = |below: bool| -> Vec<f32> {
            let element = |i: usize| {
                let (row, column) = (i / 4, i % 4);
                let distance = column as isize - row as isize;
                let kept = if below {
                    distance <= diagonal
                } else {
                    distance >= diagonal
                };
                if kept { x[i] } else { 0.0 }
            };
            (0..12).map(element).collect()
        };
        assert_bits(&floats(&[3, 4], &x, |x| x.tril(diagonal)), &keeps(true));
        assert_bits(&floats(&[3, 4], &x, |x| x.triu(diagonal)), &keeps(false));
    }
    assert_bits(&floats(&[3, 4], &x, |x| x.triu(isize::MIN)), &x);
}

#[test]
fn stacks_and_one_hots() {
    let y = floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0], |x| {
        x.graph().stack(&[x, -x], 1)
    });
    assert_eq!(y, [1.0, 2.0, -1.0, -2.0, 3.0, 4.0, -3.0, -4.0]);
    let y = floats(&[2], &[1.0, 2.0], |x| x.graph().stack(&[x, -x], -1));
    assert_eq!(y, [1.0, -1.0, 2.0, -2.0]);
    let y = floats(&[3], &[2.0, 0.0, -1.0], |x| x.cast(DType::I32).one_hot(3));
    assert_eq!(y, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    // More classes than the type of the labels counts.
    let y = floats(&[1], &[1.0], |x| x.cast(DType::U8).one_hot(300));
    assert_eq!(y.iter().position(|&x| x == 1.0), Some(1));
    assert_eq!(y.iter().sum::<f32>(), 1.0);
}

#[test]
fn sorting_is_stable_with_nan_last() {
    let x = [2.0, NAN, -1.0, INF, -0.0, 2.0, 0.0, -INF, NAN, 1.0];
    let numbered = |word: for<'g> fn(Tensor<'g>) -> (Tensor<'g>, Tensor<'g>)| {
        let values = each(&x, |x| word(x).0);
        (values, data(&[10], &x, |x| word(x).1))
    };
    let (values, indices) = numbered(|x| x.sort(0));
    assert_bits(
        &values,
        &[-INF, -1.0, -0.0, 0.0, 1.0, 2.0, 2.0, INF, NAN, NAN],
    );
    assert_eq!(whole(&indices, DType::I32), [7, 2, 4, 6, 9, 0, 5, 3, 1, 8]);
    let (values, indices) = numbered(|x| x.top_k(5, 0));
    assert_bits(&values, &[INF, 2.0, 2.0, 1.0, -0.0]);
    assert_eq!(whole(&indices, DType::I32), [3, 0, 5, 9, 4]);
    let (values, _) = numbered(|x| x.top_k(10, -1));
    assert_bits(&values[7..], &[-INF, NAN, NAN]);
    // Every axis of three.
    let x = numbers(60);
    for axis in 0..3 {
        let g = Graph::new();
        let y = g.constant_f32(&x, [3, 4, 5]);
        let (sorted, indices) = y.sort(axis as isize);
        assert!(sorted.shape() == y.shape() && indices.shape() == y.shape());
        let function = g.function([("y", sorted.id())], []);
        let run = evaluate(&function, &Values::new(), &Values::new(), Precision::F32).unwrap();
        let got = run.outputs["y"].as_f32();
        let (extent, stride) = ([3, 4, 5][axis], [20, 5, 1][axis]);
        for start in (0..60).filter(|i| i / stride % extent == 0) {
            let mut row: Vec<f32> = (0..extent).map(|i| x[start + i * stride]).collect();
            row.sort_by(f32::total_cmp);
            let got: Vec<f32> = (0..extent).map(|i| got[start + i * stride]).collect();
            assert_eq!(got, row);
        }
    }
    assert_bits(&each(&[], |x| x.sort(0).0), &[]);
    assert_bits(&each(&[1.0], |x| x.top_k(0, 0).0), &[]);
    let integers = data(&[4], &[3.0, 1.0, 3.0, 0.0], |x| {
        x.cast(DType::I64).sort(0).1
    });
    assert_eq!(whole(&integers, DType::I32), [3, 1, 0, 2]);
}

#[test]
fn what_is_taken_along_an_axis() {
    let y = floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], |x| {
        let at = x
            .graph()
            .constant_f32(&[2.0, 0.0, -1.0, 9.0], [2, 2])
            .cast(DType::I32);
        x.take_along(1, at)
    });
    assert_eq!(y, [3.0, 1.0, 4.0, 6.0]);
    let y = floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], |x| {
        x.take_along(0, x.argmax(0).unsqueeze(0))
    });
    assert_eq!(y, [4.0, 5.0, 6.0]);
}
