//! Attention, forward and backward.

use super::einsum::{product_over, rows_by_rows};
use super::{algebra, code, mask, text};
use crate::op::{Float, Mask, Op};
use crate::rewrite::egraph::{Build, Classes, ENode};
use crate::rewrite::rule::Soundness::{Exact, Reassociating};
use crate::rewrite::rule::{Rewrite, Rule};
use egg::Id;

pub static RULES: &[Rule] = &[
    code(
        "attention",
        Exact,
        "(softmax ?s)",
        attention,
        "softmax(mask(q k^T * scale)) v => attention(q, k, v)",
    ),
    code(
        "attention-backward",
        Exact,
        "(softmax_backward ?p:(softmax ?s) ?d)",
        attention_backward,
        "the products with softmax_backward(p, g v^T) * scale, and p^T g => attention_backward",
    ),
    code(
        "softmax-of-masked-scores",
        Reassociating,
        "(softmax ?s)",
        softmax_of_masked,
        "softmax(select(mask, s, -1e10)) => softmax(select(mask, s, -inf)) where the mask is block-causal",
    ),
    code(
        "mask-as-bias",
        Reassociating,
        "(softmax ?s:(select ?m ?x ?y))",
        mask_as_bias,
        "select(mask, s, -inf) => s + select(mask, 0, -inf) where the mask is another",
    ),
    text(
        "gradient-of-masked-scores",
        Reassociating,
        "(select ?m ?d:(softmax_backward (softmax (select ?m ?s #-inf)) ?g) #0)",
        "?d",
        "select(mask, d, 0) => d where d is zero outside the mask already",
    ),
    text(
        "gradient-of-unmasked-scores",
        Reassociating,
        "(select ?m #0 ?d:(softmax_backward (softmax (select ?m #-inf ?s)) ?g))",
        "?d",
        "select(mask, 0, d) => d where d is zero inside the mask already",
    ),
    code(
        "scale-into-score-gradient",
        Reassociating,
        "(mul (dot_general$d ?x:(softmax_backward ?p ?g) ?y) #c)",
        |rewrite| scale_into_gradient(rewrite, true),
        "dot(softmax_backward(p, g), y) * c => dot(softmax_backward(p, g) * c, y)",
    ),
    code(
        "scale-into-score-gradient-on-the-right",
        Reassociating,
        "(mul (dot_general$d ?y ?x:(softmax_backward ?p ?g)) #c)",
        |rewrite| scale_into_gradient(rewrite, false),
        "dot(y, softmax_backward(p, g)) * c => dot(y, softmax_backward(p, g) * c)",
    ),
];

/// Scores as attention computes them, and with what.
struct Scores {
    scale: f32,
    mask: Mask,
    /// `[batch.., queries, depth]`
    q: Id,
    /// `[batch.., keys, depth]`
    k: Id,
    bias: Option<Id>,
}

/// The ways in which a class is the scores of attention.
fn scores(classes: &mut Classes, id: Id) -> Vec<Scores> {
    let mut found = Vec::new();
    for node in classes[id].nodes.clone() {
        match (&node.op, &node.operands[..]) {
            (Op::DotGeneral(_) | Op::Mul, _) => {
                let plain = scaled_product(classes, &node);
                found.extend(plain.map(|plain| Scores::new(plain, Mask::None, None)));
            }
            (Op::Add, &[x, y]) => {
                for (x, bias) in [(x, y), (y, x)] {
                    let bias = Some(unrepeated(classes, bias));
                    let products = scaled_products(classes, x).into_iter();
                    found.extend(products.map(|of| Scores::new(of, Mask::Bias, bias)));
                }
            }
            (Op::Select, &[mask, x, y]) => {
                let Some((x, masked)) = unmasked_branch(classes, x, y, is_infinite) else {
                    continue;
                };
                let products = scaled_products(classes, x);
                if !products.is_empty()
                    && let Some(size) = mask::block_size(classes, mask, masked)
                {
                    let mask = Mask::BlockCausal { size };
                    found.extend(products.into_iter().map(|of| Scores::new(of, mask, None)));
                }
            }
            _ => {}
        }
    }
    found
}

impl Scores {
    fn new((scale, [q, k]): (f32, [Id; 2]), mask: Mask, bias: Option<Id>) -> Self {
        Scores {
            scale,
            mask,
            q,
            k,
            bias,
        }
    }
}

fn is_infinite(value: f64) -> bool {
    value == f64::NEG_INFINITY
}

/// The branch of a select that holds scores, and whether the condition is true for the other one,
/// which `hides` them.
fn unmasked_branch(classes: &Classes, x: Id, y: Id, hides: fn(f64) -> bool) -> Option<(Id, bool)> {
    let hidden = |id: Id| classes.value(id).is_some_and(|value| hides(value.into()));
    match (hidden(x), hidden(y)) {
        (false, true) => Some((x, false)),
        (true, false) => Some((y, true)),
        _ => None,
    }
}

/// The class as `q k^T * scale`.
fn scaled_products(classes: &mut Classes, id: Id) -> Vec<(f32, [Id; 2])> {
    let nodes = classes[id].nodes.clone();
    nodes
        .iter()
        .filter_map(|node| scaled_product(classes, node))
        .collect()
}

/// Only block-causal masks: there every query sees a key, so a finite mask hides as well as an
/// infinite one. A mask that is added hides no NaN and stays a bias.
fn softmax_of_masked(rewrite: &mut Rewrite) -> Option<()> {
    let s = rewrite.class("s");
    for node in rewrite.classes[s].nodes.clone() {
        let shape = rewrite.classes.ty(s).shape.clone();
        let hidden = rewrite.classes.full(f32::NEG_INFINITY, &shape);
        let branches = match (&node.op, &node.operands[..]) {
            (Op::Select, &[mask, x, y]) => {
                let hides = |value: f64| value <= mask::MASKED && value.is_finite();
                match unmasked_branch(rewrite.classes, x, y, hides) {
                    Some((x, masked))
                        if mask::block_size(rewrite.classes, mask, masked).is_some() =>
                    {
                        if masked {
                            [mask, hidden, x]
                        } else {
                            [mask, x, hidden]
                        }
                    }
                    _ => continue,
                }
            }
            _ => continue,
        };
        let masked = rewrite.build(Op::Select, &branches);
        let softmax = rewrite.build(Op::Softmax, &[masked]);
        rewrite.root_is(softmax);
    }
    Some(())
}

fn mask_as_bias(rewrite: &mut Rewrite) -> Option<()> {
    let (mask, x, y) = (rewrite.class("m"), rewrite.class("x"), rewrite.class("y"));
    let (scores, masked) = unmasked_branch(rewrite.classes, x, y, is_infinite)?;
    let no_product = scaled_products(rewrite.classes, scores).is_empty();
    if no_product || mask::block_size(rewrite.classes, mask, masked).is_some() {
        return None;
    }
    // A mask that is repeated over the batch makes a bias that is.
    let repeat = |node: &ENode| match &node.op {
        Op::Broadcast { .. } => Some((node.op.clone(), node.operands[0])),
        _ => None,
    };
    let repeat = rewrite.classes[mask].nodes.iter().find_map(repeat);
    let small = repeat.as_ref().map_or(mask, |(_, source)| *source);
    let shape = rewrite.classes.ty(small).shape.clone();
    let [seen, hidden] = [0.0, f32::NEG_INFINITY].map(|value| rewrite.classes.full(value, &shape));
    let branches = if masked {
        [small, hidden, seen]
    } else {
        [small, seen, hidden]
    };
    let mut bias = rewrite.build(Op::Select, &branches);
    if let Some((op, _)) = repeat {
        bias = rewrite.build(op, &[bias]);
    }
    let sum = rewrite.build(Op::Add, &[scores, bias]);
    rewrite.equate(rewrite.class("s"), sum);
    Some(())
}

/// `q k^T * scale`.
fn scaled_product(classes: &mut Classes, node: &ENode) -> Option<(f32, [Id; 2])> {
    match node.op {
        Op::DotGeneral(_) => Some((1.0, rows_by_rows(classes, node)?)),
        Op::Mul => {
            let (x, y) = (node.operands[0], node.operands[1]);
            let (x, scale) = match (classes.value(y), classes.value(x)) {
                (Some(scale), _) => (x, scale),
                (None, Some(scale)) => (y, scale),
                (None, None) => return None,
            };
            let is_dot = |node: &&ENode| matches!(node.op, Op::DotGeneral(_));
            let dot = classes[x].nodes.iter().find(is_dot)?.clone();
            Some((scale, rows_by_rows(classes, &dot)?))
        }
        _ => None,
    }
}

/// A bias of `[queries, keys]` that is repeated over the batch, before it is.
fn unrepeated(classes: &Classes, bias: Id) -> Id {
    let source = |node: &ENode| match &node.op {
        Op::Broadcast { shape, axes } => {
            let is_last =
                matches!(axes[..], [x, y] if x + 2 == shape.rank() && y + 1 == shape.rank());
            is_last.then(|| node.operands[0])
        }
        _ => None,
    };
    classes[bias].nodes.iter().find_map(source).unwrap_or(bias)
}

fn attention(rewrite: &mut Rewrite) -> Option<()> {
    let (p, s) = (rewrite.classes.find(rewrite.root), rewrite.class("s"));
    let forms = scores(rewrite.classes, s);
    if forms.is_empty() {
        return None;
    }
    let statistics = row_statistics(rewrite.classes, s);
    for (reader, node) in rewrite.classes.readers(p) {
        let Some(product) = product_over(rewrite.classes, &node, p, false) else {
            continue;
        };
        for form in &forms {
            let results = forward(rewrite, form, product.other);
            let output = rewrite.classes.transposed(results[0], &product.order);
            rewrite.equate(reader, output);
            for (result, known) in results[1..].iter().zip(statistics) {
                if let Some(known) = known {
                    rewrite.equate(known, *result);
                }
            }
        }
    }
    Some(())
}

/// Output, row maximum and row sum of attention.
fn forward(rewrite: &mut Rewrite, form: &Scores, v: Id) -> [Id; 3] {
    let scale = Float::new(form.scale);
    let mask = form.mask;
    let mut operands = vec![form.q, form.k, v];
    operands.extend(form.bias);
    let attention = rewrite.build(Op::Attention { scale, mask }, &operands);
    [0, 1, 2].map(|index| rewrite.build(Op::Projection(index), &[attention]))
}

/// The classes of the row maximum and of the row sum of `exp(s - maximum)`, where there are any.
fn row_statistics(classes: &Classes, s: Id) -> [Option<Id>; 2] {
    let shape = classes.ty(s).shape.clone();
    let last = shape.rank() - 1;
    let maximum = classes.known(Op::ReduceMax(vec![last]), &[s]);
    let sum = |maximum: Id| {
        let axes = (0..last).collect();
        let repeated = classes.known(Op::Broadcast { shape, axes }, &[maximum])?;
        let shifted = classes.known(Op::Sub, &[s, repeated])?;
        let exp = classes.known(Op::Exp, &[shifted])?;
        classes.known(Op::Sum(vec![last]), &[exp])
    };
    [maximum, maximum.and_then(sum)]
}

fn attention_backward(rewrite: &mut Rewrite) -> Option<()> {
    let (p, s, d) = (rewrite.class("p"), rewrite.class("s"), rewrite.class("d"));
    let forms = scores(rewrite.classes, s);
    let is_dot = |node: &&ENode| matches!(node.op, Op::DotGeneral(_));
    let dot = rewrite.classes[d].nodes.iter().find(is_dot)?.clone();
    let [g, v] = rows_by_rows(rewrite.classes, &dot)?;
    for form in &forms {
        let Some(gradient) = scaled_gradient(rewrite, form.scale) else {
            continue;
        };
        let [_, maximum, sum] = forward(rewrite, form, v);
        let (scale, mask) = (Float::new(form.scale), form.mask);
        let mut operands = vec![form.q, form.k, v, maximum, sum, g];
        operands.extend(form.bias);
        // Which results the program has: class, result, order of its axes.
        let mut results: Vec<(Id, usize, Vec<usize>)> = Vec::new();
        for (matrix, over_rows, other, result) in [
            (gradient, false, form.k, 0),
            (gradient, true, form.q, 1),
            (p, true, g, 2),
        ] {
            let matrix = rewrite.classes.find(matrix);
            for (reader, node) in rewrite.classes.readers(matrix) {
                let product = product_over(rewrite.classes, &node, matrix, over_rows);
                if let Some(product) = product
                    && rewrite.classes.find(product.other) == rewrite.classes.find(other)
                {
                    results.push((reader, result, product.order));
                }
            }
        }
        if results.iter().all(|(_, result, _)| *result == 2) {
            continue;
        }
        let backward = rewrite.build(Op::AttentionBackward { scale, mask }, &operands);
        for (class, result, order) in results {
            let result = rewrite.build(Op::Projection(result), &[backward]);
            let result = rewrite.classes.transposed(result, &order);
            rewrite.equate(class, result);
        }
    }
    Some(())
}

/// The class of the root times `scale`.
fn scaled_gradient(rewrite: &Rewrite, scale: f32) -> Option<Id> {
    let root = rewrite.classes.find(rewrite.root);
    if scale == 1.0 {
        return Some(root);
    }
    let shape = &rewrite.classes.ty(root).shape;
    let factor = crate::rewrite::egraph::full(scale, shape);
    let factor = rewrite.classes.known(factor, &[])?;
    rewrite.classes.known(Op::Mul, &[root, factor])
}

fn scale_into_gradient(rewrite: &mut Rewrite, left: bool) -> Option<()> {
    let (x, y) = (rewrite.class("x"), rewrite.class("y"));
    let x = algebra::scaled(rewrite, x, rewrite.number("c"));
    let operands = if left { [x, y] } else { [y, x] };
    let dot = rewrite.build(rewrite.op("d").clone(), &operands);
    rewrite.root_is(dot);
    Some(())
}
