//! Every derivative against central differences in `f64`, at first and second order.

use super::super::gradients;
use super::cases::{Build, CASES};
use crate::dtype::DType::{F32, I32};
use crate::eval::{Data, Precision, Value, Values, evaluate};
use crate::graph::{Function, Graph, NodeId};
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::text::parse;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// The inputs of a function under test, with their values.
pub(super) struct Inputs<'g> {
    pub graph: &'g Graph,
    seed: u64,
    floats: RefCell<Vec<Tensor<'g>>>,
    integers: RefCell<Values>,
}

impl<'g> Inputs<'g> {
    fn new(graph: &'g Graph, seed: u64) -> Self {
        Inputs {
            graph,
            seed,
            floats: RefCell::default(),
            integers: RefCell::default(),
        }
    }

    /// An input that is differentiated; its values come from [`spread`].
    pub fn float(&self, shape: impl Into<Shape>) -> Tensor<'g> {
        let name = format!("x{}", self.floats.borrow().len());
        let tensor = self.graph.input(&name, F32, shape);
        self.floats.borrow_mut().push(tensor);
        tensor
    }

    /// Integers of `range`; some lie outside where an op clamps them.
    pub fn integers(&self, shape: impl Into<Shape>, range: std::ops::Range<i64>) -> Tensor<'g> {
        let (name, shape) = (format!("i{}", self.integers.borrow().len()), shape.into());
        let width = (range.end - range.start) as u64;
        let element = |i| range.start + (hash(self.seed, i) % width) as i64;
        let elements: Vec<i64> = (0..shape.elements() as u64).map(element).collect();
        let elements: Vec<i32> = elements.into_iter().map(|x| x as i32).collect();
        let value = Value::new(&shape, elements);
        self.integers.borrow_mut().insert(name.clone(), value);
        self.graph.input(&name, I32, shape)
    }

    /// Fixed weights in -1..1 that make a scalar of a tensor.
    pub fn weighted_sum(&self, tensor: Tensor<'g>) -> Tensor<'g> {
        let shape = tensor.shape();
        let weight = |i| unit(hash(self.seed ^ 0xA5A5, i)) * 2.0 - 1.0;
        let weights: Vec<f32> = (0..shape.elements() as u64).map(weight).collect();
        (tensor * self.graph.constant_f32(&weights, &shape)).sum(..)
    }

    fn values(&self) -> Vec<Vec<f64>> {
        let floats = self.floats.borrow();
        let sizes = floats.iter().map(|tensor| tensor.shape().elements());
        spread(self.seed, &sizes.collect::<Vec<_>>())
    }
}

/// Splits `-2..2` into one cell for each element of all inputs and draws from the middle of each,
/// in random order. No two values, and no value and an integer, are close to each other: there
/// the differences of `max`, `abs` or `floor` would say nothing.
fn spread(seed: u64, sizes: &[usize]) -> Vec<Vec<f64>> {
    let total: usize = sizes.iter().sum();
    let cells = total.next_multiple_of(4).max(4);
    let mut order: Vec<usize> = (0..cells).collect();
    order.sort_by_key(|&cell| hash(seed, cell as u64));
    let mut values = order.into_iter().map(|cell| {
        let within = 0.2 + 0.6 * f64::from(unit(hash(!seed, cell as u64)));
        (cell as f64 + within) * 4.0 / cells as f64 - 2.0
    });
    let mut take = |&size: &usize| values.by_ref().take(size).collect();
    sizes.iter().map(&mut take).collect()
}

/// SplitMix64.
fn hash(seed: u64, index: u64) -> u64 {
    let mut x = seed.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1 << 24) as f32
}

/// Distances of the points of differences, of which one must suit. Five points make the error one
/// of the fourth order. A long step is for sums of large terms, which drown short ones in rounding;
/// a short one for steep functions, and for a maximum that changes its place within a longer one.
const STEPS: [f64; 3] = [1e-4, 2e-5, 1e-6];

/// Compares the gradients of a scalar by every float input with central differences.
fn check_gradients<'g>(inputs: &Inputs<'g>, loss: Tensor<'g>, name: &str) -> Vec<Tensor<'g>> {
    let floats = inputs.floats.borrow().clone();
    let derivatives = gradients(loss, &floats);
    let name_of = |index: usize| format!("d{index}");
    let names: Vec<String> = (0..floats.len()).map(name_of).collect();
    let named = names.iter().zip(&derivatives);
    let outputs = named.map(|(name, tensor)| (name.as_str(), tensor.id()));
    let backward = inputs.graph.function(outputs, []);
    let forward = inputs.graph.function([("loss", loss.id())], []);

    let mut values = inputs.values();
    let results = run(&backward, inputs, &values);
    let shape_of = |index: usize| floats[index].shape();
    for index in 0..floats.len() {
        assert_eq!(derivatives[index].shape(), shape_of(index), "{name}");
        for element in 0..values[index].len() {
            let here = values[index][element];
            let mut across = |step: f64| {
                let mut at = |x: f64| {
                    values[index][element] = x;
                    run(&forward, inputs, &values)[0][0]
                };
                at(here + step) - at(here - step)
            };
            let derivative = results[index][element];
            let mut difference = f64::NAN;
            let close = STEPS.iter().any(|&step| {
                difference = (8.0 * across(step) - across(2.0 * step)) / (12.0 * step);
                // Constants of the rules, such as 2 / sqrt(pi), are rounded to f32.
                (derivative - difference).abs() <= 1e-6 * (1.0 + difference.abs())
            });
            values[index][element] = here;
            assert!(
                close,
                "{name}: by element {element} of x{index} {}: {derivative}, differences \
                 {difference}\n{backward}",
                shape_of(index)
            );
        }
    }
    derivatives
}

/// The outputs of a function in `f64`.
fn run(function: &Function, inputs: &Inputs<'_>, floats: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut values = inputs.integers.borrow().clone();
    for (index, (tensor, elements)) in inputs.floats.borrow().iter().zip(floats).enumerate() {
        let value = Value::new(tensor.shape(), elements.clone());
        values.insert(format!("x{index}"), value);
    }
    let results = evaluate(function, &values, &Values::new(), Precision::F64).unwrap();
    let elements = |(name, _): &(String, NodeId)| match results.outputs[name].data() {
        Data::F64(elements) => elements.clone(),
        other => panic!("{name} is {other:?}"),
    };
    function.outputs().iter().map(elements).collect()
}

/// The derivative, and the derivative of a weighted sum of its elements.
fn check(name: &str, build: Build, extents: [usize; 4], seed: u64) -> BTreeSet<&'static str> {
    let graph = Graph::new();
    let inputs = Inputs::new(&graph, seed);
    let y = build(&inputs, extents);
    let ops = graph.function([("y", y.id())], []);
    let ops = ops.nodes().iter().map(|node| node.op.name()).collect();
    let first = check_gradients(&inputs, inputs.weighted_sum(y), name);
    let parts = first.into_iter().map(|tensor| inputs.weighted_sum(tensor));
    let sum = parts.reduce(|sum, part| sum + part).expect("an input");
    check_gradients(&inputs, sum, &format!("{name}, second order"));
    ops
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 200, ..Default::default() })]

    #[test]
    fn derivatives_are_those_of_differences(extents in prop::array::uniform4(1usize..4), seed: u64) {
        for (name, build) in CASES {
            check(name, *build, extents, seed);
        }
    }
}

/// Ops without floats in and out, which have no derivative to compare.
const WITHOUT_FLOATS: [&str; 3] = ["parameter", "shift_left", "shift_right"];

#[test]
fn every_op_has_a_case() {
    let cases = CASES
        .iter()
        .map(|(name, build)| check(name, *build, [2, 3, 2, 1], 7));
    let covered: BTreeSet<&str> = cases.flatten().collect();
    let every_op = parse(include_str!("../../text/tests/every_op.txt")).unwrap();
    for node in every_op.nodes() {
        let name = node.op.name();
        let known = covered.contains(name) || WITHOUT_FLOATS.contains(&name);
        assert!(known, "no case of {name}");
    }
}

/// The gradients of `build(x)` at given points, in the precision of programs.
fn gradient_at(points: &[f32], build: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Vec<f32> {
    let g = Graph::new();
    let x = g.input("x", F32, [points.len()]);
    let dx = gradients(build(x).sum(..), &[x])[0];
    let function = g.function([("dx", dx.id())], []);
    let inputs = Values::from([("x".to_string(), Value::new([points.len()], points.to_vec()))]);
    let result = evaluate(&function, &inputs, &Values::new(), Precision::F32).unwrap();
    match result.outputs["dx"].data() {
        Data::F32(elements) => elements.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn chosen_derivatives_are_as_documented() {
    assert_eq!(
        gradient_at(&[-1.0, 0.0, 2.0], |x| x.abs()),
        [-1.0, 0.0, 1.0]
    );
    let clamp = gradient_at(&[-2.0, -1.0, 0.0, 1.0, 2.0], |x| x.clamp(-1.0, 1.0));
    assert_eq!(clamp, [0.0, 1.0, 1.0, 1.0, 0.0]);
    assert_eq!(gradient_at(&[3.0], |x| x.maximum(x.stop_gradient())), [1.0]);
    assert_eq!(gradient_at(&[3.0], |x| x.stop_gradient().minimum(x)), [0.0]);
    assert_eq!(
        gradient_at(&[5.0, 1.0, 5.0, 5.0], |x| x.max(..) * 3.0),
        [1.0, 0.0, 1.0, 1.0]
    );
    assert_eq!(gradient_at(&[0.0], |x| x.sqrt()), [f32::INFINITY]);
    let through = gradient_at(&[-3.0, 0.0, 0.5], |x| x + (x.sign() - x).stop_gradient());
    assert_eq!(through, [1.0; 3]);
}

#[test]
fn derivatives_of_layers_are_finite_everywhere() {
    assert_eq!(gradient_at(&[0.0], |x| x.softplus()), [0.5]);
    assert_eq!(gradient_at(&[0.0], |x| x.sigmoid()), [0.25]);
    assert_eq!(gradient_at(&[-200.0, 200.0], |x| x.sigmoid()), [0.0, 0.0]);
    assert_eq!(gradient_at(&[-200.0, 200.0], |x| x.softplus()), [0.0, 1.0]);
    assert_eq!(gradient_at(&[0.0; 2], |x| x.l2_normalize(0.5)), [2.0; 2]);
    let masked = gradient_at(&[1.0, -1.0, 2.0], |x| {
        let scores = x.where_(x.gt(0.0), f64::NEG_INFINITY);
        scores.softmax().square()
    });
    assert!(masked.iter().all(|dx| dx.is_finite()), "{masked:?}");
}
