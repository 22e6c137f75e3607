//! Algebra: signs, constants, reciprocals and sums in the forms that the fusions expect.
//!
//! All of it rounds differently. The identities that keep every bit need no search: they are
//! part of the canonical form. What only holds for finite numbers is no rule: `x - x` and `0 / x`
//! are not 0, `x + (y - x)` is not y, and `sum(x * z)` is not `sum(x) * z`, since x or z may be
//! infinite or NaN.

use super::{code, text};
use crate::dtype::DType;
use crate::op::Op;
use crate::rewrite::egraph::{Build, ENode};
use crate::rewrite::rule::Soundness::{Exact, Reassociating};
use crate::rewrite::rule::{Rewrite, Rule};
use egg::Id;

pub static RULES: &[Rule] = &[
    code(
        "sum-of-negation",
        Exact,
        "(sum$s (neg ?x))",
        sum_of_negation,
        "sum(-x) => 0 - sum(x)",
    ),
    code(
        "sum-of-scaled-rows",
        Reassociating,
        "(row_sum$s (mul ?x (row ?z)))",
        sum_of_scaled_rows,
        "sum(x * z) => sum(x) * z where z is one value per row, 1/y of a y that is not small",
    ),
    code(
        "division-by-constant",
        Reassociating,
        "(div ?x #c)",
        division_by_constant,
        "x / c => x * (1/c)",
    ),
    code(
        "product-of-constants",
        Reassociating,
        "(mul (mul ?x #a) #b)",
        product_of_constants,
        "(x * a) * b => x * (a * b) where x * a overflows only if the whole does",
    ),
    code(
        "division-by-reciprocal",
        Reassociating,
        "(div ?x ?y)",
        division_by_reciprocal,
        "x / y => x * (1/y) where 1/y is there already",
    ),
    code(
        "division-by-repeated",
        Reassociating,
        "(div ?x (broadcast$b ?y))",
        division_by_repeated,
        "x / y => x * (1/y) where y is repeated and 1/y is there already",
    ),
    code(
        "division-by-scaled",
        Reassociating,
        "(div ?x (mul ?y #c))",
        division_by_scaled,
        "x / (y * c) => (x / y) * (1/c)",
    ),
    code(
        "division-by-product",
        Reassociating,
        "(div ?x (mul ?y ?z))",
        division_by_product,
        "x / (y * z) => (x / y) / z where 1/y is there already",
    ),
    code(
        "division-by-repeated-product",
        Reassociating,
        "(div ?x (broadcast$b (mul ?y ?z)))",
        division_by_repeated_product,
        "x / (y * z) => (x / y) / z where y and z are repeated and 1/y is there already",
    ),
    text(
        "equal-branches",
        Exact,
        "(select ?c ?x ?x)",
        "?x",
        "select(c, x, x) => x",
    ),
    code(
        "contraction-of-scaled",
        Reassociating,
        "(dot_general$d (mul ?x #c) ?y)",
        |rewrite| contraction_of_scaled(rewrite, true),
        "dot(x * c, y) => dot(x, y) * c where 0 < c <= 1",
    ),
    code(
        "contraction-with-scaled",
        Reassociating,
        "(dot_general$d ?y (mul ?x #c))",
        |rewrite| contraction_of_scaled(rewrite, false),
        "dot(y, x * c) => dot(y, x) * c where 0 < c <= 1",
    ),
    code(
        "gain-into-weight",
        Reassociating,
        "(dot_general$d (mul ?x (column ?g)) ?y)",
        gain_into_weight,
        "dot(x * g, w) => dot(x, g * w) where g scales the contracted axis",
    ),
];

/// No sum is -0, so this is a difference: `-sum(x)` would be -0 where the sum is 0.
fn sum_of_negation(rewrite: &mut Rewrite) -> Option<()> {
    let ty = rewrite.ty();
    if ty.dtype != DType::F32 {
        return None;
    }
    let sum = rewrite.build(rewrite.op("s").clone(), &[rewrite.class("x")]);
    let zero = rewrite.classes.full(0.0, &ty.shape);
    let difference = rewrite.build(Op::Sub, &[zero, sum]);
    rewrite.root_is(difference);
    Some(())
}

/// An infinite z would make infinity of a sum whose terms are NaN.
fn sum_of_scaled_rows(rewrite: &mut Rewrite) -> Option<()> {
    let (x, z) = (rewrite.class("x"), rewrite.class("z"));
    let is_small_reciprocal = |node: &ENode| {
        node.op == Op::Div
            && rewrite.classes.value(node.operands[0]) == Some(1.0)
            && rewrite.classes[node.operands[1]].data.least >= f32::MIN_POSITIVE
    };
    let nodes = &rewrite.classes[z].nodes;
    nodes.iter().find(|node| is_small_reciprocal(node))?;
    let sum = rewrite.build(rewrite.op("s").clone(), &[x]);
    let product = rewrite.build(Op::Mul, &[sum, z]);
    rewrite.root_is(product);
    Some(())
}

/// `x * c` with the constant in the shape of x.
pub(super) fn scaled(rewrite: &mut Rewrite, x: Id, c: f64) -> Id {
    if c == 1.0 {
        return x;
    }
    let shape = rewrite.classes.ty(x).shape.clone();
    let factor = rewrite.classes.full(c as f32, &shape);
    rewrite.build(Op::Mul, &[x, factor])
}

fn division_by_constant(rewrite: &mut Rewrite) -> Option<()> {
    let c = rewrite.number("c");
    let reciprocal = 1.0 / c as f32;
    if !reciprocal.is_normal() || rewrite.classes.value(rewrite.class("x")).is_some() {
        return None;
    }
    let product = scaled(rewrite, rewrite.class("x"), reciprocal.into());
    rewrite.root_is(product);
    Some(())
}

fn product_of_constants(rewrite: &mut Rewrite) -> Option<()> {
    let (a, b) = (rewrite.number("a"), rewrite.number("b"));
    let c = a * b;
    if (a.abs() > 1.0 && b.abs() < 1.0)
        || !(c as f32).is_normal()
        || rewrite.classes.value(rewrite.class("x")).is_some()
    {
        return None;
    }
    let product = scaled(rewrite, rewrite.class("x"), c);
    rewrite.root_is(product);
    Some(())
}

/// The class `1/y`, if a program computes it, and it is finite where y is not zero: x may be zero
/// as well, and zero times an infinite reciprocal is NaN.
fn reciprocal(rewrite: &mut Rewrite, y: Id) -> Option<Id> {
    let shape = rewrite.classes.ty(y).shape.clone();
    if rewrite.classes.value(y).is_some() || rewrite.classes[y].data.least < f32::MIN_POSITIVE {
        return None;
    }
    let one = crate::rewrite::egraph::full(1.0, &shape);
    let one = rewrite.classes.known(one, &[])?;
    rewrite.classes.known(Op::Div, &[one, y])
}

fn division_by_reciprocal(rewrite: &mut Rewrite) -> Option<()> {
    let (x, y) = (rewrite.class("x"), rewrite.class("y"));
    if rewrite.classes.value(x).is_some() {
        return None;
    }
    let reciprocal = reciprocal(rewrite, y)?;
    let product = rewrite.build(Op::Mul, &[x, reciprocal]);
    rewrite.root_is(product);
    Some(())
}

fn division_by_repeated(rewrite: &mut Rewrite) -> Option<()> {
    let (x, y) = (rewrite.class("x"), rewrite.class("y"));
    if rewrite.classes.value(x).is_some() {
        return None;
    }
    let reciprocal = reciprocal(rewrite, y)?;
    let repeated = rewrite.build(rewrite.op("b").clone(), &[reciprocal]);
    let product = rewrite.build(Op::Mul, &[x, repeated]);
    rewrite.root_is(product);
    Some(())
}

fn division_by_scaled(rewrite: &mut Rewrite) -> Option<()> {
    let reciprocal = 1.0 / rewrite.number("c") as f32;
    if !reciprocal.is_normal() {
        return None;
    }
    let quotient = rewrite.build(Op::Div, &[rewrite.class("x"), rewrite.class("y")]);
    let product = scaled(rewrite, quotient, reciprocal.into());
    rewrite.root_is(product);
    Some(())
}

fn division_by_product(rewrite: &mut Rewrite) -> Option<()> {
    let (y, z) = (rewrite.class("y"), rewrite.class("z"));
    reciprocal(rewrite, y)?;
    let quotient = rewrite.build(Op::Div, &[rewrite.class("x"), y]);
    let quotient = rewrite.build(Op::Div, &[quotient, z]);
    rewrite.root_is(quotient);
    Some(())
}

fn division_by_repeated_product(rewrite: &mut Rewrite) -> Option<()> {
    let (y, z) = (rewrite.class("y"), rewrite.class("z"));
    reciprocal(rewrite, y)?;
    let repeat = rewrite.op("b").clone();
    let (y, z) = (
        rewrite.build(repeat.clone(), &[y]),
        rewrite.build(repeat, &[z]),
    );
    let quotient = rewrite.build(Op::Div, &[rewrite.class("x"), y]);
    let quotient = rewrite.build(Op::Div, &[quotient, z]);
    rewrite.root_is(quotient);
    Some(())
}

/// A larger c may make x * c overflow, a negative one change the sign of a zero.
fn contraction_of_scaled(rewrite: &mut Rewrite, left: bool) -> Option<()> {
    let (x, y, c) = (rewrite.class("x"), rewrite.class("y"), rewrite.number("c"));
    if !(f32::MIN_POSITIVE.into()..=1.0).contains(&c) {
        return None;
    }
    let operands = if left { [x, y] } else { [y, x] };
    let dot = rewrite.build(rewrite.op("d").clone(), &operands);
    let product = scaled(rewrite, dot, c);
    rewrite.root_is(product);
    Some(())
}

/// `weight` with `gain` multiplied along `axis`.
fn with_gain(rewrite: &mut Rewrite, weight: Id, gain: Id, axis: usize) -> Id {
    let shape = rewrite.classes.ty(weight).shape.clone();
    let repeat = match shape.rank() {
        1 => gain,
        _ => {
            let axes = vec![axis];
            rewrite.build(Op::Broadcast { shape, axes }, &[gain])
        }
    };
    rewrite.build(Op::Mul, &[weight, repeat])
}

fn is_weight(rewrite: &Rewrite, id: Id) -> bool {
    let leaf = |op: &Op| matches!(op, Op::Input { .. } | Op::Parameter { .. });
    rewrite.classes[id].nodes.iter().any(|node| leaf(&node.op))
}

fn gain_into_weight(rewrite: &mut Rewrite) -> Option<()> {
    let (x, y, gain) = (rewrite.class("x"), rewrite.class("y"), rewrite.class("g"));
    let Op::DotGeneral(axes) = rewrite.op("d").clone() else {
        return None;
    };
    let last = rewrite.classes.ty(x).shape.rank() - 1;
    let axis = axes.contract.iter().find(|pair| pair.0 == last)?.1;
    if !is_weight(rewrite, y) || !is_weight(rewrite, gain) {
        return None;
    }
    let weight = with_gain(rewrite, y, gain, axis);
    let dot = rewrite.build(Op::DotGeneral(axes), &[x, weight]);
    rewrite.root_is(dot);
    Some(())
}
