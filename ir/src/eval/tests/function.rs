//! Whole functions: names, updates, precision, errors.

use super::*;
use crate::dtype::DType;

fn named(name: &str, value: Value) -> Values {
    Values::from([(name.to_string(), value)])
}

#[test]
fn outputs_and_updates_by_name() {
    let g = Graph::new();
    let (x, w) = (g.scalar("x"), g.parameter("layer.w", DType::F32, []));
    let function = g.function(
        [("y", (x * w).id()), ("again", x.id())],
        [(w.id(), (w + x).id())],
    );
    let inputs = named("x", Value::scalar(3.0f32));
    let parameters = named("layer.w", Value::scalar(5.0f32));
    let got = evaluate(&function, &inputs, &parameters, Precision::F32).expect("complete");
    assert_eq!(got.outputs["y"], Value::scalar(15.0f32));
    assert_eq!(got.outputs["again"], Value::scalar(3.0f32));
    assert_eq!(got.updates, named("layer.w", Value::scalar(8.0f32)));
}

#[test]
fn an_update_reads_the_old_values() {
    let g = Graph::new();
    let (a, b) = (
        g.parameter("a", DType::I32, []),
        g.parameter("b", DType::I32, []),
    );
    let function = g.function([], [(a.id(), b.id()), (b.id(), a.id())]);
    let mut parameters = named("a", Value::scalar(1i32));
    parameters.extend(named("b", Value::scalar(2i32)));
    let got = evaluate(&function, &Values::new(), &parameters, Precision::F32).expect("complete");
    assert_eq!(got.updates["a"], Value::scalar(2i32));
    assert_eq!(got.updates["b"], Value::scalar(1i32));
}

#[test]
fn missing_and_mistyped_values_are_named() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [2]);
    let function = g.function([("y", (x * x).id())], []);
    let error = |inputs: Values| {
        let result = evaluate(&function, &inputs, &Values::new(), Precision::F32);
        result.expect_err("incomplete").to_string()
    };
    assert_eq!(error(Values::new()), "no value for input `x` (f32[2])");
    let wrong = error(named("x", Value::scalar(1i32)));
    assert_eq!(wrong, "input `x` is f32[2], but the value given is i32[]");
}

#[test]
fn double_precision_keeps_what_single_loses() {
    let g = Graph::new();
    let x = g.scalar("x");
    let function = g.function([("y", ((x + 1e8) - 1e8).id())], []);
    let inputs = named("x", Value::scalar(0.25f64));
    let of = |precision| {
        let got = evaluate(&function, &inputs, &Values::new(), precision).expect("complete");
        got.outputs["y"].to_f64()[0]
    };
    assert_eq!(of(Precision::F32), 0.0);
    assert_eq!(of(Precision::F64), 0.25);
}

#[test]
fn a_convolution_is_a_window_and_a_contraction() {
    let g = Graph::new();
    let image = g.input("image", DType::F32, [1, 1, 4, 4]);
    let windows = image.window(2, 3, 1, 1).window(4, 3, 1, 1);
    let kernel = g.full(1.0, DType::F32, [1, 1, 3, 3]);
    let y = windows.dot_general(kernel, &[], &[(1, 1), (3, 2), (5, 3)]);
    let function = g.function([("y", y.id())], []);
    let inputs = named("image", counted([1, 1, 4, 4]));
    let got = evaluate(&function, &inputs, &Values::new(), Precision::F32).expect("complete");
    let wanted = Value::new([1, 2, 2, 1], vec![45.0f32, 54.0, 81.0, 90.0]);
    assert_eq!(got.outputs["y"], wanted);
}
