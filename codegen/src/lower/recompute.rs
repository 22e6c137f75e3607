//! Activations that a backward pass computes again instead of keeping them: exact, graph to graph.
//!
//! A network is a chain of parts, its blocks, with one value from each to the next. What a part keeps for the
//! backward pass is read again far behind it. A part that is chosen keeps only what it gives to the next one;
//! far behind it the rest is computed once more, from what it began with, as in "Training Deep Nets with
//! Sublinear Memory Cost" (Chen et al., 2016). Values have the bits that they had.

use super::prepare::FAR;
use crate::schedule::{Role, role};
use bsq_ir::op::Family;
use bsq_ir::{Function, Graph, Node, NodeId, Op, Tensor};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// Parts are at least this share of all that is kept: more of them would only take longer to choose from.
const SHARE: usize = 24;

/// Elements of values that are not worth a word.
const SMALL: usize = 64;

/// Consecutive nodes of a forward pass between two places that one value crosses.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    nodes: Range<usize>,
    /// What crosses its end, and is kept.
    end: Vec<NodeId>,
    /// What it would not keep.
    pub bytes: usize,
    /// Arithmetic operations of contractions and attention, about, of computing it again.
    pub flops: u64,
}

/// The parts of a function, first to last; none of one without a backward pass.
pub(crate) fn parts(function: &Function) -> Vec<Part> {
    let readers = Readers::of(function);
    let kept = |id: NodeId| match readers.is_kept(function, id) {
        true => function.node(id).ty().bytes(),
        false => 0,
    };
    let turn = readers.turn(function, kept);
    let ids = || (0..turn).map(NodeId::new);
    let all: usize = ids().map(kept).sum();
    // How many values are alive before each node, but for those that are read far behind only.
    let mut starts = vec![0_i64; turn + 1];
    for id in ids() {
        let count = readers.crossing(function, id);
        starts[(id.index() + 1).min(turn)] += count;
        starts[(readers.near[id.index()] + 1).min(turn)] -= count;
    }
    let (mut parts, mut begin, mut alive, mut bytes) = (Vec::new(), 0, 0, 0);
    for (at, change) in starts[..turn].iter().enumerate() {
        alive += change;
        if alive <= 1 && bytes * SHARE >= all && bytes > 0 {
            let end = (begin..at).map(NodeId::new);
            let end: Vec<NodeId> = end.filter(|id| readers.near[id.index()] >= at).collect();
            let own = (begin..at).map(NodeId::new).filter(|id| !end.contains(id));
            let part = Part {
                bytes: own.clone().map(kept).sum(),
                flops: own.map(|id| flops(function, id)).sum(),
                nodes: begin..at,
                end,
            };
            parts.extend((part.bytes > 0).then_some(part));
            (begin, bytes) = (at, 0);
        }
        bytes += kept(NodeId::new(at));
    }
    parts
}

/// The function in which what `parts` would keep is computed again for readers behind them.
pub(crate) fn recompute(function: &Function, parts: &[Part]) -> Function {
    let mut left = vec![None; function.nodes().len()];
    for part in parts {
        for index in part.nodes.clone() {
            let is_leaf = function.node(NodeId::new(index)).op.family() == Family::Leaf;
            if !is_leaf && !part.end.contains(&NodeId::new(index)) {
                left[index] = Some(part.nodes.end);
            }
        }
    }
    // A view far behind a part is taken of what is computed again: it does not call for it by itself.
    for (id, node) in function.iter() {
        if is_view(node) && left[id.index()].is_none() {
            let end = left[node.operands[0].index()];
            left[id.index()] = end.filter(|&end| id.index() >= end);
        }
    }
    let graph = Graph::new();
    let mut new: Vec<NodeId> = Vec::with_capacity(function.nodes().len());
    let mut again: HashMap<NodeId, NodeId> = HashMap::new();
    for (reader, node) in function.iter() {
        let is_far = |id: NodeId| {
            let end = left[id.index()].filter(|_| left[reader.index()].is_none());
            end.is_some_and(|end| reader.index() >= end)
        };
        for &id in node.operands.iter().filter(|&&id| is_far(id)) {
            compute_again(&graph, function, id, (&left, &new), &mut again);
        }
        let operands = node.operands.iter().map(|id| match is_far(*id) {
            true => again[id],
            false => new[id.index()],
        });
        let operands: Vec<NodeId> = operands.collect();
        new.push(copy(&graph, node, &operands));
    }
    let at = |id: NodeId| new[id.index()];
    let outputs = function.outputs().iter();
    let updates = function.updates().iter();
    graph.function(
        outputs.map(|(name, id)| (name.as_str(), at(*id))),
        updates.map(|&(old, value)| (at(old), at(value))),
    )
}

/// Computes a node again, and what it needs of its part.
fn compute_again(
    graph: &Graph,
    function: &Function,
    id: NodeId,
    (left, new): (&[Option<usize>], &[NodeId]),
    again: &mut HashMap<NodeId, NodeId>,
) {
    let (mut open, mut needed) = (vec![id], BTreeSet::new());
    while let Some(id) = open.pop() {
        let is_left = left[id.index()].is_some() && !again.contains_key(&id);
        if is_left && needed.insert(id) {
            open.extend(&function.node(id).operands);
        }
    }
    let behind = |id: NodeId| Tensor::new(graph, id).optimization_barrier().id();
    for id in needed {
        let node = function.node(id);
        let operands = node.operands.iter();
        let operands = operands.map(|id| match again.get(id) {
            Some(&found) => found,
            // Of several results a projection is taken, which computes nothing.
            None if function.node(*id).types.len() > 1 => new[id.index()],
            None => behind(new[id.index()]),
        });
        let operands: Vec<NodeId> = operands.collect();
        let copied = copy(graph, node, &operands);
        again.insert(id, copied);
    }
}

fn copy(graph: &Graph, node: &Node, operands: &[NodeId]) -> NodeId {
    let added = graph.add_like(node.op.clone(), operands, node);
    added.expect("a node of a function")
}

/// Readers of nodes: 0 where there is none.
struct Readers {
    /// The last one near behind a node.
    near: Vec<usize>,
    /// The first one far behind it; those that a view of a node has, too.
    far: Vec<usize>,
    /// Whether a node depends on an input of the program.
    depends: Vec<bool>,
}

impl Readers {
    fn of(function: &Function) -> Readers {
        let count = function.nodes().len();
        let (mut near, mut far, mut depends) = (vec![0; count], vec![0; count], vec![false; count]);
        for (reader, node) in function.iter() {
            depends[reader.index()] = matches!(node.op, Op::Input { .. });
            for id in &node.operands {
                depends[reader.index()] |= depends[id.index()];
                match reader.index() - id.index() > FAR {
                    true if far[id.index()] == 0 => far[id.index()] = reader.index(),
                    true => {}
                    false => near[id.index()] = reader.index(),
                }
            }
        }
        for (id, node) in function.iter().rev() {
            if is_view(node) {
                for operand in &node.operands {
                    far[operand.index()] = first(far[operand.index()], far[id.index()]);
                }
            }
        }
        Readers { near, far, depends }
    }

    /// Whether a node's value is in memory for readers far behind it.
    fn is_kept(&self, function: &Function, id: NodeId) -> bool {
        let node = function.node(id);
        let is_value = node.types.len() == 1 && node.op.family() != Family::Leaf;
        is_value && !is_view(node) && self.depends[id.index()] && self.far[id.index()] > 0
    }

    /// How many values a node gives to a next part, if it ends before they are read: one may.
    fn crossing(&self, function: &Function, id: NodeId) -> i64 {
        let node = function.node(id);
        match &node.types[..] {
            _ if node.op.family() == Family::Leaf || self.near[id.index()] == 0 => 0,
            [ty] => i64::from(self.depends[id.index()] && ty.shape.elements() > SMALL),
            // Several results of one node cannot be kept by themselves.
            _ => 2,
        }
    }

    /// Where most is kept: between a forward and a backward pass. Gradients of weights may stand behind all of
    /// the backward pass, so that the first reader counts, not the last.
    fn turn(&self, function: &Function, kept: impl Fn(NodeId) -> usize) -> usize {
        let count = function.nodes().len();
        let (mut begins, mut ends) = (vec![0; count + 1], vec![0; count + 1]);
        for id in (0..count).map(NodeId::new) {
            begins[id.index()] += kept(id);
            ends[self.far[id.index()]] += kept(id);
        }
        let (mut alive, mut most, mut turn) = (0, 0, 0);
        for (index, (begins, ends)) in begins.iter().zip(&ends).enumerate() {
            alive += begins;
            if alive > most {
                (most, turn) = (alive, index);
            }
            alive -= ends;
        }
        turn
    }
}

/// The first of two readers.
fn first(a: usize, b: usize) -> usize {
    match (a, b) {
        (0, only) | (only, 0) => only,
        (a, b) => a.min(b),
    }
}

/// Whether a node is but another address of its operand.
fn is_view(node: &Node) -> bool {
    matches!(role(&node.op), Role::View | Role::Projection)
}

/// Operations of a contraction or of attention, about.
fn flops(function: &Function, id: NodeId) -> u64 {
    let node = function.node(id);
    let elements = |id: NodeId| function.node(id).types[0].shape.elements() as u64;
    match &node.op {
        Op::DotGeneral(_) => {
            // Left times right over result is the square of what is summed over, but for batches.
            let [left, right] = [0, 1].map(|side| elements(node.operands[side]) as f64);
            let result = node.types[0].shape.elements() as f64;
            (2.0 * (left * right * result).sqrt()) as u64
        }
        Op::Attention { .. } => {
            let shape = &function.node(node.operands[0]).types[0].shape;
            4 * elements(node.operands[0]) * shape[shape.rank() - 2] as u64
        }
        _ => node.types[0].shape.elements() as u64,
    }
}
