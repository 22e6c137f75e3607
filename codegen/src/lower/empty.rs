//! Tensors without elements: nothing computes them, and what reads them does not need to.
//!
//! Afterwards no loop over operands is empty, which the rest of lowering relies on.

use crate::schedule::Group;
use bsq_ir::op::Family;
use bsq_ir::{Constant, Function, Graph, NodeId, Op, Tensor, Type};

/// A prepared function in which no node has an operand without elements unless its own result has
/// none: those are constants, and such results are not computed at all.
pub(crate) fn without_empty_operands(function: Function) -> Function {
    let is_empty = |id: &NodeId| {
        let types = &function.node(*id).types;
        types.iter().any(|ty| ty.shape.elements() == 0)
    };
    if !function.iter().any(|(id, _)| is_empty(&id)) {
        return function;
    }
    function.transform(|graph, node, operands| {
        let kept = || super::prepare::keep(graph, node, operands);
        // Ops with several results have been expanded if anything is empty.
        if node.types.len() != 1 || node.op.family() == Family::Leaf {
            return kept();
        }
        let ty = node.ty();
        graph.in_place_of(node, || match ty.shape.elements() {
            0 => zeros(graph, ty),
            _ => of_nothing(graph, &node.op, ty, operands).unwrap_or_else(kept),
        })
    })
}

/// A result with elements of operands of which one has none, if there is one.
fn of_nothing(graph: &Graph, op: &Op, ty: &Type, operands: &[NodeId]) -> Option<NodeId> {
    let is_empty = |id: NodeId| {
        let node = graph.node(id);
        node.types.iter().any(|ty| ty.shape.elements() == 0)
    };
    if !operands.iter().any(|&id| is_empty(id)) {
        return None;
    }
    let broadcast = |id: NodeId| Tensor::new(graph, id).broadcast_to(ty.shape.clone()).id();
    match op {
        Op::Sum(_) | Op::WindowSum { .. } | Op::DotGeneral(_) => Some(zeros(graph, ty)),
        Op::Pad(_) => Some(broadcast(operands[1])),
        // An empty slice, or no updates at all, change nothing.
        Op::DynamicUpdateSlice { .. } | Op::ScatterAdd { .. } => Some(operands[0]),
        &Op::Concat { axis } => {
            let parts: Vec<Tensor> = operands
                .iter()
                .filter(|&&id| !is_empty(id))
                .map(|&id| Tensor::new(graph, id))
                .collect();
            match &parts[..] {
                [part] => Some(part.id()),
                parts => Some(graph.concat(parts, axis as isize).id()),
            }
        }
        _ => None,
    }
}

/// Behind a view, as all leaves that may have to be in memory.
fn zeros(graph: &Graph, ty: &Type) -> NodeId {
    let zero = vec![0; ty.dtype.size()];
    let constant = Constant::splat_bytes(ty.clone(), &zero);
    graph.constant(constant).stop_gradient().id()
}

/// True if a group's results have no elements: there is nothing to launch.
pub(super) fn stores_nothing(function: &Function, group: &Group) -> bool {
    let mut materialized = group
        .materialized
        .iter()
        .flat_map(|&id| &function.node(id).types);
    !group.materialized.is_empty() && materialized.all(|ty| ty.shape.elements() == 0)
}
