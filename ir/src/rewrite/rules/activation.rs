//! Activation functions, forward and backward.

use super::code;
use crate::op::Op;
use crate::rewrite::pattern::close;
use crate::rewrite::rule::Soundness::{Exact, Reassociating};
use crate::rewrite::rule::{Rewrite, Rule};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

pub static RULES: &[Rule] = &[
    code(
        "gelu",
        Exact,
        "(mul (mul ?x #0.5) (add (erf (mul ?x #c)) #1))",
        |rewrite| gelu(rewrite, |c, wanted| c == f64::from(wanted as f32)),
        "x * 0.5 * (1 + erf(x / sqrt 2)) => gelu(x)",
    ),
    code(
        "gelu-in-other-order",
        Reassociating,
        "(*[0.5] ?x (add (erf (*[c] ?x)) #1))",
        |rewrite| gelu(rewrite, close),
        "the same product in another order => gelu(x)",
    ),
    code(
        "gelu-backward",
        Exact,
        "(add (mul (mul (mul ?g (mul ?x #0.5)) (mul (exp (neg (mul ?u:(mul ?x #c) ?u))) #k)) #c) (mul (mul ?g (add (erf ?u) #1)) #0.5))",
        gelu_backward,
        "the product rule of x * 0.5 * (1 + erf(x / sqrt 2)) => gelu_backward(x, g)",
    ),
    code(
        "gelu-backward-in-other-order",
        Reassociating,
        "(+$rest (*[0.5] ?g (add (erf (*[c] ?x)) #1)) (*[k] ?g ?x (exp (*[-0.5] ?x ?x))))",
        gelu_backward_in_other_order,
        "the same derivative in another order => gelu_backward(x, g)",
    ),
];

fn gelu(rewrite: &mut Rewrite, equal: fn(f64, f64) -> bool) -> Option<()> {
    if !equal(rewrite.number("c"), FRAC_1_SQRT_2) {
        return None;
    }
    let gelu = rewrite.build(Op::Gelu, &[rewrite.class("x")]);
    rewrite.root_is(gelu);
    Some(())
}

fn gelu_backward(rewrite: &mut Rewrite) -> Option<()> {
    let rounded = |value: f64| f64::from(value as f32);
    let exact = rewrite.number("c") == rounded(FRAC_1_SQRT_2)
        && rewrite.number("k") == rounded(FRAC_2_SQRT_PI);
    if !exact {
        return None;
    }
    let backward = rewrite.build(Op::GeluBackward, &[rewrite.class("x"), rewrite.class("g")]);
    rewrite.root_is(backward);
    Some(())
}

fn gelu_backward_in_other_order(rewrite: &mut Rewrite) -> Option<()> {
    let density = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
    if !close(rewrite.number("c"), FRAC_1_SQRT_2) || !close(rewrite.number("k"), density) {
        return None;
    }
    let backward = rewrite.build(Op::GeluBackward, &[rewrite.class("x"), rewrite.class("g")]);
    let sum = rewrite.plus_rest(backward, "rest");
    rewrite.root_is(sum);
    Some(())
}
