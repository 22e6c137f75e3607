//! A function as a Graphviz drawing, regions as boxes.

use super::print::print_payload;
use crate::graph::{Function, NodeId, Region};
use crate::op::Family;
use crate::shape::Type;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Graphviz source: data flows down, a region is a box around its nodes.
///
/// Draw it with `dot -Tsvg`.
pub fn graphviz(function: &Function) -> String {
    let mut regions: BTreeMap<Region, Vec<NodeId>> = BTreeMap::new();
    for (id, node) in function.iter() {
        regions.entry(node.region).or_default().push(id);
    }
    let mut lines = vec![
        "digraph {".to_string(),
        "  node [shape=box, style=filled, fillcolor=white, fontname=monospace];".to_string(),
    ];
    for (region, ids) in regions {
        let boxes = ids.into_iter().map(|id| draw_node(function, id));
        if region == Region(0) {
            lines.extend(boxes.map(|line| format!("  {line}")));
            continue;
        }
        lines.push(format!("  subgraph cluster_{} {{", region.0));
        lines.push(format!("    label=\"region {}\";", region.0));
        lines.extend(boxes.map(|line| format!("    {line}")));
        lines.push("  }".to_string());
    }
    for (id, node) in function.iter() {
        for operand in &node.operands {
            lines.push(format!("  n{} -> n{};", operand.index(), id.index()));
        }
    }
    for (index, (name, id)) in function.outputs().iter().enumerate() {
        let label = quote(&format!("output {name:?}"));
        lines.push(format!("  o{index} [label={label}, shape=ellipse];"));
        lines.push(format!("  n{} -> o{index};", id.index()));
    }
    for (parameter, value) in function.updates() {
        let (from, to) = (value.index(), parameter.index());
        lines.push(format!(
            "  n{from} -> n{to} [style=dashed, label=update, constraint=false];"
        ));
    }
    lines.push("}\n".to_string());
    lines.join("\n")
}

fn draw_node(function: &Function, id: NodeId) -> String {
    let node = function.node(id);
    let types: Vec<String> = node.types.iter().map(Type::to_string).collect();
    let payload: String = print_payload(node).chars().take(60).collect();
    let label = format!("{id} {}{payload}\n{}", node.op.name(), types.join(", "));
    let colour = match node.op.family() {
        Family::Leaf => "lightyellow",
        Family::Contraction | Family::Fused => "lightblue",
        Family::Reduction => "lightgreen",
        _ => "white",
    };
    let mut line = String::new();
    let _ = write!(line, "n{} [label={}", id.index(), quote(&label));
    if colour != "white" {
        let _ = write!(line, ", fillcolor={colour}");
    }
    line + "];"
}

/// A quoted Graphviz string.
fn quote(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}
