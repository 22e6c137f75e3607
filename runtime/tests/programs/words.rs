//! Words that are spelled in primitives, and sine and cosine: compiled beside the evaluator, values
//! and gradients.

use crate::common::{check, check_on, check_output, fill};
use bsq_ir::DType::{F32, I32, U64};
use bsq_ir::autodiff::gradients;
use bsq_ir::eval::{Data, Value};
use bsq_ir::tensor::Keep;
use bsq_ir::{Graph, Tensor};

type Word = for<'g> fn(Tensor<'g>) -> Tensor<'g>;

/// Of a tensor `[6, 37]`.
#[rustfmt::skip]
const WORDS: &[(&str, Word)] = &[
    ("sin", |x| (x * 100.0).sin()),
    ("cos", |x| (x * 100.0).cos()),
    ("relu", |x| x.relu()),
    ("leaky_relu", |x| x.leaky_relu(0.1)),
    ("silu", |x| x.silu()),
    ("gelu_tanh", |x| x.gelu_tanh()),
    ("rsqrt", |x| (x + 2.0).rsqrt()),
    ("powi", |x| x.powi(5) + x.powi(-2)),
    ("pow", |x| x.pow(1.7) + x.abs().pow(x.slice(0, 0..1))),
    ("log_softmax", |x| x.log_softmax()),
    ("log_sum_exp", |x| x.log_sum_exp(0)),
    ("min", |x| x.min(-1)),
    ("prod", |x| x.prod(-1) + x.prod(..)),
    ("var", |x| x.var(0, 1)),
    ("std", |x| x.std(-1, 0)),
    ("keep", |x| x - x.mean(Keep(-1)) * x.max(Keep(0))),
    ("cumsum", |x| x.cumsum(1) + x.cumsum(0)),
    ("tril", |x| x.tril(3) + x.triu(-2)),
    ("stack", |x| x.graph().stack(&[x, x * 2.0], -1)),
    ("einsum of diagonals", |x| {
        let n = x.shape()[0].min(x.shape()[1]);
        let square = x.slice(0, 0..n).slice(1, 0..n);
        x.graph().einsum("...ii,...ab->b...i", &[square, x.unsqueeze(0)])
    }),
    ("einsum", |x| x.graph().einsum("ab,cb->ca", &[x, x.square()])),
    ("round", |x| (x * 8.0).round() + (x * 8.0).ceil() * (x * 8.0).trunc()),
    ("sort", |x| (x * 4.0).floor().sort(1).0),
    ("top_k", |x| x.top_k(3, 0).0),
];

#[test]
fn words_and_their_gradients() {
    for (name, word) in WORDS {
        let g = Graph::new();
        let x = g.input(name, F32, [6, 37]);
        let y = word(x);
        let slope = gradients(y.square().sum(..), &[x])[0];
        check(&g.function([("y", y.id()), ("slope", slope.id())], []));
    }
}

/// Angles of every size, and what is none.
#[test]
fn angles() {
    let sizes = (-40..24).map(|exponent| 2f32.powi(exponent) * 1.234_567);
    let quarters = (0..200).map(|n| (f64::from(n * n) * std::f64::consts::FRAC_PI_4) as f32);
    let odd = [
        0.0,
        1e-45,
        f32::INFINITY,
        f32::NAN,
        1_048_576.0,
        1_048_576.1,
        f32::MAX,
    ];
    let angles: Vec<f32> = sizes
        .chain(quarters)
        .chain(odd)
        .flat_map(|x| [x, -x])
        .collect();
    let g = Graph::new();
    let x = g.input("x", F32, [angles.len()]);
    let function = g.function([("sin", x.sin().id()), ("cos", x.cos().id())], []);
    check_on(&function, |_, ty| Value::new(&ty.shape, angles.clone()));
}

#[test]
fn corners_of_words() {
    let corners = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        2.5,
        -2.5,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        1e-40,
        3e38,
    ];
    let g = Graph::new();
    let x = g.input("x", F32, [corners.len()]);
    let parts = [
        ("pow", x.pow(x.unsqueeze(1))),
        ("round", x.round()),
        ("trunc", x.trunc()),
        ("relu", x.relu()),
        ("log_sum_exp", x.unsqueeze(1).log_sum_exp(1)),
        ("min", x.min(..)),
        ("cumsum", x.cumsum(0)),
        ("sort", x.sort(0).0),
        ("order", x.sort(0).1),
        ("largest", x.top_k(4, 0).1),
        ("any", x.ne(x).any(..)),
        ("all", x.eq(x).all(Keep(0))),
    ];
    let function = g.function(parts.map(|(name, y)| (name, y.id())), []);
    check_on(&function, |_, ty| Value::new(&ty.shape, corners.to_vec()));
}

#[test]
fn words_of_integers() {
    check_output(|g| g.input("i", I32, [5, 9]).one_hot(7));
    check_output(|g| g.input("i", I32, [5, 9]).cumsum(1).min(0));
    check_output(|g| g.input("i", I32, [5, 9]).prod(1));
    check_output(|g| {
        let i = g.input("i", I32, [5, 9]);
        ((!i & 5.0) | (i << 2.0)) ^ (i >> 1.0)
    });
    check_output(|g| {
        g.input("x", F32, [3, 5])
            .take_along(1, g.input("i", I32, [3, 8]))
    });
}

/// The same draws forward and, for the gradient, backward.
#[test]
fn random_words() {
    let g = Graph::new();
    let [key, counter] = ["key", "counter"].map(|name| g.input(name, U64, []));
    let x = g.input("x", F32, [7, 33]);
    let dropped = x.dropout(0.3, key, counter);
    let slope = gradients(dropped.square().sum(..), &[x])[0];
    let parts = [
        ("uniform", g.uniform([5, 13], key, counter)),
        ("normal", g.normal([5, 13], key, counter)),
        ("dropped", dropped),
        ("slope", slope),
    ];
    let function = g.function(parts.map(|(name, y)| (name, y.id())), []);
    check_on(&function, |name, ty| match ty.dtype {
        U64 => Value::new(&ty.shape, Data::U64(vec![u64::MAX - 1])),
        _ => fill(name, ty),
    });
}
