//! Rewriting keeps values: every equality that a rule states, and every optimised function.

use super::audit::{Closeness, Random, WEIGHT, agree, audit, evaluate_nodes};
use super::finds::styles;
use super::models::{Extents, Masking, Style, inference, training};
use super::snippets::snippets;
use crate::dtype::DType;
use crate::eval::{Outputs, Precision, Value, Values, evaluate};
use crate::graph::{Function, Graph};
use crate::op::Op;
use crate::rewrite::optimize::optimize_with;
use crate::rewrite::rule::{Right, Rule, Soundness};
use crate::rewrite::saturate::{Compiled, RULES};
use crate::rewrite::{CostModel, Options, canonicalise, optimize};
use crate::tensor::Tensor;
use std::collections::BTreeSet;

/// As small as attention can be told from its transpose.
const TINY: Extents = Extents {
    batch: 2,
    tokens: 4,
    heads: 2,
    depth: 3,
    blocks: 1,
    regions: true,
};

fn all_styles() -> Vec<Style> {
    let others = [
        Masking::BlockCausal(2),
        Masking::Bias,
        Masking::Window,
        Masking::Ahead,
    ];
    let others = others.map(|masking| Style {
        masking,
        ..Style::default()
    });
    styles().into_iter().chain(others).collect()
}

/// Arithmetic costs nothing: fusions pay even at the smallest sizes.
fn options(exact: bool) -> Options {
    let costs = CostModel {
        operations_per_second: 1e18,
        ..CostModel::CPU
    };
    Options {
        exact,
        costs,
        ..Options::default()
    }
}

fn run(function: &Function, precision: Precision, special: usize) -> Outputs {
    let mut values = [Values::new(), Values::new()];
    for node in function.nodes() {
        let (kind, name, ty) = match &node.op {
            Op::Input { name, ty } => (0, name, ty),
            Op::Parameter { name, ty } => (1, name, ty),
            _ => continue,
        };
        // By name, so that it does not matter where the leaf lies in the function.
        let seed = name.bytes().fold(7, |hash: u64, byte| {
            hash.wrapping_mul(131) ^ u64::from(byte)
        });
        values[kind].insert(
            name.clone(),
            Random(seed).value(ty, [1.0, WEIGHT][kind], special),
        );
    }
    let [inputs, parameters] = values;
    evaluate(function, &inputs, &parameters, precision).expect("all values are given")
}

fn assert_same(
    before: &Function,
    after: &Function,
    precision: Precision,
    closeness: Closeness,
    special: usize,
    what: &str,
) {
    let (a, b) = (
        run(before, precision, special),
        run(after, precision, special),
    );
    for (name, value) in &a.outputs {
        assert!(
            agree(value, &b.outputs[name], closeness),
            "{name} of {what}: {value:?}, then {:?}\n{before}\n{after}",
            b.outputs[name]
        );
    }
}

/// Rules that state equalities of gradients or masks which hold only for what is finite: what is
/// not stays so, but may be NaN in place of infinity, or of a number beside it.
const FOR_GRADIENTS: [&str; 7] = [
    "layer-norm-backward",
    "layer-norm-backward-of-quotient",
    "softmax-gradient-through-maximum",
    "softmax-backward-of-numerator",
    "mask-as-bias",
    "gradient-of-masked-scores",
    "gradient-of-unmasked-scores",
];

/// What the rules that fire on a function promise of values that are not finite.
fn closeness<'r>(exact: bool, fired: impl IntoIterator<Item = &'r &'static str>) -> Closeness {
    let mut fired = fired.into_iter();
    match (exact, fired.any(|rule| FOR_GRADIENTS.contains(rule))) {
        (true, _) => Closeness::Equal,
        (false, true) => Closeness::NotFinite,
        (false, false) => Closeness::Rounded,
    }
}

#[test]
fn optimised_functions_compute_the_same() {
    let check = |what: &str, function: &Function, specials: &[usize]| {
        for exact in [true, false] {
            let (after, report) = optimize(function, &options(exact));
            let closeness = closeness(exact, report.fired.keys());
            let precision = match exact {
                true => Precision::F32,
                false => Precision::F64,
            };
            for &special in specials {
                assert_same(function, &after, precision, closeness, special, what);
            }
        }
    };
    for style in all_styles() {
        for function in [inference(TINY, style), training(TINY, style)] {
            check(&format!("{style:?}"), &function, &[0, 3, 50]);
        }
    }
    for (name, function) in snippets() {
        check(name, &function, &[0, 3, 10]);
    }
}

/// What `exact = false` must not make of numbers that are none.
#[test]
fn nothing_that_is_not_finite_gets_lost() {
    type Word = for<'g> fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>;
    let words: [(&str, Word); 20] = [
        ("x - x", |x, _| x - x),
        ("0 / x", |x, _| 0.0 / x),
        ("-0 / x", |x, _| -0.0 / x),
        ("x * 0", |x, _| x * 0.0),
        ("x / x", |x, _| x / x),
        ("x + (y - x)", |x, y| x + (y - x)),
        ("y + x - x", |x, y| y + x - x),
        ("2x - x", |x, _| x * 2.0 - x),
        ("x + -x", |x, _| x + -x),
        ("y + (x - x) * 3", |x, y| y + (x - x) * 3.0),
        ("1 / (x + 0)", |x, _| 1.0 / (x + 0.0)),
        ("1 / -(0 * x)", |x, _| 1.0 / -(x * 0.0)),
        ("sum of x * y", |x, y| {
            let row = y.slice(1, 0..1).squeeze(1);
            (x * row.unsqueeze(-1)).sum(-1)
        }),
        ("sum of -x", |x, _| 1.0 / (-x).sum(-1)),
        ("sign of x / |y|", |x, y| (x / y.abs().maximum(1e-3)).sign()),
        ("x / |y| > 0", |x, y| (x / y.abs().maximum(1e-3)).gt(0.0)),
        ("x * (1 / |y|) > 0", |x, y| {
            (x * y.abs().maximum(1e-3).sum(-1).reciprocal().unsqueeze(-1)).gt(0.0)
        }),
        ("x / y + 1 / y", |x, y| x / y + 1.0 / y),
        ("(x * 1e30) * 1e-30", |x, _| x * 1e30 * 1e-30),
        ("(x * 4) times y", |x, y| {
            (x * 4.0).matmul(y.swap_axes(0, 1))
        }),
    ];
    let kinds = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        1e-42,
        -1.5,
        2e15,
        -3e38,
    ];
    let pairs = kinds.iter().flat_map(|&x| kinds.map(|y| [x, y]));
    let pairs: Vec<[f32; 2]> = pairs.collect();
    let column = |index: usize| {
        let elements: Vec<f32> = pairs.iter().map(|pair| pair[index]).collect();
        Value::new([pairs.len(), 1], elements)
    };
    for (name, word) in words {
        let g = Graph::new();
        let [x, y] = ["x", "y"].map(|name| g.input(name, DType::F32, [pairs.len(), 1]));
        let [x2, y2] = [x, y].map(|x| x.broadcast_to([pairs.len(), 2]));
        let outputs = [("single", word(x, y).id()), ("twice", word(x2, y2).id())];
        let function = g.function(outputs, []);
        let inputs = [("x", column(0)), ("y", column(1))];
        let inputs: Values = inputs.map(|(name, value)| (name.to_string(), value)).into();
        let (after, _) = optimize(&function, &options(false));
        let of = |function: &Function| {
            evaluate(function, &inputs, &Values::new(), Precision::F32).expect("all are given")
        };
        let (before, then) = (of(&function), of(&after));
        for (output, value) in &before.outputs {
            let now = &then.outputs[output];
            assert!(
                agree(value, now, Closeness::Rounded),
                "{output} of {name}: {value:?}, then {now:?}\n{after}"
            );
        }
    }
}

#[test]
fn bits_of_quotients_at_the_edge_of_underflow_keep_their_value() {
    // 2^-150 rounds to zero, and the next number above it does not.
    let g = Graph::new();
    let steps = g.iota(DType::F32, [64, 64], 0) - 32.0;
    // Zero, but not known to be.
    let given = g.input("x", DType::F32, [64, 64]);
    let zero = given - given.abs() * given.sign();
    let x = steps * 2f64.powi(-23) + 1.0 + zero;
    let y = g.iota(DType::F32, [64, 64], 1) * 2f64.powi(-22) + 0.999_995;
    let y = (y * 2f64.powi(90)).maximum(1e-12);
    let bits = ((x * 2f64.powi(-60)) / y).gt(0.0);
    let function = g.function([("bits", bits.id())], []);
    let (after, report) = optimize(&function, &options(true));
    assert!(report.to_string().contains("scaled-comparison-of-quotient"));
    assert_same(
        &function,
        &after,
        Precision::F32,
        Closeness::Equal,
        0,
        "quotients",
    );
}

#[test]
fn every_rule_fires_and_every_equality_holds() {
    let mut silent: BTreeSet<&str> = RULES.iter().map(|rule| rule.rule.name).collect();
    let mut audited = 0;
    let without = |left_out: &[&str]| -> Vec<Compiled> {
        let rules = RULES.iter().map(|rule| rule.rule);
        let kept = rules.filter(|rule| !left_out.contains(&rule.name));
        kept.map(Compiled::new).collect()
    };
    // It compares as `f32` does, where a quotient may underflow; in `f64` it does not.
    let of_f32 = ["scaled-comparison-of-quotient"];
    let strict = without(&[&FOR_GRADIENTS[..], &of_f32].concat());
    let not_of_f32 = without(&of_f32);
    let mut check = |what: &str, function: &Function, seed: u64, special: usize| {
        for (rules, closeness, special) in [
            (&RULES[..], Closeness::Equal, 0),
            (&RULES, Closeness::Equal, 3),
            (&RULES, Closeness::Rounded, 0),
            (&strict, Closeness::Rounded, special),
            (&not_of_f32, Closeness::NotFinite, special),
        ] {
            let result = audit(function, rules, closeness, special, seed);
            let what = format!("{what} {closeness:?} {special} {seed}");
            assert!(result.broken.is_empty(), "{what}: {:#?}", result.broken);
            result.fired.keys().for_each(|name| {
                silent.remove(name);
            });
            audited += result.nodes;
        }
    };
    for (seed, style) in all_styles().into_iter().enumerate() {
        let seed = seed as u64;
        let name = format!("{style:?}");
        check(&name, &training(TINY, style), seed, 200);
        check(&name, &inference(TINY, style), seed, 50);
    }
    for (name, function) in snippets() {
        for seed in 0..24 {
            check(name, &function, seed, 3 + 4 * (seed as usize % 3));
        }
    }
    assert!(silent.is_empty(), "rules that never fired: {silent:?}");
    assert!(audited > 10_000, "{audited} nodes");
}

#[test]
fn a_wrong_rule_is_caught() {
    let wrong = [
        // The sign is wrong.
        (
            "(mul ?p (sub ?g (row (row_sum (mul ?g ?p)))))",
            "(softmax_backward ?g ?p)",
            true,
        ),
        // Exact it is not.
        ("(add ?x #0)", "?x", true),
        // Reassociating it is not either.
        ("(mul (mul ?x #a) #b)", "(mul ?x #a)", false),
        // Only of finite numbers.
        ("(sub ?x ?x)", "?x", false),
        ("(add ?x (sub ?y ?x))", "?y", false),
    ];
    for (left, right, exact) in wrong {
        let rule = Rule {
            name: "wrong",
            soundness: Soundness::Exact,
            left,
            right: Right::Text(right),
            meaning: "",
        };
        let rules = [Compiled::new(rule)];
        let closeness = match exact {
            true => Closeness::Equal,
            false => Closeness::Rounded,
        };
        let broken =
            |function: &Function| !audit(function, &rules, closeness, 5, 3).broken.is_empty();
        let mut programs = snippets();
        programs.push(("negative zero", negative_zero()));
        let caught = programs.iter().any(|(_, function)| broken(function));
        assert!(caught, "{left} => {right}");
        // What the audit sees, the optimised program may show too, but need not.
        let (_, report) = optimize_with(&programs[0].1, &options(exact), &rules);
        assert!(report.nodes_after > 0);
    }
}

/// `-0 + 0` for negative x.
fn negative_zero() -> Function {
    let g = crate::Graph::new();
    let x = g.input("x", crate::DType::F32, [3, 4]);
    let zero = (x.abs() * 0.0) * -1.0 + 0.0;
    g.function([("y", zero.id())], [])
}

#[test]
fn the_canonical_form_keeps_every_bit() {
    for seed in 0..400 {
        let function = super::random::function(seed);
        let after = canonicalise(&function);
        crate::verify::verify(&after).expect("well formed");
        let what = format!("seed {seed}");
        assert_same(
            &function,
            &after,
            Precision::F32,
            Closeness::Equal,
            3,
            &what,
        );
        let again = canonicalise(&after);
        assert_eq!(
            again.to_string(),
            after.to_string(),
            "not a fixed point: seed {seed}"
        );
    }
}

#[test]
fn values_of_nodes_are_those_of_the_evaluator() {
    let function = inference(TINY, Style::default());
    let values = evaluate_nodes(&function, &mut Random(1), 0, Precision::F32);
    let root = function.outputs()[0].1;
    assert_eq!(values[root.index()][0].ty(), function.node(root).ty());
}
