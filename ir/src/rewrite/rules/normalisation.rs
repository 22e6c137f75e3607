//! Softmax and layer norm, forward and backward.

use super::{code, text};
use crate::op::{Float, Op};
use crate::rewrite::egraph::Build;
use crate::rewrite::pattern::close;
use crate::rewrite::rule::Soundness::{Exact, Reassociating};
use crate::rewrite::rule::{Rewrite, Rule};
use egg::Id;

pub static RULES: &[Rule] = &[
    text(
        "softmax",
        Exact,
        "(mul ?e:(exp (sub ?s (row (row_max ?s)))) (row (div #1 (row_sum ?e))))",
        "(softmax ?s)",
        "e * (1 / sum(e)) => softmax(s) where e = exp(s - max(s))",
    ),
    code(
        "softmax-by-division",
        Reassociating,
        "(div ?e:(exp (sub ?s (row (row_max ?s)))) (row$b ?z:(row_sum ?e)))",
        softmax_by_division,
        "e / sum(e) => e * (1 / sum(e)) where e = exp(s - max(s))",
    ),
    text(
        "softmax-backward",
        Exact,
        "(mul ?p (sub ?g (row (row_sum (mul ?g ?p)))))",
        "(softmax_backward ?p ?g)",
        "p * (g - sum(g * p)) => softmax_backward(p, g)",
    ),
    code(
        "softmax-backward-of-numerator",
        Reassociating,
        "(* ?e (+ (* ?g (row$b ?r)) (*[k] (row (*[i] (row_sum (* ?g ?e)) ?r ?r)))))",
        softmax_backward,
        "e * (g * r - sum(g * e) * r * r) => softmax_backward(e * r, g)",
    ),
    code(
        "softmax-backward-of-quotient",
        Reassociating,
        "(* ?e (+ (* ?g (row$b ?r)) (*[k] (row (*[i] (row_sum (* ?g (* ?e (row ?r)))) ?r)))))",
        softmax_backward,
        "e * (g * r - sum(g * e * r) * r) => softmax_backward(e * r, g)",
    ),
    text(
        "softmax-gradient-through-maximum",
        Reassociating,
        "(add ?d:(softmax_backward (softmax ?s) ?g) (select (equal ?s (row (row_max ?s))) (row (div (row_sum (neg ?d)) ?n)) #0))",
        "?d",
        "d - sum(d) / n at the maximum => d where d = softmax_backward(softmax(s), g), whose sum is 0 or not finite",
    ),
    code(
        "layer-norm",
        Exact,
        "(add (mul (mul ?c:(sub ?x (row ?m:(mul (row_sum ?x) #i))) (row ?r:(div #1 (sqrt (add (mul (row_sum (mul ?c ?c)) #j) #e))))) (column ?w)) (column ?b))",
        |rewrite| layer_norm(rewrite, |a, b| a == b),
        "(x - mean) * (1 / sqrt(variance + epsilon)) * weight + bias => layer_norm",
    ),
    code(
        "layer-norm-in-other-order",
        Reassociating,
        "(+ (* ?c:(sub ?x (row ?m:(*[i] (row_sum ?x)))) (row ?r:(div #1 (sqrt (add (*[j] (row_sum (* ?c ?c))) #e)))) (column ?w)) (column ?b))",
        |rewrite| layer_norm(rewrite, close),
        "the same product in another order => layer_norm",
    ),
    code(
        "division-by-deviation",
        Reassociating,
        "(div ?c (row$b ?d:(sqrt (add (*[j] (row_sum (* ?c ?c))) #e))))",
        division_by_deviation,
        "c / d => c * (1 / d) where d = sqrt(mean(c * c) + epsilon)",
    ),
    code(
        "layer-norm-backward",
        Reassociating,
        "(+$rest (row (*[j] (row_sum ?dc))) ?dc:(+ (* ?h:(mul ?g (column ?w)) (row ?r)) (*[k] ?c:(sub ?x (row ?m:(*[q] (row_sum ?x)))) (row (*[i] (row_sum (* ?h ?c)) ?r ?r ?r)))))",
        layer_norm_backward,
        "the derivative of layer norm by x, with r^3 => layer_norm_backward",
    ),
    code(
        "layer-norm-backward-of-quotient",
        Reassociating,
        "(+$rest (row (*[j] (row_sum ?dc))) ?dc:(+ (* ?h:(mul ?g (column ?w)) (row ?r)) (*[k] ?c:(sub ?x (row ?m:(*[q] (row_sum ?x)))) (row (*[i] (row_sum (* ?h (* ?c (row ?r)))) ?r ?r)))))",
        layer_norm_backward,
        "the derivative of layer norm by x, with the normalised x => layer_norm_backward",
    ),
];

fn softmax_by_division(rewrite: &mut Rewrite) -> Option<()> {
    let (e, z) = (rewrite.class("e"), rewrite.class("z"));
    let product = times_reciprocal(rewrite, e, z);
    rewrite.root_is(product);
    Some(())
}

/// `x * (1 / y)` where `$b` repeats y.
fn times_reciprocal(rewrite: &mut Rewrite, x: Id, y: Id) -> Id {
    let shape = rewrite.classes.ty(y).shape.clone();
    let one = rewrite.classes.full(1.0, &shape);
    let reciprocal = rewrite.build(Op::Div, &[one, y]);
    let repeated = rewrite.build(rewrite.op("b").clone(), &[reciprocal]);
    rewrite.build(Op::Mul, &[x, repeated])
}

fn division_by_deviation(rewrite: &mut Rewrite) -> Option<()> {
    let (c, d) = (rewrite.class("c"), rewrite.class("d"));
    let product = times_reciprocal(rewrite, c, d);
    rewrite.root_is(product);
    Some(())
}

fn softmax_backward(rewrite: &mut Rewrite) -> Option<()> {
    if !close(rewrite.number("k") * rewrite.number("i"), -1.0) {
        return None;
    }
    let (e, r, g) = (rewrite.class("e"), rewrite.class("r"), rewrite.class("g"));
    let repeated = rewrite.classes.known(rewrite.op("b").clone(), &[r])?;
    let p = rewrite.classes.known(Op::Mul, &[e, repeated])?;
    // Then r is at most 1 or NaN, and multiplies a sum as it does each term.
    let nodes = &rewrite.classes[p].nodes;
    nodes.iter().find(|node| node.op == Op::Softmax)?;
    let backward = rewrite.build(Op::SoftmaxBackward, &[p, g]);
    rewrite.root_is(backward);
    Some(())
}

/// The reciprocal of a row's length, as `mean` multiplies with it.
fn reciprocal_length(rewrite: &Rewrite, x: Id) -> f64 {
    let width = *rewrite.classes.ty(x).shape.last().expect("a row");
    ((1.0 / width as f64) as f32).into()
}

fn layer_norm(rewrite: &mut Rewrite, equal: fn(f64, f64) -> bool) -> Option<()> {
    let (x, weight, bias) = (rewrite.class("x"), rewrite.class("w"), rewrite.class("b"));
    let reciprocal = reciprocal_length(rewrite, x);
    if !equal(rewrite.number("i"), reciprocal) || !equal(rewrite.number("j"), reciprocal) {
        return None;
    }
    let epsilon = Float::new(rewrite.number("e") as f32);
    let (mean, rstd) = (rewrite.class("m"), rewrite.class("r"));
    let norm = rewrite.build(Op::LayerNorm { epsilon }, &[x, weight, bias]);
    for (index, class) in [rewrite.root, mean, rstd].into_iter().enumerate() {
        let result = rewrite.build(Op::Projection(index), &[norm]);
        rewrite.equate(class, result);
    }
    Some(())
}

fn layer_norm_backward(rewrite: &mut Rewrite) -> Option<()> {
    let (x, weight) = (rewrite.class("x"), rewrite.class("w"));
    let reciprocal = reciprocal_length(rewrite, x);
    let inner = rewrite.number("k") * rewrite.number("i");
    let fits = close(rewrite.number("j"), -reciprocal)
        && close(rewrite.number("q"), reciprocal)
        && close(inner, -reciprocal);
    if !fits {
        return None;
    }
    let (mean, rstd, g) = (rewrite.class("m"), rewrite.class("r"), rewrite.class("g"));
    let backward = rewrite.build(Op::LayerNormBackward, &[x, weight, mean, rstd, g]);
    let sum = rewrite.plus_rest(backward, "rest");
    rewrite.root_is(sum);
    Some(())
}
