//! Long programs: every pass takes time that grows with their length, and no stack.
//!
//! `cargo test -p bsq-ir --test long_chains -- --nocapture` prints what each part took.

use bsq_ir::autodiff::gradients;
use bsq_ir::eval::{Precision, Value, Values, evaluate};
use bsq_ir::fused::expand_function;
use bsq_ir::rewrite::{Options, canonicalise, optimize};
use bsq_ir::text::{graphviz, parse};
use bsq_ir::verify::verify;
use bsq_ir::{DType::F32, Function, Graph, Tensor};
use std::time::Instant;

/// Far too little for one call per node.
const STACK: usize = 256 << 10;

fn in_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK);
    thread.spawn(test).unwrap().join().unwrap();
}

fn timed<R>(name: &str, work: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = work();
    println!("  {name:12} {:8.3} s", start.elapsed().as_secs_f64());
    result
}

type Link = for<'g> fn(Tensor<'g>, Tensor<'g>, usize) -> Tensor<'g>;

const LINKS: [(&str, Link); 5] = [
    ("y = tanh(y) + x", |y, x, _| y.tanh() + x),
    ("y = y * c + d, tanh", |y, _, k| match k % 3 {
        0 => y * 1.0001,
        1 => y + 0.5,
        _ => y.tanh(),
    }),
    ("y = (y - x) * y", |y, x, _| (y - x) * y * 0.5),
    ("y = transpose, reshape", |y, _, _| {
        -(-y).transpose(&[1, 0]).reshape([2, 3])
    }),
    ("constants", |y, x, k| match k {
        0 => x.graph().iota(F32, [6], 0).reshape([2, 3]).tanh(),
        _ => (y + y) * 0.25,
    }),
];

/// A chain of at least `ops` ops; with `gradient` its derivative too.
fn chain(link: Link, ops: usize, gradient: bool) -> Function {
    let g = Graph::new();
    let x = g.input("x", F32, [2, 3]);
    let (mut y, mut k) = (x, 0);
    while g.len() < ops {
        y = link(y, x, k);
        k += 1;
    }
    let mut outputs = vec![("y", (y + x).id())];
    if gradient {
        outputs.push(("gradient", gradients((y + x).sum(..), &[x])[0].id()));
    }
    g.function(outputs, [])
}

fn value(function: &Function) -> Values {
    let x = Value::new([2, 3], vec![0.1f32, -0.2, 0.3, 0.4, -0.5, 0.6]);
    let inputs = Values::from([("x".to_string(), x)]);
    evaluate(function, &inputs, &Values::new(), Precision::F32)
        .unwrap()
        .outputs
}

fn all_passes(name: &str, link: Link, ops: usize, gradient: bool) {
    println!("{name}, {ops} ops, gradient {gradient}");
    let function = timed("build", || chain(link, ops, gradient));
    let wanted = timed("evaluate", || value(&function));
    timed("verify", || verify(&function).unwrap());
    let text = timed("print", || function.to_string());
    let parsed = timed("parse", || parse(&text).unwrap());
    assert!(parsed == function);
    timed("draw", || graphviz(&function));
    assert!(timed("expand", || expand_function(&function)) == function);
    let canonical = timed("canonicalise", || canonicalise(&function));
    assert_eq!(value(&canonical), wanted);
    for (pass, options) in [
        ("exact", Options::exact()),
        ("optimise", Options::default()),
    ] {
        let (after, _) = timed(pass, || optimize(&function, &options));
        let got = value(&after);
        for (name, wanted) in &wanted {
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * (1.0 + b.abs()) || a == b;
            let both_nan = |(a, b): (&f32, &f32)| a.is_nan() && b.is_nan();
            let mut pairs = got[name].as_f32().iter().zip(wanted.as_f32());
            assert!(
                pairs.all(|pair| near(pair) || both_nan(pair)),
                "{name}: {wanted:?}, {got:?}"
            );
        }
    }
    timed("drop", || drop((function, parsed, canonical)));
}

/// The lengths to try: those of `BSQ_CHAIN_OPS`, or few enough for every day.
fn lengths() -> Vec<usize> {
    let given = std::env::var("BSQ_CHAIN_OPS").ok();
    let parse = |list: String| list.split(',').map(|n| n.parse().unwrap()).collect();
    given.map_or_else(|| vec![20_000], parse)
}

#[test]
fn chains_of_every_kind() {
    in_small_stack(|| {
        for ops in lengths() {
            for (name, link) in LINKS {
                all_passes(name, link, ops, false);
            }
        }
    });
}

#[test]
fn gradients_of_chains() {
    in_small_stack(|| {
        for ops in lengths() {
            for (name, link) in &LINKS[..3] {
                all_passes(name, *link, ops / 4, true);
            }
        }
    });
}

#[test]
fn a_hundred_thousand_in_a_row() {
    in_small_stack(|| all_passes(LINKS[0].0, LINKS[0].1, 100_000, false));
}
