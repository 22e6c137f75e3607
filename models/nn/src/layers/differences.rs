//! For tests: values in `f64`, and derivatives of the first and second order beside differences.

use bsq_ir::autodiff::gradients;
use bsq_ir::eval::{Data, Precision, Value, Values, evaluate};
use bsq_ir::{Graph, Scope, Tensor};

/// Numbers in -1..1, no two close to each other.
pub(super) fn noise(count: usize, seed: usize) -> Vec<f64> {
    let golden = 0.618_033_988_749_894_9;
    (0..count)
        .map(|i| ((i * (2 * seed + 1) + 7 * seed) as f64 * golden).fract() * 2.0 - 1.0)
        .collect()
}

/// All parameters and inputs of a function, with values.
pub(super) fn values(graph: &Graph, output: Tensor<'_>) -> Values {
    let function = graph.function([("y", output.id())], []);
    let leaves = function.parameters().chain(function.inputs()).enumerate();
    let value = |(seed, (_, name, ty)): (usize, (_, &str, &bsq_ir::Type))| {
        // Running variances are not negative.
        let shift = if name.ends_with("running_var") {
            1.5
        } else {
            0.0
        };
        let values = noise(ty.shape.elements(), seed + 1).into_iter();
        let values: Vec<f64> = values.map(|x| x + shift).collect();
        (name.to_string(), Value::new(ty.shape.clone(), values))
    };
    leaves.map(value).collect()
}

pub(super) fn run(output: Tensor<'_>, values: &Values) -> Vec<f64> {
    let function = output.graph().function([("y", output.id())], []);
    let run = evaluate(&function, values, values, Precision::F64).unwrap();
    match run.outputs["y"].data() {
        Data::F64(values) => values.clone(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn floats(value: &Value) -> Vec<f64> {
    match value.data() {
        Data::F64(values) => values.clone(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(super) fn assert_close(got: &[f64], wanted: &[f64]) {
    assert_eq!(got.len(), wanted.len());
    for (at, (a, b)) in got.iter().zip(wanted).enumerate() {
        assert!(
            (a - b).abs() <= 1e-6 * (1.0 + b.abs()),
            "element {at} is {a}, not {b}"
        );
    }
}

/// A scalar that tells the elements apart.
fn weighted<'g>(y: Tensor<'g>) -> Tensor<'g> {
    let weights: Vec<f32> = noise(y.shape().elements(), 11)
        .into_iter()
        .map(|x| x as f32)
        .collect();
    (y * y.graph().constant_f32(&weights, y.shape())).sum(..)
}

/// Compares derivatives of `y` by `x` and all parameters of `scope`, and derivatives of these, with
/// central differences along a few directions.
#[track_caller]
pub(super) fn check_grads<'g>(scope: &Scope<'g>, x: Tensor<'g>, y: Tensor<'g>) {
    let leaves: Vec<Tensor<'g>> = scope.parameters().into_iter().chain([x]).collect();
    let first = weighted(y);
    let parts = gradients(first, &leaves).into_iter().map(weighted);
    let second = parts.reduce(|sum, part| sum + part).unwrap();
    let given = values(x.graph(), y);
    for (order, loss) in [(1, first), (2, second)] {
        for (leaf, gradient) in leaves.iter().zip(gradients(loss, &leaves)) {
            let function = leaf.graph().function([("leaf", leaf.id())], []);
            let leaf = function
                .parameters()
                .chain(function.inputs())
                .next()
                .unwrap();
            let name = leaf.1.to_string();
            if !given.contains_key(&name) {
                continue;
            }
            let gradient = run(gradient, &given);
            let direction = noise(gradient.len(), 5);
            let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let at = |step: f64| {
                let mut moved = given.clone();
                let values = floats(&given[&name]).into_iter().zip(&direction);
                let values: Vec<f64> = values.map(|(x, d)| x + step * d).collect();
                moved.insert(
                    name.clone(),
                    Value::new(given[&name].shape().clone(), values),
                );
                run(loss, &moved)[0]
            };
            const STEP: f64 = 1e-4;
            let across = |step: f64| at(step) - at(-step);
            let difference = (8.0 * across(STEP) - across(2.0 * STEP)) / (12.0 * STEP);
            assert!(
                (slope - difference).abs() <= 1e-6 * (1.0 + difference.abs()),
                "order {order}, by {name}: {slope}, differences {difference}"
            );
        }
    }
}
