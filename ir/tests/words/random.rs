//! Random numbers and dropout.

use bsq_ir::eval::{Precision, Value, Values, evaluate};
use bsq_ir::{DType, Graph, Shape, Tensor};

/// A function of key and counter.
fn drawn(
    key: u64,
    counter: u64,
    word: impl for<'g> Fn(&'g Graph, [Tensor<'g>; 2]) -> Tensor<'g>,
) -> Vec<f32> {
    let g = Graph::new();
    let y = word(
        &g,
        ["key", "counter"].map(|name| g.input(name, DType::U64, [])),
    );
    let inputs = [("key", key), ("counter", counter)];
    let inputs = inputs.map(|(name, x)| (name.to_string(), Value::new(Shape::scalar(), vec![x])));
    let function = g.function([("y", y.id())], []);
    let run = evaluate(&function, &inputs.into(), &Values::new(), Precision::F32).unwrap();
    run.outputs["y"].as_f32().to_vec()
}

fn moments(x: &[f32]) -> [f64; 4] {
    let mean =
        |f: &dyn Fn(f64) -> f64| x.iter().map(|&x| f(f64::from(x))).sum::<f64>() / x.len() as f64;
    let first = mean(&|x| x);
    let second = mean(&|x| (x - first).powi(2));
    let standard = |n| mean(&|x| ((x - first) / second.sqrt()).powi(n));
    [first, second, standard(3), standard(4)]
}

#[test]
fn random_numbers_have_their_distributions() {
    let count = 200_001;
    let uniform = drawn(7, 3, |g, [key, counter]| g.uniform([count], key, counter));
    assert!(uniform.iter().all(|x| (0.0..1.0).contains(x)));
    let [mean, variance, skew, tail] = moments(&uniform);
    assert!(
        (mean - 0.5).abs() < 2e-3 && (variance - 1.0 / 12.0).abs() < 1e-3,
        "{mean} {variance}"
    );
    assert!(
        skew.abs() < 0.02 && (tail - 1.8).abs() < 0.02,
        "{skew} {tail}"
    );
    // Word i mod 4 of block counter + i / 4, its upper 24 bits.
    for i in [0, 1, 5, count - 1] {
        let word = bsq_ir::philox::random_word(7, 3, i as u64);
        assert_eq!(uniform[i], (word >> 8) as f32 / (1 << 24) as f32);
    }
    let normal = drawn(7, 3, |g, [key, counter]| g.normal([count], key, counter));
    let [mean, variance, skew, tail] = moments(&normal);
    assert!(
        mean.abs() < 7e-3 && (variance - 1.0).abs() < 1e-2,
        "{mean} {variance}"
    );
    assert!(
        skew.abs() < 0.02 && (tail - 3.0).abs() < 0.05,
        "{skew} {tail}"
    );
    // Shares within 1, 2 and 3 deviations.
    for (bound, share) in [(1.0, 0.682_689), (2.0, 0.954_500), (3.0, 0.997_300)] {
        let within = normal.iter().filter(|x| x.abs() < bound).count() as f64 / count as f64;
        assert!((within - share).abs() < 4e-3, "{within} within {bound}");
    }
    // The pairs of the transform do not depend on each other.
    let half = count.div_ceil(2);
    let products = (0..count - half).map(|i| f64::from(normal[i] * normal[half + i]));
    assert!((products.sum::<f64>() / (count - half) as f64).abs() < 0.01);
    assert_eq!(
        drawn(1, 0, |g, [key, counter]| g.normal([3, 0], key, counter)),
        []
    );
    assert_ne!(
        normal[..8],
        drawn(8, 3, |g, [key, counter]| g.normal([8], key, counter))[..]
    );
}

#[test]
fn dropout_drops_its_share_and_keeps_the_mean() {
    let ones = |probability: f64| {
        drawn(11, 2, |g, [key, counter]| {
            g.full(1.0, DType::F32, [1000, 100])
                .dropout(probability, key, counter)
        })
    };
    let y = ones(0.25);
    let dropped = y.iter().filter(|&&x| x == 0.0).count() as f64 / y.len() as f64;
    assert!((dropped - 0.25).abs() < 5e-3, "{dropped}");
    assert!(y.iter().all(|&x| x == 0.0 || x == 1.0 / 0.75));
    assert!(ones(0.0).iter().all(|&x| x == 1.0));
    assert!(ones(1.0).iter().all(|&x| x == 0.0));
    // The gradient passes where the value does, by the same factor.
    let gradient = drawn(11, 2, |g, [key, counter]| {
        let x = g.full(1.0, DType::F32, [1000, 100]);
        let y = x.dropout(0.25, key, counter);
        bsq_ir::autodiff::gradients(y.sum(..), &[x])[0]
    });
    assert_eq!(gradient, y);
}
