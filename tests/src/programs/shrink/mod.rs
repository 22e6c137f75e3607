//! Makes a program that fails small.
//!
//! One change after another is tried: a result is left out or one that it is computed from takes
//! its place, a node becomes one of its operands or an input with its value, an extent becomes
//! smaller everywhere, values become plain. What still fails alike is kept.

mod draft;
mod moves;

use super::Program;
use super::panics::catch;
use bsq_ir::eval::Value;
use bsq_ir::{Op, Type};
use moves::{by_input, by_operand, earlier_output, filled, keep_roots, other_extent};
use std::collections::BTreeSet;

/// The smallest program found that `fails`, trying at most `tries` others.
pub fn shrink(program: &Program, tries: usize, mut fails: impl FnMut(&Program) -> bool) -> Program {
    let mut best = program.clone();
    let mut left = tries;
    loop {
        let mut better = None;
        for change in changes(&best) {
            let Ok(Some(candidate)) = catch(|| change(&best)) else {
                continue;
            };
            if left == 0 {
                return best;
            }
            left -= 1;
            if size(&candidate) < size(&best) && fails(&candidate) {
                better = Some(candidate);
                break;
            }
        }
        match better {
            Some(found) => best = found,
            None => return best,
        }
    }
}

type Change = Box<dyn Fn(&Program) -> Option<Program>>;

/// What becomes smaller: nodes that compute, roots, elements, odd values.
fn size(program: &Program) -> (usize, usize, usize, usize) {
    let function = &program.function;
    let leaf = |op: &Op| {
        matches!(
            op,
            Op::Input { .. } | Op::Parameter { .. } | Op::Constant(_)
        )
    };
    let ops = function.nodes().iter().filter(|n| !leaf(&n.op)).count();
    let elements = |node: &bsq_ir::Node| -> usize {
        let of = |ty: &Type| ty.shape.iter().sum::<usize>() + ty.shape.rank();
        node.types.iter().map(of).sum()
    };
    let elements = function.nodes().iter().map(elements).sum();
    let given = program.inputs.values().chain(program.parameters.values());
    let odd = |value: &Value| value.to_f64().iter().map(|&x| oddness(x)).sum::<usize>();
    let roots = function.roots().count();
    (
        ops + roots,
        function.nodes().len(),
        elements,
        given.map(odd).sum(),
    )
}

fn oddness(x: f64) -> usize {
    match x {
        0.0 if x.is_sign_positive() => 0,
        1.0 => 1,
        x if x.fract() == 0.0 && x.abs() < 10.0 => 2,
        _ => 3,
    }
}

fn changes(program: &Program) -> Vec<Change> {
    let function = &program.function;
    let (outputs, updates) = (function.outputs().len(), function.updates().len());
    let mut changes: Vec<Change> = Vec::new();
    for root in 0..outputs + updates {
        changes.push(Box::new(move |p| keep_roots(p, |other| other == root)));
    }
    for root in 0..outputs + updates {
        changes.push(Box::new(move |p| keep_roots(p, |other| other != root)));
    }
    for output in 0..outputs {
        let id = function.outputs()[output].1;
        for operand in 0..function.node(id).operands.len() {
            changes.push(Box::new(move |p| earlier_output(p, output, operand)));
        }
    }
    for (id, node) in function.iter().rev() {
        let at = id.index();
        if matches!(node.op, Op::Input { .. } | Op::Projection(_)) {
            continue;
        }
        for operand in 0..node.operands.len() {
            changes.push(Box::new(move |p| by_operand(p, at, operand)));
        }
        changes.push(Box::new(move |p| by_input(p, at)));
    }
    let extents: BTreeSet<usize> = function
        .nodes()
        .iter()
        .flat_map(|node| node.types.iter().flat_map(|ty| ty.shape.to_vec()))
        .collect();
    for &from in extents.iter().rev() {
        for to in [1, 2, 3, from / 2, from.saturating_sub(1)] {
            if to < from && to > 0 {
                for last in [false, true] {
                    changes.push(Box::new(move |p| other_extent(p, from, to, last)));
                }
            }
        }
    }
    let names: Vec<String> = program
        .inputs
        .keys()
        .chain(program.parameters.keys())
        .cloned()
        .collect();
    for name in names {
        let count = program.inputs.get(&name).or(program.parameters.get(&name));
        let count = count.map_or(0, |value| value.shape().elements());
        // All, halves, quarters, ...: at most 32 parts.
        let mut part = count;
        while part > 0 && count / part <= 32 {
            for start in (0..count).step_by(part) {
                for number in [0.0, 1.0, 2.0] {
                    let (name, range) = (name.clone(), start..start + part);
                    changes.push(Box::new(move |p| filled(p, &name, number, range.clone())));
                }
            }
            part = if part == 1 { 0 } else { part.div_ceil(2) };
        }
    }
    changes
}
