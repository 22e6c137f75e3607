//! The graph under construction, and the finished function that passes read.
//!
//! A [`Graph`] is an arena of hash-consed nodes in topological order: a node's operands exist
//! before it, equal nodes are one node, and nothing is ever changed. A [`Function`] is what is
//! reachable from chosen outputs and parameter updates.

mod function;
mod id;

use crate::dtype::DType;
use crate::op::infer::{Types, infer};
use crate::op::{Op, TypeError};
use crate::shape::{Shape, Type};
pub use function::Function;
use id::GraphTag;
pub use id::NodeId;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::panic::Location;

/// A part of the model that may occur many times, such as one transformer block; 0 is "none".
/// The backward pass of a node stays in its region, and equal regions are rewritten once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Region(pub u32);

/// An op, its operands, the types of its results, and where it came from.
#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub operands: SmallVec<[NodeId; 3]>,
    pub types: Types,
    /// The line of the user's program.
    pub location: &'static Location<'static>,
    pub region: Region,
}

impl Node {
    /// The type of the only result.
    ///
    /// # Panics
    /// If the op has several results.
    pub fn ty(&self) -> &Type {
        assert_eq!(
            self.types.len(),
            1,
            "{} has several results",
            self.op.name()
        );
        &self.types[0]
    }

    pub fn shape(&self) -> &Shape {
        &self.ty().shape
    }

    pub fn dtype(&self) -> DType {
        self.ty().dtype
    }
}

impl Node {
    /// The error of taking an op with several results for a tensor.
    fn has_several(&self, count: usize) -> TypeError {
        let what = format!("{count} results are no tensor");
        TypeError::new(&self.op, [], what).help("take a projection of it")
    }

    /// The error of asking for this parameter as if it were a new one.
    pub(crate) fn named_again(&self, name: &str, ty: &Type) -> TypeError {
        let (file, line) = (self.location.file(), self.location.line());
        let what = format!(
            "`{name}` is there already, {} from {file}:{line}",
            self.ty()
        );
        let help = match self.ty() == ty {
            true => {
                "take another name; to share it, keep the tensor, or ask `known_parameter` or `Scope::sharing`"
            }
            false => "take another name",
        };
        TypeError::of_call("parameter", [], what).help(help)
    }
}

/// Equal but for the line of the user's program.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.op == other.op
            && self.operands == other.operands
            && self.types == other.types
            && self.region == other.region
    }
}

#[derive(Default)]
struct Arena {
    nodes: Vec<Node>,
    /// Hash of (op, operands) to the nodes that have it.
    index: HashMap<u64, SmallVec<[NodeId; 1]>>,
    /// Parameters by name.
    parameters: HashMap<String, NodeId>,
    /// Where new nodes go.
    region: Region,
    /// The line that new nodes point at, if it is not the line that asks for them.
    location: Option<&'static Location<'static>>,
    /// The highest region so far.
    regions: u32,
}

/// A graph that grows while it is shared: all methods take `&self`.
pub struct Graph {
    arena: RefCell<Arena>,
    tag: GraphTag,
}

impl Default for Graph {
    fn default() -> Self {
        Graph {
            arena: RefCell::default(),
            tag: GraphTag::next(),
        }
    }
}

impl Graph {
    pub fn new() -> Self {
        Graph::default()
    }

    /// Adds a node, or finds the equal one.
    ///
    /// # Errors
    /// If the op does not take these operands, or an operand is no node of this graph.
    #[track_caller]
    pub fn add(&self, op: Op, operands: &[NodeId]) -> Result<NodeId, TypeError> {
        self.add_at(op, operands, Location::caller(), None)
    }

    /// Adds a node with the origin of another: what a pass derives from a node points at its line.
    pub fn add_like(
        &self,
        op: Op,
        operands: &[NodeId],
        origin: &Node,
    ) -> Result<NodeId, TypeError> {
        self.add_at(op, operands, origin.location, Some(origin.region))
    }

    pub(crate) fn add_from(
        &self,
        op: Op,
        operands: &[NodeId],
        location: &'static Location<'static>,
    ) -> Result<NodeId, TypeError> {
        self.add_at(op, operands, location, None)
    }

    fn add_at(
        &self,
        op: Op,
        operands: &[NodeId],
        location: &'static Location<'static>,
        region: Option<Region>,
    ) -> Result<NodeId, TypeError> {
        let mut hasher = DefaultHasher::new();
        (&op, operands).hash(&mut hasher);
        let hash = hasher.finish();
        let mut arena = self.arena.borrow_mut();
        if let Some(&stranger) = operands.iter().find(|&&id| !self.has(&arena, id)) {
            return Err(self.strange(op.name(), stranger).at(location));
        }
        let known = arena.index.get(&hash).into_iter().flatten();
        let equal = |id: &&NodeId| {
            let node = &arena.nodes[id.index()];
            node.op == op && node.operands[..] == *operands
        };
        if let Some(&id) = known.into_iter().find(equal) {
            return Ok(id);
        }
        let types = {
            let of = |id: &NodeId| &arena.nodes[id.index()].types[..];
            let operand_types: SmallVec<[&[Type]; 4]> = operands.iter().map(of).collect();
            infer(&op, &operand_types).map_err(|error| error.at(location))?
        };
        let id = NodeId::in_graph(arena.nodes.len(), self.tag);
        if let Op::Parameter { name, .. } = &op {
            arena.parameters.entry(name.clone()).or_insert(id);
        }
        let region = region.unwrap_or(arena.region);
        let location = arena.location.unwrap_or(location);
        arena.regions = arena.regions.max(region.0);
        let operands = operands.into();
        arena.nodes.push(Node {
            op,
            operands,
            types,
            location,
            region,
        });
        arena.index.entry(hash).or_default().push(id);
        Ok(id)
    }

    fn has(&self, arena: &Arena, id: NodeId) -> bool {
        id.may_belong_to(self.tag) && id.index() < arena.nodes.len()
    }

    /// The error of a call that was given a node of another graph.
    fn strange(&self, call: &'static str, id: NodeId) -> TypeError {
        let what = match id.may_belong_to(self.tag) {
            true => format!("there is no node {id} in this graph"),
            false => format!("node {id} belongs to another graph"),
        };
        TypeError::of_call(call, [], what).help(ONE_GRAPH)
    }

    /// What `read` makes of a node.
    #[track_caller]
    fn read<R>(&self, call: &'static str, id: NodeId, read: impl FnOnce(&Node) -> R) -> R {
        let arena = self.arena.borrow();
        if !self.has(&arena, id) {
            self.strange(call, id).raise();
        }
        read(&arena.nodes[id.index()])
    }

    /// A copy of a node.
    ///
    /// # Panics
    /// If the node is none of this graph.
    #[track_caller]
    pub fn node(&self, id: NodeId) -> Node {
        self.read("node", id, Node::clone)
    }

    /// The type of a node's only result.
    ///
    /// # Panics
    /// If the node is none of this graph, or has several results.
    #[track_caller]
    pub fn ty(&self, id: NodeId) -> Type {
        let types = self.read("tensor", id, |node| match &node.types[..] {
            [ty] => Ok(ty.clone()),
            several => Err(node.has_several(several.len())),
        });
        match types {
            Ok(ty) => ty,
            Err(error) => error.raise(),
        }
    }

    /// Panics at the caller's line if the node is none of this graph.
    #[track_caller]
    pub(crate) fn check(&self, id: NodeId) {
        self.read("tensor", id, |_| ());
    }

    /// The parameter of a name, if there is one.
    pub(crate) fn parameter_id(&self, name: &str) -> Option<NodeId> {
        self.arena.borrow().parameters.get(name).copied()
    }

    /// Number of nodes so far.
    pub fn len(&self) -> usize {
        self.arena.borrow().nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs `build` with every new node in a new region.
    pub fn in_new_region<R>(&self, build: impl FnOnce() -> R) -> R {
        let region = {
            let mut arena = self.arena.borrow_mut();
            arena.regions += 1;
            Region(arena.regions)
        };
        self.in_region(region, build)
    }

    /// Runs `build` with every new node in an existing region.
    pub fn in_region<R>(&self, region: Region, build: impl FnOnce() -> R) -> R {
        let location = self.arena.borrow().location;
        self.in_origin(region, location, build)
    }

    /// Runs `build` with every new node in the region and at the line of `node`: a pass that
    /// derives many nodes from one, such as its gradient, says so.
    pub fn in_place_of<R>(&self, node: &Node, build: impl FnOnce() -> R) -> R {
        self.in_origin(node.region, Some(node.location), build)
    }

    fn in_origin<R>(
        &self,
        region: Region,
        location: Option<&'static Location<'static>>,
        build: impl FnOnce() -> R,
    ) -> R {
        let swap = |region, location| {
            let mut arena = self.arena.borrow_mut();
            let region = std::mem::replace(&mut arena.region, region);
            (region, std::mem::replace(&mut arena.location, location))
        };
        let (outer_region, outer_location) = swap(region, location);
        let result = build();
        swap(outer_region, outer_location);
        result
    }

    /// The function that computes `outputs` and then replaces each parameter in `updates`.
    ///
    /// Only reachable nodes are kept. The order of outputs and updates is the callers'.
    ///
    /// # Panics
    /// At the caller's line, where [`try_function`](Graph::try_function) gives an error.
    #[track_caller]
    pub fn function<'n>(
        &self,
        outputs: impl IntoIterator<Item = (&'n str, NodeId)>,
        updates: impl IntoIterator<Item = (NodeId, NodeId)>,
    ) -> Function {
        match self.try_function(outputs, updates) {
            Ok(function) => function,
            Err(error) => error.raise(),
        }
    }

    /// [`function`](Graph::function), with an error instead of a panic.
    ///
    /// # Errors
    /// If a node is none of this graph or has several results, two outputs have one name, an
    /// updated node is no parameter or is updated twice, or its new value has another type.
    pub fn try_function<'n>(
        &self,
        outputs: impl IntoIterator<Item = (&'n str, NodeId)>,
        updates: impl IntoIterator<Item = (NodeId, NodeId)>,
    ) -> Result<Function, TypeError> {
        // What is given may still be building nodes: an iterator does as it is walked.
        let outputs = outputs.into_iter().map(|(name, id)| (name.to_string(), id));
        let (outputs, updates): (Vec<_>, Vec<_>) =
            (outputs.collect(), updates.into_iter().collect());
        let arena = self.arena.borrow();
        let pairs = updates.iter().flat_map(|&(old, new)| [old, new]);
        for id in outputs.iter().map(|output| output.1).chain(pairs) {
            if !self.has(&arena, id) {
                return Err(self.strange("function", id));
            }
        }
        Function::reachable(&arena.nodes, outputs, updates)
    }
}

pub(crate) const ONE_GRAPH: &str = "build everything that belongs together from one `Graph`";
