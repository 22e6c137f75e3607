//! Words of the DSL beside plain loops over numbers: values, corners, NaN and infinities.

mod axes;
mod einsum;
mod elementwise;
mod random;
mod reductions;

use bsq_ir::eval::{Precision, Value, Values, evaluate};
use bsq_ir::{DType, Graph, Tensor};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

/// The result of a word of one `f32` tensor.
fn data(shape: &[usize], x: &[f32], word: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Value {
    let g = Graph::new();
    let y = word(g.input("x", DType::F32, shape));
    let function = g.function([("y", y.id())], []);
    let again: bsq_ir::Function = function.to_string().parse().unwrap();
    assert_eq!(again, function);
    let inputs = Values::from([("x".to_string(), Value::new(shape, x.to_vec()))]);
    let run = evaluate(&function, &inputs, &Values::new(), Precision::F32).unwrap();
    run.outputs["y"].clone()
}

fn floats(shape: &[usize], x: &[f32], word: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Vec<f32> {
    data(shape, x, word).as_f32().to_vec()
}

/// The elements of a result that is no float: truths are 1 and 0.
fn whole(value: &Value, dtype: DType) -> Vec<i64> {
    assert_eq!(value.dtype(), dtype);
    value.to_f64().iter().map(|&x| x as i64).collect()
}

fn each(x: &[f32], word: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Vec<f32> {
    floats(&[x.len()], x, word)
}

#[track_caller]
fn assert_bits(got: &[f32], wanted: &[f32]) {
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    let all = got.len() == wanted.len() && got.iter().zip(wanted).all(same);
    assert!(all, "{got:?}, not {wanted:?}");
}

#[track_caller]
fn assert_close(got: &[f32], wanted: impl IntoIterator<Item = f64>, relative: f64) {
    let wanted: Vec<f64> = wanted.into_iter().collect();
    assert_eq!(got.len(), wanted.len());
    for (&got, wanted) in got.iter().zip(wanted) {
        let error = (f64::from(got) - wanted).abs();
        let same = (got.is_nan() && wanted.is_nan()) || f64::from(got) == wanted;
        assert!(
            same || error <= relative * wanted.abs(),
            "{got}, not {wanted}"
        );
    }
}

/// Numbers of both signs, of many sizes, without repetition.
fn numbers(count: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 37 % 101) as f32 - 50.3) * 0.0713;
    (0..count).map(number).collect()
}
