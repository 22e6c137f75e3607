//! Checked runs: every op's values are looked at before the program runs.
//!
//! The function is evaluated op by op by the reference evaluator, as it was written: what a program
//! fuses is still there, each op with its name and the line that made it. That takes about as long
//! as the evaluator does, a thousand times the program's own time and more; it is for finding
//! mistakes in small models and on single steps.

use super::ProgramError;
use crate::tensor_data::HostTensor;
use bsq_ir::eval::{Precision, Value, apply};
use bsq_ir::{Function, Node, Op, Type};
use std::collections::BTreeMap;

/// Given tensors by name.
type Given<'a> = BTreeMap<&'a str, &'a HostTensor>;

/// That no op of a function is given an index outside of its range, or makes a NaN or an infinity
/// of operands that have none, and that nothing given is NaN.
pub(super) fn check_values(
    function: &Function,
    inputs: &Given<'_>,
    parameters: &Given<'_>,
) -> Result<(), ProgramError> {
    let mut uses: Vec<usize> = function.users().iter().map(Vec::len).collect();
    let mut values: Vec<Vec<Value>> = Vec::with_capacity(uses.len());
    for node in function.nodes() {
        let operand = |index: usize| &values[node.operands[index].index()];
        let results = match &node.op {
            Op::Projection(index) => vec![operand(0)[*index].clone()],
            Op::Input { name, ty } => vec![given("input", name, ty, inputs, node)?],
            Op::Parameter { name, ty } => vec![given("parameter", name, ty, parameters, node)?],
            op => {
                let operands: Vec<&Value> =
                    (0..node.operands.len()).map(|i| &operand(i)[0]).collect();
                check_indices(node, &operands)?;
                let results = apply(op, &node.types, &operands, Precision::F32);
                if !operands.is_empty() {
                    check_new(node, &operands, &results)?;
                }
                results
            }
        };
        values.push(results);
        for operand in &node.operands {
            uses[operand.index()] -= 1;
            if uses[operand.index()] == 0 {
                values[operand.index()] = Vec::new();
            }
        }
    }
    Ok(())
}

fn given(
    kind: &'static str,
    name: &str,
    ty: &Type,
    values: &Given<'_>,
    node: &Node,
) -> Result<Value, ProgramError> {
    let Some(tensor) = values.get(name) else {
        let (name, wanted) = (name.to_string(), ty.clone());
        return Err(ProgramError::Missing { kind, name, wanted });
    };
    let value = Value::from_bytes(ty.clone(), tensor.bytes());
    match first(&value, f64::is_nan) {
        None => Ok(value),
        Some((index, _)) => Err(refused(
            node,
            format!("element {index} of the {kind} `{name}` is NaN"),
        )),
    }
}

/// Which operand of an op holds indices, and what they must be below.
fn check_indices(node: &Node, operands: &[&Value]) -> Result<(), ProgramError> {
    let extent = |operand: usize, axis: usize| operands[operand].shape()[axis];
    let (indices, limit) = match node.op {
        Op::Gather { axis } | Op::ScatterAdd { axis } => (1, extent(0, axis)),
        Op::DynamicSlice { axis, size } => (1, extent(0, axis) - size + 1),
        Op::DynamicUpdateSlice { axis } => (2, extent(0, axis) - extent(1, axis) + 1),
        _ => return Ok(()),
    };
    let outside = |index: f64| index < 0.0 || index >= limit as f64;
    match first(operands[indices], outside) {
        None => Ok(()),
        Some((place, index)) => Err(refused(
            node,
            format!("index {index} (element {place} of the indices) is outside of 0..{limit}"),
        )),
    }
}

/// That the results have no NaN and no infinity unless the operands had one.
fn check_new(node: &Node, operands: &[&Value], results: &[Value]) -> Result<(), ProgramError> {
    let any = |test: fn(f64) -> bool| operands.iter().any(|value| first(value, test).is_some());
    let (nan, not_finite) = (f64::is_nan as fn(f64) -> bool, |x: f64| !x.is_finite());
    for result in results {
        let new = match first(result, nan).filter(|_| !any(nan)) {
            None => first(result, not_finite).filter(|_| !any(not_finite)),
            nan => nan,
        };
        if let Some((index, value)) = new {
            let what = format!("element {index} of the result is {value}");
            return Err(refused(node, what));
        }
    }
    Ok(())
}

/// The first element that a test holds for.
fn first(value: &Value, test: impl Fn(f64) -> bool) -> Option<(usize, f64)> {
    let mut elements = value.to_f64().into_iter().enumerate();
    elements.find(|&(_, element)| test(element))
}

fn refused(node: &Node, what: String) -> ProgramError {
    ProgramError::Value {
        op: node.op.name(),
        what,
        location: node.location,
    }
}
