//! Sums and their kin, truths, and what is normalized by them.

use super::{INF, NAN, assert_bits, assert_close, data, each, floats, numbers, whole};
use bsq_ir::tensor::Keep;
use bsq_ir::{DType, Graph, Tensor};

#[test]
fn reductions() {
    let x = [3.0, -1.0, 4.0, 0.0, -5.0, 9.0];
    let all = |word: for<'g> fn(Tensor<'g>) -> Tensor<'g>| floats(&[2, 3], &x, word);
    assert_bits(&all(|x| x.min(-1)), &[-1.0, -5.0]);
    assert_bits(&all(|x| x.min(..)), &[-5.0]);
    assert_bits(&all(|x| x.prod(-1)), &[-12.0, -0.0]);
    assert_bits(&all(|x| x.prod(0)), &[0.0, 5.0, 36.0]);
    assert_bits(&all(|x| x.prod(..)), &[0.0]);
    assert_close(&all(|x| x.var(-1, 0)), [14.0 / 3.0, 302.0 / 9.0], 1e-6);
    assert_close(&all(|x| x.var(-1, 1)), [7.0, 151.0 / 3.0], 1e-6);
    assert_close(
        &all(|x| x.std(-1, 1)),
        [7.0_f64.sqrt(), (151.0_f64 / 3.0).sqrt()],
        1e-6,
    );
    assert_bits(&all(|x| x.var(0, 2)), &[NAN; 3]);
    assert_bits(&floats(&[2, 0], &[], |x| x.prod(1)), &[1.0; 2]);
    assert_bits(&floats(&[2, 0], &[], |x| x.sum(1)), &[0.0; 2]);
    assert_bits(&floats(&[2, 0], &[], |x| x.mean(1)), &[NAN; 2]);
    assert_bits(&floats(&[2, 0], &[], |x| x.var(1, 0)), &[NAN; 2]);
    assert_bits(&each(&[1.0, NAN, -INF], |x| x.min(..)), &[NAN]);
    assert_bits(&each(&[0.0, -0.0], |x| x.min(..)), &[-0.0]);
    assert_bits(&each(&[2.0; 5], |x| x.prod(..)), &[32.0]);
    let least = data(&[3], &[5.0, -7.0, 2.0], |x| {
        (x.cast(DType::I32).maximum(-2.0) + f64::from(i32::MIN + 2)).min(..)
    });
    assert_eq!(whole(&least, DType::I32), [i64::from(i32::MIN)]);
    let least = data(&[3], &[5.0, 7.0, 2.0], |x| x.cast(DType::U8).min(..));
    assert_eq!(whole(&least, DType::U8), [2]);
}

#[test]
fn truths() {
    let of = |word: for<'g> fn(Tensor<'g>) -> Tensor<'g>| {
        data(&[3, 2], &[0.0, 1.0, 0.0, 0.0, 2.0, 1.0], word)
    };
    assert_eq!(whole(&of(|x| x.ne(0.0).any(-1)), DType::Bool), [1, 0, 1]);
    assert_eq!(whole(&of(|x| x.ne(0.0).all(-1)), DType::Bool), [0, 0, 1]);
    assert_eq!(whole(&of(|x| x.ne(0.0).any(..)), DType::Bool), [1]);
    let empty = |word: for<'g> fn(Tensor<'g>) -> Tensor<'g>| data(&[0], &[], word);
    assert_eq!(whole(&empty(|x| x.ne(0.0).any(..)), DType::Bool), [0]);
    assert_eq!(whole(&empty(|x| x.ne(0.0).all(..)), DType::Bool), [1]);
    let truths = of(|x| (x.eq(1.0) | x.eq(2.0)) & !x.eq(2.0));
    assert_eq!(whole(&truths, DType::Bool), [0, 1, 0, 0, 0, 1]);
    let truths = of(|x| x.eq(1.0) ^ x.ge(1.0));
    assert_eq!(whole(&truths, DType::Bool), [0, 0, 0, 0, 1, 0]);
    let bits = of(|x| ((x.cast(DType::I32) << 3.0) | 1.0) >> 1.0);
    assert_eq!(whole(&bits, DType::I32), [0, 4, 0, 0, 8, 4]);
    let bits = of(|x| (!x.cast(DType::I32) & 3.0) ^ 1.0);
    assert_eq!(whole(&bits, DType::I32), [2, 3, 2, 2, 0, 3]);
}

#[test]
fn kept_axes_have_extent_one() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [2, 3, 4]);
    let kept = [
        x.sum(Keep(1)),
        x.mean(Keep(1)),
        x.max(Keep(1)),
        x.min(Keep(1)),
        x.prod(Keep(1)),
        x.var(Keep(1), 1),
        x.std(Keep(1), 1),
        x.log_sum_exp(Keep(1)),
        x.ne(0.0).any(Keep(1)),
        x.ne(0.0).all(Keep(1)),
    ];
    assert!(kept.iter().all(|y| *y.shape() == [2, 1, 4]));
    assert_eq!(*x.sum(Keep(..)).shape(), [1, 1, 1]);
    assert_eq!(*x.sum(Keep([0, -1])).shape(), [1, 3, 1]);
    let x = numbers(6);
    let centred = floats(&[2, 3], &x, |x| x - x.mean(Keep(-1)));
    let spelled = floats(&[2, 3], &x, |x| x - x.mean(-1).expand_axes(-1, [2, 3]));
    assert_bits(&centred, &spelled);
}

#[test]
fn log_softmax_and_log_sum_exp() {
    let x = [
        1.0, 2.0, 4.0, 1000.0, -1000.0, 0.0, -INF, 0.0, 1.0, NAN, 0.0, 1.0,
    ];
    let rows: Vec<Vec<f64>> = x
        .chunks(3)
        .map(|row| row.iter().map(|&x| f64::from(x)).collect())
        .collect();
    let sum = |row: &Vec<f64>| {
        let m = row.iter().copied().fold(f64::MIN, f64::max);
        m + row.iter().map(|x| (x - m).exp()).sum::<f64>().ln()
    };
    let sums = floats(&[4, 3], &x, |x| x.log_sum_exp(-1));
    assert_close(&sums, rows.iter().map(sum), 1e-6);
    let softmax = floats(&[4, 3], &x, |x| x.log_softmax());
    assert_close(
        &softmax,
        rows.iter()
            .flat_map(|row| row.iter().map(|x| x - sum(row)).collect::<Vec<_>>()),
        1e-6,
    );
    assert_bits(
        &floats(&[2, 2], &[-INF, -INF, INF, 0.0], |x| x.log_sum_exp(1)),
        &[-INF, INF],
    );
}

#[test]
fn a_layer_norm_by_scope_is_that_of_its_parameters() {
    let g = Graph::new();
    let model = bsq_ir::Scope::root(&g);
    let x = g.input("x", DType::F32, [2, 3]);
    let y = x.layer_norm(&model / "norm", 1e-5);
    let [weight, bias] = ["norm.weight", "norm.bias"].map(|name| g.known_parameter(name).unwrap());
    assert_eq!(y.id(), x.layer_norm_with(weight, bias, 1e-5).id());
    let starts: Vec<_> = model.specs().into_iter().map(|spec| spec.init).collect();
    assert_eq!(starts, [1.0, 0.0].map(bsq_ir::tensor::Init::Constant));
}
