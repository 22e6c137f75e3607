//! The changes, one function each: a smaller program, or none where it does not fit.

use super::draft::{Draft, cut};
use crate::programs::Program;
use bsq_ir::eval::{Precision, Value, apply};
use bsq_ir::{Constant, Op, Shape, Type};
use std::ops::Range;

pub(super) fn keep_roots(program: &Program, keep: impl Fn(usize) -> bool) -> Option<Program> {
    let mut draft = Draft::of(program);
    let outputs = draft.outputs.len();
    let mut root = 0..outputs + draft.updates.len();
    draft.outputs.retain(|_| root.next().is_some_and(&keep));
    draft.updates.retain(|_| root.next().is_some_and(&keep));
    draft.finish()
}

/// What an output is computed from in its place.
pub(super) fn earlier_output(program: &Program, output: usize, operand: usize) -> Option<Program> {
    let mut draft = Draft::of(program);
    let at = draft.outputs[output].1;
    draft.outputs[output].1 = draft.nodes[at].1[operand];
    draft.finish()
}

/// An operand in the place of a node.
pub(super) fn by_operand(program: &Program, at: usize, operand: usize) -> Option<Program> {
    let mut draft = Draft::of(program);
    let operand = draft.nodes[at].1[operand];
    let [old, new] = [at, operand].map(|at| &draft.nodes[at].2.types);
    if old != new {
        return None;
    }
    redirect(&mut draft, at, operand);
    draft.finish()
}

fn redirect(draft: &mut Draft, from: usize, to: usize) {
    for (_, operands, _) in &mut draft.nodes {
        for operand in operands.iter_mut().filter(|operand| **operand == from) {
            *operand = to;
        }
    }
    for (_, at) in draft.outputs.iter_mut().filter(|output| output.1 == from) {
        *at = to;
    }
    for (_, at) in draft.updates.iter_mut().filter(|update| update.1 == from) {
        *at = to;
    }
}

/// An input with the value of a node in its place.
pub(super) fn by_input(program: &Program, at: usize) -> Option<Program> {
    let mut draft = Draft::of(program);
    let ty = match &draft.nodes[at].2.types[..] {
        [ty] => ty.clone(),
        _ => return None,
    };
    if draft.updates.iter().any(|update| update.0 == at) {
        return None;
    }
    let value = values(program).swap_remove(at).swap_remove(0);
    let name = (0..)
        .map(|n| format!("x{n}"))
        .find(|name| !draft.inputs.contains_key(name))?;
    draft.inputs.insert(name.clone(), value);
    draft.nodes[at] = (
        Op::Input { name, ty },
        Vec::new(),
        draft.nodes[at].2.clone(),
    );
    draft.finish()
}

/// The values of all nodes.
fn values(program: &Program) -> Vec<Vec<Value>> {
    let mut values: Vec<Vec<Value>> = Vec::new();
    for node in program.function.nodes() {
        values.push(match &node.op {
            Op::Input { name, .. } => vec![program.inputs[name].clone()],
            Op::Parameter { name, .. } => vec![program.parameters[name].clone()],
            Op::Projection(index) => vec![values[node.operands[0].index()][*index].clone()],
            op => {
                let operands = node.operands.iter().map(|id| &values[id.index()][0]);
                let operands: Vec<&Value> = operands.collect();
                apply(op, &node.types, &operands, Precision::F32)
            }
        });
    }
    values
}

/// One extent for another, wherever it is.
pub(super) fn other_extent(
    program: &Program,
    from: usize,
    to: usize,
    last: bool,
) -> Option<Program> {
    let swap = |n: usize| if n == from { to } else { n };
    let shape = |shape: &Shape| -> Shape { shape.iter().map(|&n| swap(n)).collect() };
    let ty = |ty: &Type| Type::new(ty.dtype, shape(&ty.shape));
    let mut draft = Draft::of(program);
    for (op, _, _) in &mut draft.nodes {
        *op = match op.clone() {
            Op::Input { name, ty: old } => Op::Input { name, ty: ty(&old) },
            Op::Parameter { name, ty: old } => Op::Parameter { name, ty: ty(&old) },
            Op::Iota { ty: old, axis } => Op::Iota { ty: ty(&old), axis },
            Op::Random { shape: old } => Op::Random { shape: shape(&old) },
            Op::Reshape(old) => Op::Reshape(shape(&old)),
            Op::Broadcast { shape: old, axes } => Op::Broadcast {
                shape: shape(&old),
                axes,
            },
            Op::Slice {
                start,
                stop,
                stride,
            } => Op::Slice {
                start,
                stop: stop.into_iter().map(swap).collect(),
                stride,
            },
            Op::WindowSum {
                axis,
                length,
                stride,
                dilation,
            } => Op::WindowSum {
                axis,
                length: swap(length),
                stride,
                dilation,
            },
            Op::DynamicSlice { axis, size } => Op::DynamicSlice {
                axis,
                size: swap(size),
            },
            Op::Constant(old) => {
                let new = ty(old.ty());
                Op::Constant(match old.splat_element() {
                    Some(element) => Constant::splat_bytes(new, element),
                    None => {
                        let value = Value::from_bytes(old.ty().clone(), &old.to_bytes());
                        Constant::dense_bytes(new.clone(), cut(&value, &new, last).to_bytes())
                    }
                })
            }
            other => other,
        };
    }
    draft.finish_with(last)
}

/// A number in some elements of a value.
pub(super) fn filled(
    program: &Program,
    name: &str,
    number: f64,
    range: Range<usize>,
) -> Option<Program> {
    let mut program = program.clone();
    let value = program.inputs.get_mut(name);
    let value = match value {
        Some(value) => value,
        None => program.parameters.get_mut(name)?,
    };
    let ty = value.ty().clone();
    let element = Constant::splat(number, ty.dtype, Shape::scalar()).to_bytes();
    let mut bytes = value.to_bytes();
    let size = ty.dtype.size();
    for (place, old) in bytes.chunks_exact_mut(size).enumerate() {
        if range.contains(&place) {
            old.copy_from_slice(&element);
        }
    }
    *value = Value::from_bytes(ty, &bytes);
    Some(program)
}
