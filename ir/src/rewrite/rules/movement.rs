//! Movement that the canonical form cannot decide: the gradient of a tensor that was taken apart.

use super::code;
use crate::op::{Op, Padding};
use crate::rewrite::egraph::Build;
use crate::rewrite::rule::Soundness::Reassociating;
use crate::rewrite::rule::{Rewrite, Rule};
use egg::Id;

pub static RULES: &[Rule] = &[code(
    "sum-of-paddings",
    Reassociating,
    "(add (pad$p ?x ?z:#0) (pad$q ?y ?z))",
    sum_of_paddings,
    "pad(x) + pad(y) => pad(concat(x, y)) where they lie beside each other",
)];

/// Not exact: -0 + 0 is 0.
fn sum_of_paddings(rewrite: &mut Rewrite) -> Option<()> {
    let (Op::Pad(p), Op::Pad(q)) = (rewrite.op("p").clone(), rewrite.op("q").clone()) else {
        return None;
    };
    let (x, y, zero) = (rewrite.class("x"), rewrite.class("y"), rewrite.class("z"));
    let axis = p.iter().zip(&q).position(|(p, q)| p != q)?;
    let extent = |id: Id| rewrite.classes.ty(id).shape[axis];
    let apart = p.iter().chain(&q).any(|padding| padding.between > 0);
    let (x_end, y_end) = (p[axis].before + extent(x), q[axis].before + extent(y));
    let (parts, before, after) = if x_end == q[axis].before {
        ([x, y], p[axis].before, q[axis].after)
    } else if y_end == p[axis].before {
        ([y, x], q[axis].before, p[axis].after)
    } else {
        return None;
    };
    let same_elsewhere = (0..p.len()).all(|other| other == axis || p[other] == q[other]);
    if apart || !same_elsewhere {
        return None;
    }
    let mut joined = rewrite.build(Op::Concat { axis }, &parts);
    let mut padding = p;
    padding[axis] = Padding {
        before,
        after,
        between: 0,
    };
    if padding.iter().any(|padding| *padding != Padding::default()) {
        joined = rewrite.build(Op::Pad(padding), &[joined, zero]);
    }
    rewrite.root_is(joined);
    Some(())
}
