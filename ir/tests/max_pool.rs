//! Max-pooling as PyTorch's: the gradient goes to the first largest element of each window.

use bsq_ir::autodiff::{gradients, vjp};
use bsq_ir::eval::{Precision, Value, Values, evaluate};
use bsq_ir::{DType::F32, Graph, Tensor};

/// Pictures of few levels, so that most windows hold ties.
fn picture(seed: usize, shape: [usize; 4]) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let level = |i: usize| ((i * 7919 + seed * 104_729) % 1009 % 3) as f32 - 1.0;
    (0..count).map(level).collect()
}

fn run(outputs: &[(&str, Tensor<'_>)], x: &[f32], shape: [usize; 4]) -> Values {
    let graph = outputs[0].1.graph();
    let function = graph.function(outputs.iter().map(|(name, y)| (*name, y.id())), []);
    let inputs = Values::from([("x".to_string(), Value::new(shape, x.to_vec()))]);
    evaluate(&function, &inputs, &Values::new(), Precision::F32)
        .unwrap()
        .outputs
}

/// For each window, row-major: where its first largest element is.
fn first_maxima(x: &[f32], [n, c, h, w]: [usize; 4], size: usize, stride: usize) -> Vec<usize> {
    let mut places = Vec::new();
    for plane in 0..n * c {
        for row in (0..=h - size).step_by(stride) {
            for column in (0..=w - size).step_by(stride) {
                let cells =
                    (0..size * size).map(|k| (plane * h + row + k / size) * w + column + k % size);
                let first = cells.reduce(|best, at| if x[at] > x[best] { at } else { best });
                places.push(first.unwrap());
            }
        }
    }
    places
}

#[test]
fn the_first_largest_of_a_window_gets_its_gradient() {
    for (seed, shape, size, stride) in [
        (0, [1, 1, 2, 2], 2, 2),
        (1, [2, 3, 6, 8], 2, 2),
        (2, [1, 2, 7, 9], 3, 2),
        (3, [2, 1, 5, 5], 3, 1),
        (4, [1, 1, 4, 5], 1, 3),
        (5, [1, 1, 4, 4], 4, 1),
    ] {
        let x = match seed {
            0 => vec![1.0; 4],
            _ => picture(seed, shape),
        };
        let g = Graph::new();
        let input = g.input("x", F32, shape);
        let y = input.max_pool2d(size, stride);
        // Weights tell the windows apart.
        let weights: Vec<f32> = (1..=y.shape().elements()).map(|k| k as f32).collect();
        let weight = g.constant_f32(&weights, y.shape());
        let first = vjp(&[y], &[weight], &[input])[0];
        // The gradient of y^2 / 2 is y at the maxima, and its own gradient along v is v there.
        let squared = gradients((y * y).sum(..) * 0.5, &[input])[0];
        let second = vjp(&[squared], &[first], &[input])[0];
        let got = run(&[("y", y), ("first", first), ("second", second)], &x, shape);

        let places = first_maxima(&x, shape, size, stride);
        let mut wanted = vec![0.0; x.len()];
        let mut hits = vec![0.0; x.len()];
        for (&place, weight) in places.iter().zip(&weights) {
            wanted[place] += weight;
            hits[place] += 1.0;
        }
        let largest: Vec<f32> = places.iter().map(|&place| x[place]).collect();
        assert_eq!(got["y"].as_f32(), largest, "{shape:?}");
        assert_eq!(got["first"].as_f32(), wanted, "{shape:?}");
        let twice: Vec<f32> = wanted.iter().zip(hits).map(|(v, n)| v * n).collect();
        assert_eq!(got["second"].as_f32(), twice, "{shape:?}");
    }
}

#[test]
fn every_node_points_at_the_authors_line() {
    let g = Graph::new();
    let y = g.input("x", F32, [1, 1, 4, 4]).max_pool2d(2, 2);
    let function = g.function([("y", y.id())], []);
    for node in function.nodes() {
        assert_eq!(node.location.file(), file!(), "{}", node.op.name());
    }
}

#[test]
fn signs_infinities_and_nan_are_kept() {
    let inf = f32::INFINITY;
    let x = [-0.0, -1.0, -inf, -inf, 0.0, -0.0, -inf, -inf];
    let shape = [2, 1, 2, 2];
    let g = Graph::new();
    let input = g.input("x", F32, shape);
    let y = input.max_pool2d(2, 1);
    let gradient = gradients(y.sum(..), &[input])[0];
    let got = run(&[("y", y), ("gradient", gradient)], &x, shape);
    assert_eq!(got["y"], Value::new([2, 1, 1, 1], vec![-0.0f32, 0.0]));
    let first = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    assert_eq!(got["gradient"].as_f32(), first);
    let got = run(&[("y", y), ("gradient", gradient)], &[-inf; 8], shape);
    assert_eq!(got["gradient"].as_f32(), first);
    let mut x = [1.0; 8];
    x[2] = f32::NAN;
    let got = run(&[("y", y)], &x, shape);
    assert_eq!(got["y"], Value::new([2, 1, 1, 1], vec![f32::NAN, 1.0]));
}
