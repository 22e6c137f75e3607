//! Loops made around finished bodies: variables merged, blocked and replaced.

use super::axes::Axes;
use crate::kernel::{Affine, Axis, Extent, Inst, Stmt, Var};

/// A body in loops over whole axes, outermost first; with `vector`, the innermost one in lanes.
pub fn nest(mut body: Vec<Stmt>, vars: &[Var], axes: &Axes, vector: bool) -> Vec<Stmt> {
    for (depth, &var) in vars.iter().enumerate().rev() {
        body = vec![Stmt::loop_over(
            vector && depth + 1 == vars.len(),
            var,
            Extent::Static(axes.extent(var)),
            body,
        )];
    }
    body
}

/// Every index expression of some statements.
pub fn for_each_index(stmts: &mut [Stmt], visit: &mut impl FnMut(&mut Affine)) {
    for stmt in stmts {
        match stmt {
            Stmt::Let {
                inst: Inst::Index(index),
                ..
            } => visit(index),
            Stmt::Let {
                inst: Inst::Load(from),
                ..
            } => visit(&mut from.at),
            Stmt::Let { .. } => {}
            Stmt::Store { to, .. } => visit(&mut to.at),
            Stmt::Loop { extent, body, .. } => {
                extent.indices_mut().for_each(&mut *visit);
                for_each_index(body, visit);
            }
            Stmt::Reduce(reduce) => {
                reduce.extent.indices_mut().for_each(&mut *visit);
                for_each_index(&mut reduce.body, visit);
            }
            Stmt::AttendBackward(backward) => {
                backward.indices().into_iter().for_each(&mut *visit);
                backward.rows.indices_mut().for_each(&mut *visit);
            }
            Stmt::Attend(attend) => {
                let elements = [&mut attend.q, &mut attend.k, &mut attend.v];
                let results = [&mut attend.output, &mut attend.maxima, &mut attend.sums];
                for element in elements.into_iter().chain(results) {
                    visit(&mut element.at);
                }
                visit(&mut attend.first);
                attend.rows.indices_mut().for_each(&mut *visit);
            }
            Stmt::Contract(contract) => {
                let elements = [&mut contract.a, &mut contract.b, &mut contract.c];
                for element in elements.into_iter().chain(&mut contract.columns) {
                    visit(&mut element.at);
                }
                for extent in [&mut contract.m, &mut contract.n, &mut contract.k] {
                    extent.indices_mut().for_each(&mut *visit);
                }
            }
        }
    }
}

pub fn substitute(stmts: &mut [Stmt], var: Var, by: &Affine) {
    for_each_index(stmts, &mut |index| *index = index.substitute(var, by));
}

/// Lets `inner` count over both variables, if every index steps evenly from one to the next.
/// `axes` then says the extent of both for `inner`.
pub fn merge(stmts: &mut [Stmt], outer: Var, inner: Var, axes: &mut Axes) -> bool {
    let extent = axes.extent(inner) as i64;
    let mut even = true;
    for_each_index(stmts, &mut |index| {
        even &= index.coefficient(outer) == extent * index.coefficient(inner);
    });
    if even {
        for_each_index(stmts, &mut |index| {
            index.terms.retain(|term| term.0 != outer)
        });
        axes.set_extent(inner, axes.extent(inner) * axes.extent(outer));
    }
    even
}

/// Merges all variables into the last; `None` if there is an uneven step.
pub fn merge_all(stmts: &mut [Stmt], vars: &[Var], axes: &mut Axes) -> Option<Var> {
    let (&last, rest) = vars.split_last()?;
    rest.iter()
        .rev()
        .all(|&outer| merge(stmts, outer, last, axes))
        .then_some(last)
}

/// Merges neighbours from the innermost on where steps are even; what remains, outermost first.
pub fn merge_neighbours(stmts: &mut [Stmt], vars: &[Var], axes: &mut Axes) -> Vec<Var> {
    let mut kept: Vec<Var> = Vec::new();
    for &var in vars.iter().rev() {
        match kept.last() {
            Some(&inner) if merge(stmts, var, inner, axes) => {}
            _ => kept.push(var),
        }
    }
    kept.reverse();
    kept
}

/// Cuts a variable into blocks of `size`: returns the block's variable and the extent of what
/// `var` counts inside a block.
pub fn block(stmts: &mut [Stmt], var: Var, size: usize, axes: &mut Axes) -> (Var, Extent) {
    let (block, moved, extent) = axes.block(var, size);
    substitute(stmts, var, &moved);
    (block, extent)
}

pub fn grid(vars: &[Var], axes: &Axes) -> Vec<Axis> {
    vars.iter()
        .map(|&var| Axis {
            var,
            extent: axes.extent(var),
        })
        .collect()
}
