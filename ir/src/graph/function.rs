//! The finished function.

use super::{Graph, Node, NodeId};
use crate::op::{Op, TypeError};
use crate::shape::Type;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};

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

    /// Names of the parameters that no output depends on, in this run or in later ones through
    /// the updates: they are not trained, or their values are not used. A function without
    /// outputs is all updates, and nothing in it counts as unused.
    pub fn unused_parameters(&self) -> Vec<&str> {
        let used = self.used();
        let unused = self.parameters().filter(|(id, ..)| !used[id.index()]);
        unused.map(|(_, name, _)| name).collect()
    }

    /// The same of inputs.
    pub fn unused_inputs(&self) -> Vec<&str> {
        let used = self.used();
        let unused = self.inputs().filter(|(id, ..)| !used[id.index()]);
        unused.map(|(_, name, _)| name).collect()
    }

    /// For each node: whether an output of this run or of a later one depends on it.
    fn used(&self) -> Vec<bool> {
        if self.outputs.is_empty() {
            return vec![true; self.nodes.len()];
        }
        let new_values: HashMap<NodeId, NodeId> = self.updates.iter().copied().collect();
        let mut used = vec![false; self.nodes.len()];
        let mut waiting: Vec<NodeId> = self.outputs.iter().map(|output| output.1).collect();
        while let Some(id) = waiting.pop() {
            if !std::mem::replace(&mut used[id.index()], true) {
                waiting.extend(&self.node(id).operands);
                waiting.extend(new_values.get(&id));
            }
        }
        used
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

    /// This function where some of its outputs are known: each that `is_given` names is an input of its
    /// name and type instead, wherever its value is read, and what only leads to it is left out.
    pub fn given_outputs(&self, is_given: impl Fn(&str) -> bool) -> Function {
        let mut given = HashMap::new();
        for (name, id) in self.outputs.iter().filter(|(name, _)| is_given(name)) {
            given.entry(*id).or_insert(name);
        }
        let graph = Graph::new();
        let mut new: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.iter() {
            let op = match given.get(&id) {
                Some(name) => Op::Input {
                    name: name.to_string(),
                    ty: node.ty().clone(),
                },
                None => node.op.clone(),
            };
            let operands: SmallVec<[NodeId; 3]> = match op {
                Op::Input { .. } => SmallVec::new(),
                _ => node.operands.iter().map(|id| new[id.index()]).collect(),
            };
            let added = graph.add_like(op, &operands, node);
            new.push(added.unwrap_or_else(|error| error.raise()));
        }
        let at = |id: NodeId| new[id.index()];
        let others = self.outputs.iter().filter(|(name, _)| !is_given(name));
        let updates = self.updates.iter();
        graph.function(
            others.map(|(name, id)| (name.as_str(), at(*id))),
            updates.map(|&(old, value)| (at(old), at(value))),
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
    ) -> Result<Function, TypeError> {
        check(all, &outputs, &updates)?;
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
        Ok(Function {
            nodes,
            outputs,
            updates,
        })
    }
}

/// That outputs have names of their own, and updates give parameters values of their types.
fn check(
    all: &[Node],
    outputs: &[(String, NodeId)],
    updates: &[(NodeId, NodeId)],
) -> Result<(), TypeError> {
    let fail = |what: String| Err(TypeError::of_call("function", [], what));
    let single = |id: NodeId| -> Result<&Type, TypeError> {
        let node = &all[id.index()];
        match &node.types[..] {
            [ty] => Ok(ty),
            several => Err(node.has_several(several.len())),
        }
    };
    let mut names = HashSet::with_capacity(outputs.len());
    for (name, id) in outputs {
        single(*id)?;
        if !names.insert(name) {
            return fail(format!("two outputs are called {name:?}"));
        }
    }
    let mut updated = HashSet::with_capacity(updates.len());
    for &(parameter, value) in updates {
        let (old, new) = (single(parameter)?, single(value)?);
        let node = &all[parameter.index()];
        let Op::Parameter { name, .. } = &node.op else {
            let op = node.op.name();
            return fail(format!("an update replaces a parameter, not {op} {old}"));
        };
        if old != new {
            return fail(format!(
                "an update replaces a parameter by a value of its type: `{name}` is {old}, its new value {new}"
            ));
        }
        if !updated.insert(parameter) {
            return fail(format!("two updates of `{name}`"));
        }
    }
    Ok(())
}
