//! The finished function.

use super::{Graph, Node, NodeId};
use crate::op::Op;
use crate::shape::Type;
use smallvec::SmallVec;

/// A finished graph: nodes in topological order, all of them needed.
///
/// Two are equal if their nodes are, in the same order, and so are outputs and updates; the lines
/// of the user's program are ignored.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    nodes: Vec<Node>,
    outputs: Vec<(String, NodeId)>,
    updates: Vec<(NodeId, NodeId)>,
}

impl Function {
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Every node with its id, operands before users.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (NodeId::new(index), node))
    }

    /// Named results.
    pub fn outputs(&self) -> &[(String, NodeId)] {
        &self.outputs
    }

    /// Parameters and the values that replace them once everything has been computed.
    pub fn updates(&self) -> &[(NodeId, NodeId)] {
        &self.updates
    }

    /// Nodes whose value leaves the function: outputs, then updates.
    pub fn roots(&self) -> impl Iterator<Item = NodeId> + '_ {
        let outputs = self.outputs.iter().map(|output| output.1);
        outputs.chain(self.updates.iter().map(|update| update.1))
    }

    /// Inputs by name, in the order of first mention.
    pub fn inputs(&self) -> impl Iterator<Item = (NodeId, &str, &Type)> {
        self.iter().filter_map(|(id, node)| match &node.op {
            Op::Input { name, ty } => Some((id, name.as_str(), ty)),
            _ => None,
        })
    }

    /// Parameters by name, in the order of first mention.
    pub fn parameters(&self) -> impl Iterator<Item = (NodeId, &str, &Type)> {
        self.iter().filter_map(|(id, node)| match &node.op {
            Op::Parameter { name, ty } => Some((id, name.as_str(), ty)),
            _ => None,
        })
    }

    /// Which nodes read each node, once per reading operand, in order.
    pub fn users(&self) -> Vec<Vec<NodeId>> {
        let mut users = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.iter() {
            for operand in &node.operands {
                users[operand.index()].push(id);
            }
        }
        users
    }

    /// Rebuilds the function node by node. `rebuild` gets the new graph, a node and its new
    /// operands, and returns the node that takes its place.
    pub fn transform(
        &self,
        mut rebuild: impl FnMut(&Graph, &Node, &[NodeId]) -> NodeId,
    ) -> Function {
        let graph = Graph::new();
        let mut new: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let operands: SmallVec<[NodeId; 3]> = node
                .operands
                .iter()
                .map(|operand| new[operand.index()])
                .collect();
            new.push(rebuild(&graph, node, &operands));
        }
        let at = |id: NodeId| new[id.index()];
        graph.function(
            self.outputs
                .iter()
                .map(|(name, id)| (name.as_str(), at(*id))),
            self.updates
                .iter()
                .map(|&(parameter, value)| (at(parameter), at(value))),
        )
    }

    /// A function of any parts, well formed or not.
    #[cfg(test)]
    pub(crate) fn from_parts(
        nodes: Vec<Node>,
        outputs: Vec<(String, NodeId)>,
        updates: Vec<(NodeId, NodeId)>,
    ) -> Function {
        Function {
            nodes,
            outputs,
            updates,
        }
    }

    pub(super) fn reachable(
        all: &[Node],
        outputs: Vec<(String, NodeId)>,
        updates: Vec<(NodeId, NodeId)>,
    ) -> Function {
        for &(parameter, value) in &updates {
            let (old, new) = (&all[parameter.index()], &all[value.index()]);
            assert!(
                matches!(old.op, Op::Parameter { .. }) && old.ty() == new.ty(),
                "an update replaces a parameter by a value of its type: {} {} by {}",
                old.op.name(),
                old.ty(),
                new.ty(),
            );
        }
        let mut needed = vec![false; all.len()];
        let roots = outputs.iter().map(|output| output.1);
        for id in roots.chain(updates.iter().flat_map(|update| [update.0, update.1])) {
            needed[id.index()] = true;
        }
        for index in (0..all.len()).rev() {
            if needed[index] {
                for operand in &all[index].operands {
                    needed[operand.index()] = true;
                }
            }
        }
        let mut new = vec![NodeId::new(0); all.len()];
        let mut nodes = Vec::new();
        for (index, node) in all.iter().enumerate().filter(|(index, _)| needed[*index]) {
            new[index] = NodeId::new(nodes.len());
            let mut node = node.clone();
            for operand in &mut node.operands {
                *operand = new[operand.index()];
            }
            nodes.push(node);
        }
        let at = |id: NodeId| new[id.index()];
        let outputs = outputs
            .into_iter()
            .map(|(name, id)| (name, at(id)))
            .collect();
        let updates = updates.into_iter().map(|(p, v)| (at(p), at(v))).collect();
        Function {
            nodes,
            outputs,
            updates,
        }
    }
}
