//! Rewriting keeps values: every equality that a rule states, and every optimised function.

use super::audit::{Random, WEIGHT, agree, audit, evaluate_nodes};
use super::finds::styles;
use super::models::{Extents, Masking, Style, inference, training};
use super::snippets::snippets;
use crate::dtype::DType;
use crate::eval::{Outputs, Precision, Values, evaluate};
use crate::graph::{Function, Graph};
use crate::op::Op;
use crate::rewrite::optimize::optimize_with;
use crate::rewrite::rule::{Right, Rule, Soundness};
use crate::rewrite::saturate::{Compiled, RULES};
use crate::rewrite::{CostModel, Options, canonicalise, optimize};
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

fn run(function: &Function, precision: Precision, special: bool) -> Outputs {
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

fn assert_same(before: &Function, after: &Function, exact: bool, special: bool, what: &str) {
    let precision = if exact {
        Precision::F32
    } else {
        Precision::F64
    };
    let (a, b) = (
        run(before, precision, special),
        run(after, precision, special),
    );
    for (name, value) in &a.outputs {
        assert!(
            agree(value, &b.outputs[name], exact),
            "{name} of {what}\n{before}\n{after}"
        );
    }
}

#[test]
fn optimised_functions_compute_the_same() {
    for style in all_styles() {
        for function in [inference(TINY, style), training(TINY, style)] {
            for exact in [true, false] {
                let (after, _) = optimize(&function, &options(exact));
                assert_same(&function, &after, exact, false, &format!("{style:?}"));
            }
        }
    }
    for (name, function) in snippets() {
        for exact in [true, false] {
            let (after, _) = optimize(&function, &options(exact));
            assert_same(&function, &after, exact, exact, name);
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
    assert_same(&function, &after, true, false, "quotients");
}

#[test]
fn every_rule_fires_and_every_equality_holds() {
    let mut silent: BTreeSet<&str> = RULES.iter().map(|rule| rule.rule.name).collect();
    let mut audited = 0;
    let mut check = |what: &str, function: &Function, seed: u64| {
        for (exact, special) in [(true, false), (true, true), (false, false)] {
            let result = audit(function, &RULES, exact, special, seed);
            assert!(result.broken.is_empty(), "{what}: {:#?}", result.broken);
            result.fired.keys().for_each(|name| {
                silent.remove(name);
            });
            audited += result.nodes;
        }
    };
    for (seed, style) in all_styles().into_iter().enumerate() {
        check(&format!("{style:?}"), &training(TINY, style), seed as u64);
    }
    for (name, function) in snippets() {
        for seed in 0..4 {
            check(name, &function, seed);
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
        let broken =
            |function: &Function| !audit(function, &rules, exact, false, 3).broken.is_empty();
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
        assert_same(&function, &after, true, true, &format!("seed {seed}"));
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
    let values = evaluate_nodes(&function, &mut Random(1), false, Precision::F32);
    let root = function.outputs()[0].1;
    assert_eq!(values[root.index()][0].ty(), function.node(root).ty());
}
