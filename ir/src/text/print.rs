//! A function as text.

use super::attribute::Attribute;
use super::literal::print_element;
use super::payload::{Payload, payload};
use crate::graph::{Function, Node, NodeId};
use crate::op::Constant;
use crate::shape::Type;
use std::convert::Infallible;
use std::fmt;

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.iter() {
            writeln!(f, "{}", print_node(id, node))?;
        }
        for (name, id) in self.outputs() {
            writeln!(f, "output {name:?} {id}")?;
        }
        for (parameter, value) in self.updates() {
            writeln!(f, "update {parameter} <- {value}")?;
        }
        Ok(())
    }
}

/// A node's line in the text form.
pub fn print_node(id: NodeId, node: &Node) -> String {
    let operands: Vec<String> = node.operands.iter().map(NodeId::to_string).collect();
    let mut line = format!("{id} = {}", node.op.name());
    if !operands.is_empty() {
        line += &format!(" {}", operands.join(", "));
    }
    line += &print_payload(node);
    if node.region.0 != 0 {
        line += &format!(" region={}", node.region.0);
    }
    let types: Vec<String> = node.types.iter().map(Type::to_string).collect();
    match types.len() {
        1 => format!("{line} : {}", types[0]),
        _ => format!("{line} : ({})", types.join(", ")),
    }
}

/// The payload alone, with a space before each part.
pub(super) fn print_payload(node: &Node) -> String {
    let mut printer = Printer(String::new());
    let Ok(()) = payload(&mut node.op.clone(), &mut printer);
    printer.0
}

struct Printer(String);

impl Payload for Printer {
    type Error = Infallible;

    fn name(&mut self, name: &mut String) -> Result<(), Infallible> {
        self.0 += &format!(" {name:?}");
        Ok(())
    }

    fn attribute<A: Attribute>(&mut self, key: &str, value: &mut A) -> Result<(), Infallible> {
        self.0 += &format!(" {key}={}", value.print());
        Ok(())
    }

    fn elements(&mut self, constant: &mut Constant) -> Result<(), Infallible> {
        self.0 += &format!(" {}", print_elements(constant));
        Ok(())
    }

    fn result(&mut self, _fill: impl FnOnce(&Type)) {}
}

/// Constants of more elements than this are written in hexadecimal.
const LISTED: usize = 32;

fn print_elements(constant: &Constant) -> String {
    let dtype = constant.ty().dtype;
    if let Some(element) = constant.splat_element() {
        return print_element(dtype, element);
    }
    let bytes = constant.to_bytes();
    if constant.ty().shape.elements() > LISTED {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        return format!("hex {digits:?}");
    }
    let elements = bytes.chunks_exact(dtype.size());
    let words: Vec<String> = elements.map(|bytes| print_element(dtype, bytes)).collect();
    format!("[{}]", words.join(","))
}
