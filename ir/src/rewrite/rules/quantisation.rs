//! Binary quantisation: signs need no norm, and bits are packed as they are found.

use super::code;
use crate::dtype::DType;
use crate::op::Op;
use crate::rewrite::egraph::Build;
use crate::rewrite::fixed;
use crate::rewrite::rule::Soundness::Exact;
use crate::rewrite::rule::{Rewrite, Rule};
use egg::Id;

pub static RULES: &[Rule] = &[
    code(
        "scaled-comparison-of-quotient",
        Exact,
        "(less #0 (div ?x ?y))",
        scaled_comparison_of_quotient,
        "x / y > 0 => x * 2^64 > y * 2^-86 where y >= 2^-40",
    ),
    code(
        "pack-signs-by-shift",
        Exact,
        "(row_sum (shift_left ?b (column ?a)))",
        |rewrite| pack_signs(rewrite, |position| position as f64),
        "sum((x > 0) << (width - 1 - i)) => pack_signs(x)",
    ),
    code(
        "pack-signs-by-product",
        Exact,
        "(row_sum (mul ?b (column ?a)))",
        |rewrite| pack_signs(rewrite, |position| 2f64.powi(position)),
        "sum((x > 0) * 2^(width - 1 - i)) => pack_signs(x)",
    ),
    code(
        "pack-signs-by-selection",
        Exact,
        "(row_sum (select ?b (column ?a) #0))",
        |rewrite| pack_signs(rewrite, |position| 2f64.powi(position)),
        "sum(select(x > 0, 2^(width - 1 - i), 0)) => pack_signs(x)",
    ),
];

/// A quotient is rounded to zero from 2^-150 down. With both sides scaled by powers of two, so that
/// neither is subnormal, the comparison with it is exact: the scaled `y` is at least 2^-126, and an
/// `x` that overflows is far above every finite `y`.
fn scaled_comparison_of_quotient(rewrite: &mut Rewrite) -> Option<()> {
    let (x, y) = (rewrite.class("x"), rewrite.class("y"));
    if rewrite.classes[y].data.least < 2f32.powi(-40) {
        return None;
    }
    let [y, x] = [(y, -86), (x, 64)].map(|(operand, exponent)| {
        let shape = rewrite.classes.ty(operand).shape.clone();
        let factor = rewrite.classes.full(2f32.powi(exponent), &shape);
        rewrite.build(Op::Mul, &[operand, factor])
    });
    let less = rewrite.build(Op::Less, &[y, x]);
    rewrite.root_is(less);
    Some(())
}

/// `?b` holds the bits, and `?a` must be what `expected` gives for bit `width - 1 - i`.
fn pack_signs(rewrite: &mut Rewrite, expected: fn(i32) -> f64) -> Option<()> {
    let (b, a) = (rewrite.class("b"), rewrite.class("a"));
    let width = *rewrite.classes.ty(b).shape.last()?;
    let to = rewrite.ty().dtype;
    let most = match to {
        DType::U64 => 64,
        DType::I64 => 63,
        _ => return None,
    };
    if !(1..=most).contains(&width) {
        return None;
    }
    let forms = [
        signs_of(rewrite, b, MOST_CASTS),
        differences_of(rewrite, b, MOST_CASTS),
    ];
    let values = fixed::value(rewrite.classes, a)?.to_f64();
    let bit = |index: usize| expected((width - 1 - index) as i32);
    if !values
        .iter()
        .enumerate()
        .all(|(index, &value)| value == bit(index))
    {
        return None;
    }
    for x in forms.iter().flatten() {
        let mut packed = rewrite.build(Op::PackSigns, &[*x]);
        if to != DType::U64 {
            packed = rewrite.build(Op::Cast(to), &[packed]);
        }
        rewrite.root_is(packed);
    }
    forms.iter().flatten().next().map(|_| ())
}

/// Casts and reshapes that bits are looked for behind.
const MOST_CASTS: usize = 8;

/// x if a class is `x > 0`, perhaps as an integer or in another shape.
fn signs_of(rewrite: &mut Rewrite, bits: Id, casts: usize) -> Option<Id> {
    let left = casts.checked_sub(1)?;
    for node in rewrite.classes[bits].nodes.clone() {
        let x = node.operands.first().copied();
        match node.op {
            Op::Cast(to) if to.is_integer() => return signs_of(rewrite, x?, left),
            Op::Reshape(shape) => {
                let x = signs_of(rewrite, x?, left)?;
                return Some(rewrite.build(Op::Reshape(shape), &[x]));
            }
            Op::Less if rewrite.classes.value(node.operands[0]) == Some(0.0) => {
                return Some(node.operands[1]);
            }
            _ => {}
        }
    }
    None
}

/// x - y if a class is `y < x`, perhaps as an integer or in another shape: it is positive where x
/// is larger, since a difference of different numbers is never rounded to zero.
fn differences_of(rewrite: &mut Rewrite, bits: Id, casts: usize) -> Option<Id> {
    let left = casts.checked_sub(1)?;
    for node in rewrite.classes[bits].nodes.clone() {
        match (node.op, &node.operands[..]) {
            (Op::Cast(to), &[x]) if to.is_integer() => return differences_of(rewrite, x, left),
            (Op::Less, &[y, x])
                if rewrite.classes.ty(x).dtype == DType::F32
                    && rewrite.classes.value(y) != Some(0.0) =>
            {
                return Some(rewrite.build(Op::Sub, &[x, y]));
            }
            _ => {}
        }
    }
    None
}
