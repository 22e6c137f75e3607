//! Values of classes that depend on no input, computed by the reference evaluator.

use super::egraph::Classes;
use crate::eval::{Precision, Value, apply};
use crate::op::Op;
use egg::Id;

/// Larger values are not computed.
const MOST_ELEMENTS: usize = 1 << 16;

/// The value of a class, if it depends on no input and is small, as is all that it is made of.
pub fn value(classes: &Classes, id: Id) -> Option<Value> {
    evaluate(classes, classes.find(id), &mut Vec::new())
}

fn evaluate(classes: &Classes, id: Id, path: &mut Vec<Id>) -> Option<Value> {
    let fact = &classes[id].data;
    let [ty] = &fact.types[..] else {
        return None;
    };
    if !fact.fixed || ty.shape.elements() > MOST_ELEMENTS || path.contains(&id) {
        return None;
    }
    path.push(id);
    let value = classes[id].nodes.iter().find_map(|node| {
        if let Op::Input { name, .. } = &node.op {
            let bytes = classes.analysis.constants[name].to_bytes();
            return Some(Value::from_bytes(ty.clone(), &bytes));
        }
        let mut operands = Vec::with_capacity(node.operands.len());
        for &operand in &node.operands {
            operands.push(evaluate(classes, operand, path)?);
        }
        let operands: Vec<&Value> = operands.iter().collect();
        apply(&node.op, &fact.types, &operands, Precision::F32).pop()
    });
    path.pop();
    value
}
