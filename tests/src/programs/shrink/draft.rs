//! A program as a list that can be changed, and put together again.

use crate::programs::Program;
use bsq_ir::eval::{Value, Values};
use bsq_ir::{Function, Graph, NodeId, Op, Type};

/// A program as a list that can be changed.
pub(super) struct Draft {
    pub nodes: Vec<(Op, Vec<usize>, bsq_ir::Node)>,
    pub outputs: Vec<(String, usize)>,
    pub updates: Vec<(usize, usize)>,
    pub inputs: Values,
    pub parameters: Values,
}

impl Draft {
    pub fn of(program: &Program) -> Draft {
        let function = &program.function;
        let node = |node: &bsq_ir::Node| {
            let operands = node.operands.iter().map(|id| id.index()).collect();
            (node.op.clone(), operands, node.clone())
        };
        Draft {
            nodes: function.nodes().iter().map(node).collect(),
            outputs: function
                .outputs()
                .iter()
                .map(|(n, id)| (n.clone(), id.index()))
                .collect(),
            updates: function
                .updates()
                .iter()
                .map(|(p, v)| (p.index(), v.index()))
                .collect(),
            inputs: program.inputs.clone(),
            parameters: program.parameters.clone(),
        }
    }

    /// The program, unless a type does not fit any more. Values are cut to their types.
    pub fn finish(self) -> Option<Program> {
        self.finish_with(false)
    }

    pub fn finish_with(self, last: bool) -> Option<Program> {
        let graph = Graph::new();
        let mut ids: Vec<NodeId> = Vec::new();
        for (op, operands, origin) in &self.nodes {
            let operands: Vec<NodeId> = operands.iter().map(|&at| ids[at]).collect();
            ids.push(graph.add_like(op.clone(), &operands, origin).ok()?);
        }
        let typed = |id: NodeId| graph.node(id).types.len() == 1;
        let fits = |&(p, v): &(usize, usize)| {
            let parameter = matches!(graph.node(ids[p]).op, Op::Parameter { .. });
            parameter && typed(ids[v]) && graph.ty(ids[p]) == graph.ty(ids[v])
        };
        if !self.updates.iter().all(fits) || !self.outputs.iter().all(|(_, at)| typed(ids[*at])) {
            return None;
        }
        let outputs = self
            .outputs
            .iter()
            .map(|(name, at)| (name.as_str(), ids[*at]));
        let updates = self.updates.iter().map(|&(p, v)| (ids[p], ids[v]));
        let function: Function = graph.function(outputs, updates);
        function.roots().next()?;
        let cut = |values: &Values, name: &str, ty: &Type| {
            let value = cut(&values[name], ty, last);
            (name.to_string(), value)
        };
        let inputs = function
            .inputs()
            .map(|(_, n, ty)| cut(&self.inputs, n, ty))
            .collect();
        let parameters = function.parameters();
        let parameters = parameters
            .map(|(_, n, ty)| cut(&self.parameters, n, ty))
            .collect();
        Some(Program {
            inputs,
            parameters,
            function,
        })
    }
}

/// The corner of a value, the first or the last; elements one after the other if the rank differs.
pub(super) fn cut(value: &Value, ty: &Type, last: bool) -> Value {
    if value.ty() == ty {
        return value.clone();
    }
    let bytes = value.to_bytes();
    let (old, new, size) = (value.shape(), &ty.shape, ty.dtype.size());
    let is_part = old.rank() == new.rank() && old.iter().zip(&new[..]).all(|(old, new)| new <= old);
    if !is_part {
        let elements = bytes.iter().copied().cycle().take(ty.bytes());
        let bytes: Vec<u8> = match bytes.is_empty() {
            true => vec![0; ty.bytes()],
            false => elements.collect(),
        };
        return Value::from_bytes(ty.clone(), &bytes);
    }
    let strides = old.strides();
    let mut kept = Vec::with_capacity(ty.bytes());
    for index in new.indices() {
        let moved = (0..new.rank()).map(|a| if last { old[a] - new[a] } else { 0 });
        let at: usize = index
            .iter()
            .zip(moved)
            .zip(&strides)
            .map(|((i, m), s)| (i + m) * s)
            .sum();
        kept.extend(&bytes[at * size..(at + 1) * size]);
    }
    Value::from_bytes(ty.clone(), &kept)
}
