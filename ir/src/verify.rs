//! Checks that a [`Function`] is well formed. Every pass is followed by a [`check`] in debug
//! builds, so that a broken invariant is reported where it was broken.
//!
//! # Invariants
//!
//! 1. The operands of a node come before it.
//! 2. A node has the types that [`infer`] gives for its op and operands. This covers what is
//!    fixed in the op itself (axes, strides, extents, sizes within
//!    [`Shape::MAX_ELEMENTS`](crate::Shape::MAX_ELEMENTS)), the number of operands, and that a
//!    node with several results is read through [`Op::Projection`] alone.
//! 3. The booleans of a constant are 0 or 1.
//! 4. No two inputs have one name, nor two parameters.
//! 5. Outputs have distinct names and are nodes with one result.
//! 6. An update replaces a parameter by a value of its type; each parameter at most once.
//! 7. Every node is needed by an output or an update.

use crate::dtype::DType;
use crate::graph::{Function, Node, NodeId};
use crate::op::infer::infer;
use crate::op::{Constant, Op};
use crate::shape::Type;
use crate::text::print_node;
use std::collections::{HashMap, HashSet};

/// A broken invariant, with the node or the line that breaks it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}\n  in: {place}")]
pub struct VerifyError {
    problem: String,
    /// The node, output or update as the text form writes it.
    place: String,
}

/// Checks the [invariants](self) of a function.
///
/// # Errors
/// With the first broken invariant.
pub fn verify(function: &Function) -> Result<(), VerifyError> {
    for (id, node) in function.iter() {
        verify_node(function, id, node).map_err(|problem| VerifyError {
            problem,
            place: print_node(id, node),
        })?;
    }
    verify_names(function)?;
    verify_outputs(function)?;
    verify_updates(function)?;
    verify_needed(function)
}

/// [`verify`] in debug builds; release builds trust the passes.
///
/// # Panics
/// If an invariant is broken, with the name of the pass that has just run.
pub fn check(pass: &str, function: &Function) {
    if cfg!(debug_assertions)
        && let Err(error) = verify(function)
    {
        panic!("the pass `{pass}` broke the graph: {error}");
    }
}

fn verify_node(function: &Function, id: NodeId, node: &Node) -> Result<(), String> {
    if let Some(operand) = node.operands.iter().find(|&&operand| operand >= id) {
        return Err(format!("operand {operand} does not come before its user"));
    }
    let types = |operand: &NodeId| &function.node(*operand).types[..];
    let operands: Vec<&[Type]> = node.operands.iter().map(types).collect();
    let inferred = infer(&node.op, &operands).map_err(|error| error.problem())?;
    if inferred != node.types {
        let inferred: Vec<String> = inferred.iter().map(Type::to_string).collect();
        return Err(format!("its type should be {}", inferred.join(", ")));
    }
    match &node.op {
        Op::Constant(constant) if !has_plain_booleans(constant) => {
            Err("a boolean is neither 0 nor 1".to_string())
        }
        _ => Ok(()),
    }
}

fn has_plain_booleans(constant: &Constant) -> bool {
    let plain = |bytes: &[u8]| bytes.iter().all(|&byte| byte <= 1);
    constant.ty().dtype != DType::Bool
        || match constant.splat_element() {
            Some(element) => plain(element),
            None => plain(&constant.to_bytes()),
        }
}

fn verify_names(function: &Function) -> Result<(), VerifyError> {
    let inputs = function.inputs().map(|(id, name, _)| ("input", name, id));
    let parameters = function.parameters();
    let parameters = parameters.map(|(id, name, _)| ("parameter", name, id));
    let mut names = HashMap::new();
    for (kind, name, id) in inputs.chain(parameters) {
        if let Some(first) = names.insert((kind, name), id) {
            let line = |id: NodeId| {
                let location = function.node(id).location;
                format!("{}:{}", location.file(), location.line())
            };
            let node = print_node(id, function.node(id));
            let (first, second) = (line(first), line(id));
            return Err(VerifyError {
                problem: format!("a second {kind} {name:?}"),
                place: format!("{node}, at {second}; the first is at {first}"),
            });
        }
    }
    Ok(())
}

fn verify_outputs(function: &Function) -> Result<(), VerifyError> {
    let mut names = HashSet::new();
    for (name, id) in function.outputs() {
        let fail = |problem: String| {
            let place = format!("output {name:?} {id}");
            Err(VerifyError { problem, place })
        };
        if !names.insert(name) {
            return fail(format!("a second output {name:?}"));
        }
        match result_type(function, *id) {
            Ok(_) => {}
            Err(problem) => return fail(problem),
        }
    }
    Ok(())
}

fn verify_updates(function: &Function) -> Result<(), VerifyError> {
    let mut updated = HashSet::new();
    for &(parameter, value) in function.updates() {
        let problem = verify_update(function, parameter, value);
        let problem = match updated.insert(parameter) {
            true => problem,
            false => Err(format!("a second update of {parameter}")),
        };
        problem.map_err(|problem| VerifyError {
            problem,
            place: format!("update {parameter} <- {value}"),
        })?;
    }
    Ok(())
}

fn verify_update(function: &Function, parameter: NodeId, value: NodeId) -> Result<(), String> {
    let old = result_type(function, parameter)?;
    let new = result_type(function, value)?;
    if !matches!(function.node(parameter).op, Op::Parameter { .. }) {
        return Err(format!("{parameter} is no parameter"));
    }
    match old == new {
        true => Ok(()),
        false => Err(format!("the parameter is {old}, its new value {new}")),
    }
}

fn result_type(function: &Function, id: NodeId) -> Result<&Type, String> {
    let node = function.nodes().get(id.index());
    let node = node.ok_or_else(|| format!("there is no node {id}"))?;
    match &node.types[..] {
        [ty] => Ok(ty),
        several => Err(format!("{id} has {} results", several.len())),
    }
}

fn verify_needed(function: &Function) -> Result<(), VerifyError> {
    let mut needed = vec![false; function.nodes().len()];
    let parameters = function.updates().iter().map(|update| update.0);
    for id in function.roots().chain(parameters) {
        needed[id.index()] = true;
    }
    for (id, node) in function.iter().rev() {
        if !needed[id.index()] {
            return Err(VerifyError {
                problem: "no output or update needs the node".to_string(),
                place: print_node(id, node),
            });
        }
        for operand in &node.operands {
            needed[operand.index()] = true;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
