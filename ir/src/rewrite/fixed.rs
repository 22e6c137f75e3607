//! Values of classes that depend on no input, computed by the reference evaluator.

use super::egraph::Classes;
use crate::eval::{Precision, Value, apply};
use crate::op::Op;
use egg::Id;
use std::collections::HashMap;

/// Larger values are not computed.
const MOST_ELEMENTS: usize = 1 << 16;

/// Values made of longer chains of ops are not computed.
const MOST_DEPTH: usize = 64;

/// The value of a class, if it depends on no input, is small, and is made of few small values.
pub fn value(classes: &Classes, id: Id) -> Option<Value> {
    let mut evaluator = Evaluator {
        classes,
        known: HashMap::new(),
    };
    evaluator.value(classes.find(id), 0)
}

struct Evaluator<'c> {
    classes: &'c Classes,
    /// What has been found out; `None` also while a class is being computed.
    known: HashMap<Id, Option<Value>>,
}

impl Evaluator<'_> {
    fn value(&mut self, id: Id, depth: usize) -> Option<Value> {
        let fact = &self.classes[id].data;
        let [ty] = &fact.types[..] else {
            return None;
        };
        if !fact.fixed || ty.shape.elements() > MOST_ELEMENTS || depth > MOST_DEPTH {
            return None;
        }
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        self.known.insert(id, None);
        let nodes = &self.classes[id].nodes;
        let value = nodes.iter().find_map(|node| {
            if let Op::Input { name, .. } = &node.op {
                let bytes = self.classes.analysis.constants[name].to_bytes();
                return Some(Value::from_bytes(ty.clone(), &bytes));
            }
            let mut operands = Vec::with_capacity(node.operands.len());
            for &operand in &node.operands {
                operands.push(self.value(self.classes.find(operand), depth + 1)?);
            }
            let operands: Vec<&Value> = operands.iter().collect();
            apply(&node.op, &fact.types, &operands, Precision::F32).pop()
        });
        self.known.insert(id, value.clone());
        value
    }
}
