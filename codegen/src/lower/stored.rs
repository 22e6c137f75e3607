//! What a forward pass keeps for the backward pass, in bf16: graph to graph, before anything is computed again.
//!
//! A value that is read far behind is rounded where it is made, and read there from its bf16. Those that read it
//! at once have it unrounded where it is a sum of several, such as the stream that a transformer's blocks add to;
//! the result of a contraction, a bias added or not, is rounded for all. Normalised rows and GELU's result are
//! computed from what is stored. Statistics of rows, and all that is small, are kept as they are.

use super::prepare::{FAR, keep, normalised};
use crate::schedule::{Role, role};
use bsq_ir::op::Family;
use bsq_ir::{DType, Function, Graph, NodeId, Op, Tensor};
use std::collections::{BTreeSet, HashMap};

/// Values of fewer elements than this share of the largest one's are kept in f32: they save nothing.
const SHARE: usize = 16;

/// Nodes from a value up to those of its readers that have it at once: one block of a network is not as deep.
const NEAR: usize = 32;

/// Nodes between a contraction and what it gives in the end.
const DEPTH: usize = 8;

/// The function whose forward pass keeps its values in bf16.
pub(crate) fn stored(function: &Function) -> Function {
    let found = Stored::of(function);
    let mut built = Built {
        graph: Graph::new(),
        function,
        found,
        plain: Vec::with_capacity(function.nodes().len()),
        near: Vec::with_capacity(function.nodes().len()),
        far: HashMap::new(),
    };
    for (reader, node) in function.iter() {
        let operands = node
            .operands
            .iter()
            .map(|&id| match built.found.is_far(reader, id) {
                true => built.far(id),
                false => built.near[id.index()],
            });
        let operands: Vec<NodeId> = operands.collect();
        let graph = &built.graph;
        let plain = graph.in_place_of(node, || keep(graph, node, &operands));
        let stored = built.found.values.contains(&reader);
        let near = graph.in_place_of(node, || match stored.then(|| rounded(graph, plain)) {
            Some(narrow) if is_product(function, reader, DEPTH) => narrow.cast(DType::F32).id(),
            _ => plain,
        });
        built.plain.push(plain);
        built.near.push(near);
    }
    let at = |id: NodeId| built.plain[id.index()];
    let outputs = function.outputs().iter();
    let updates = function.updates().iter();
    built.graph.function(
        outputs.map(|(name, id)| (name.as_str(), at(*id))),
        updates.map(|&(old, value)| (at(old), at(value))),
    )
}

fn rounded(graph: &Graph, id: NodeId) -> Tensor<'_> {
    Tensor::new(graph, id).cast(DType::BF16)
}

/// What is stored for readers far behind alone: it is written where its value is at hand.
pub(super) fn for_later(function: &Function) -> impl Iterator<Item = NodeId> + '_ {
    let users = function.users();
    let stored = function.iter().filter(move |(id, node)| {
        let first = users[id.index()].iter().map(|reader| reader.index()).min();
        let is_far = first.is_some_and(|reader| reader - id.index() > FAR);
        is_far && node.op == Op::Cast(DType::BF16)
    });
    stored.map(|(id, _)| id)
}

/// Which values are stored, and who reads them from there.
struct Stored {
    values: BTreeSet<NodeId>,
    /// Nodes of the forward pass that the backward pass alone reads.
    late: Vec<bool>,
    /// Of each node, how many nodes are below it at most.
    depth: Vec<usize>,
    /// Where the forward pass ends, in nodes below.
    turn: usize,
}

impl Stored {
    fn of(function: &Function) -> Stored {
        let depth = depths(function);
        let mut found = Stored {
            values: BTreeSet::new(),
            late: vec![false; function.nodes().len()],
            turn: turn(function, &depth),
            depth,
        };
        found.find_late(function);
        let mut pending = Vec::new();
        for (reader, node) in function.iter() {
            let operands = node.operands.iter().copied();
            pending.extend(operands.filter(|&id| found.is_far(reader, id)));
        }
        let mut read = BTreeSet::new();
        while let Some(id) = pending.pop() {
            if read.insert(id) {
                match kind(function, id) {
                    _ if found.late[id.index()] => {
                        pending.extend(&function.node(id).operands);
                    }
                    Kind::Value => _ = found.values.insert(id),
                    Kind::Again(operand) => pending.push(operand),
                    Kind::Plain => {}
                }
            }
        }
        let depends = depends(function);
        let elements = |id: &NodeId| function.node(*id).types[0].shape.elements();
        let most = found.values.iter().map(elements).max().unwrap_or(0);
        let suits = |id: &NodeId| depends[id.index()] && elements(id) * SHARE > most;
        found.values.retain(suits);
        found
    }

    /// Finds elementwise nodes that need not be computed before the backward pass.
    fn find_late(&mut self, function: &Function) {
        let users = function.users();
        let roots: BTreeSet<NodeId> = function.roots().collect();
        for (id, node) in function.iter().rev() {
            let computes = node.op.is_elementwise() || role(&node.op) == Role::View;
            let mut readers = users[id.index()].iter();
            self.late[id.index()] = computes
                && !readers.as_slice().is_empty()
                && !roots.contains(&id)
                && readers.all(|&reader| self.is_far(reader, id) || self.late[reader.index()]);
        }
    }

    /// Whether a node that reads another is behind the forward pass, of which the other one is.
    fn is_far(&self, reader: NodeId, id: NodeId) -> bool {
        let (reader, at) = (self.depth[reader.index()], self.depth[id.index()]);
        at < self.turn && self.turn <= reader && reader - at > NEAR
    }
}

/// Of each node, how many nodes are below it at most: an order of graphs that does not depend on how they are
/// written down.
fn depths(function: &Function) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::with_capacity(function.nodes().len());
    for node in function.nodes() {
        let below = node.operands.iter().map(|id| depths[id.index()] + 1);
        depths.push(below.max().unwrap_or(0));
    }
    depths
}

/// Nodes that depend on an input of the program.
fn depends(function: &Function) -> Vec<bool> {
    let mut depends: Vec<bool> = Vec::with_capacity(function.nodes().len());
    for node in function.nodes() {
        let of_operands = node.operands.iter().any(|id| depends[id.index()]);
        depends.push(of_operands || matches!(node.op, Op::Input { .. }));
    }
    depends
}

/// Where most is kept: between a forward and a backward pass.
fn turn(function: &Function, depths: &[usize]) -> usize {
    // The last readers, those of views included.
    let mut last = vec![0; function.nodes().len()];
    for (reader, node) in function.iter().rev() {
        let at = match role(&node.op) {
            Role::View | Role::Projection => last[reader.index()],
            _ => depths[reader.index()],
        };
        for id in &node.operands {
            last[id.index()] = last[id.index()].max(at);
        }
    }
    let deepest = depths.iter().copied().max().unwrap_or(0);
    let (mut begins, mut ends) = (vec![0; deepest + 2], vec![0; deepest + 2]);
    for (id, _) in function.iter() {
        let (from, to) = (depths[id.index()], last[id.index()]);
        if matches!(kind(function, id), Kind::Value) && to > from + NEAR {
            let bytes = function.node(id).ty().bytes();
            begins[from + 1] += bytes;
            ends[to + 1] += bytes;
        }
    }
    let (mut kept, mut most, mut turn) = (0, 0, 0);
    for (at, (begins, ends)) in begins.into_iter().zip(ends).enumerate() {
        kept = kept + begins - ends;
        if kept > most {
            (most, turn) = (kept, at);
        }
    }
    turn
}

/// How a value is had far behind.
enum Kind {
    /// From its bf16.
    Value,
    /// It is computed again from an operand.
    Again(NodeId),
    /// As it is.
    Plain,
}

fn kind(function: &Function, id: NodeId) -> Kind {
    let node = function.node(id);
    let Some(&operand) = node.operands.first() else {
        return Kind::Plain;
    };
    let source = &function.node(operand).op;
    match &node.op {
        _ if node.types.len() != 1 || node.dtype() != DType::F32 => Kind::Plain,
        Op::Gelu => Kind::Again(operand),
        Op::Projection(0) => match source {
            Op::LayerNorm { .. } => Kind::Again(function.node(operand).operands[0]),
            Op::Attention { .. } => Kind::Value,
            _ => Kind::Plain,
        },
        Op::Projection(_) => Kind::Plain,
        op if role(op) == Role::View => Kind::Again(operand),
        op if op.family() == Family::Reduction => Kind::Plain,
        _ => Kind::Value,
    }
}

/// A function as far as it is built.
struct Built<'f> {
    graph: Graph,
    function: &'f Function,
    found: Stored,
    plain: Vec<NodeId>,
    /// As nearby readers have it.
    near: Vec<NodeId>,
    /// As those far behind have it.
    far: HashMap<NodeId, NodeId>,
}

impl Built<'_> {
    /// A node as those far behind have it, and what it needs for that.
    fn far(&mut self, id: NodeId) -> NodeId {
        let (mut open, mut needed) = (vec![id], BTreeSet::new());
        while let Some(id) = open.pop() {
            if !self.far.contains_key(&id) && needed.insert(id) {
                match kind(self.function, id) {
                    _ if self.found.late[id.index()] => {
                        open.extend(&self.function.node(id).operands);
                    }
                    Kind::Again(operand) => open.push(operand),
                    Kind::Value | Kind::Plain => {}
                }
            }
        }
        for id in needed {
            let made = self.made(id);
            self.far.insert(id, made);
        }
        self.far[&id]
    }

    /// The same of a node whose operands are there.
    fn made(&self, id: NodeId) -> NodeId {
        let (graph, node) = (&self.graph, self.function.node(id));
        let near = self.near[id.index()];
        let build = || match kind(self.function, id) {
            _ if self.found.late[id.index()] => {
                let operands = node.operands.iter().map(|operand| self.far[operand]);
                keep(graph, node, &operands.collect::<Vec<_>>())
            }
            // Behind a view nothing is a node that is there already.
            Kind::Value if self.found.values.contains(&id) => {
                let narrow = rounded(graph, self.plain[id.index()]);
                narrow.stop_gradient().cast(DType::F32).id()
            }
            Kind::Again(operand) => {
                let from = self.far[&operand];
                match node.op {
                    Op::Projection(_) => self.normalised_again(id, from),
                    _ if from == self.near[operand.index()] => near,
                    Op::Gelu => Tensor::new(graph, from).optimization_barrier().gelu().id(),
                    _ => keep(graph, node, &[from]),
                }
            }
            _ => near,
        };
        graph.in_place_of(node, build)
    }

    /// A layer norm's rows from the stored `x` and the statistics of its rows.
    fn normalised_again(&self, id: NodeId, x: NodeId) -> NodeId {
        let (graph, function) = (&self.graph, self.function);
        let norm = function.node(id).operands[0];
        let operands = &function.node(norm).operands;
        let near = |id: NodeId| Tensor::new(graph, self.near[id.index()]);
        let statistics = [1, 2].map(|index| {
            let projection = graph.add(Op::Projection(index), &[self.near[norm.index()]]);
            Tensor::new(graph, projection.expect("a layer norm has statistics"))
        });
        let (weight, bias) = (near(operands[1]), near(operands[2]));
        let x = Tensor::new(graph, x).optimization_barrier();
        normalised(x, statistics, weight, bias).id()
    }
}

/// Whether a node is a contraction's or attention's result, but for what is broadcast to it.
fn is_product(function: &Function, id: NodeId, depth: usize) -> bool {
    let node = function.node(id);
    let fills = |id: &&NodeId| fills(function, **id);
    match &node.op {
        Op::DotGeneral(_) => true,
        Op::Projection(0) => {
            matches!(function.node(node.operands[0]).op, Op::Attention { .. })
        }
        op if depth == 0 || op.family() == Family::Fused => false,
        op if role(op) == Role::View => is_product(function, node.operands[0], depth - 1),
        op if op.is_elementwise() => {
            let mut full = node.operands.iter().filter(fills);
            let first = full.next();
            full.next().is_none() && first.is_some_and(|&id| is_product(function, id, depth - 1))
        }
        _ => false,
    }
}

/// Whether a node has a value of its own for each element.
fn fills(function: &Function, mut id: NodeId) -> bool {
    loop {
        let node = function.node(id);
        match &node.op {
            Op::Broadcast { .. } => return false,
            op if role(op) == Role::View => id = node.operands[0],
            op => return op.family() != Family::Leaf,
        }
    }
}
