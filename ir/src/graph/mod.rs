//! The graph under construction, and the finished function that passes read.
//!
//! A [`Graph`] is an arena of hash-consed nodes in topological order: a node's operands exist
//! before it, equal nodes are one node, and nothing is ever changed. A [`Function`] is what is
//! reachable from chosen outputs and parameter updates.

mod function;

use crate::dtype::DType;
use crate::op::infer::{Types, infer};
use crate::op::{Op, TypeError};
use crate::shape::{Shape, Type};
pub use function::Function;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;

/// A node's position in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    pub fn new(index: usize) -> Self {
        NodeId(u32::try_from(index).expect("fewer than 2^32 nodes"))
    }

    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

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
    /// Where new nodes go.
    region: Region,
    /// The line that new nodes point at, if it is not the line that asks for them.
    location: Option<&'static Location<'static>>,
    /// The highest region so far.
    regions: u32,
}

/// A graph that grows while it is shared: all methods take `&self`.
#[derive(Default)]
pub struct Graph {
    arena: RefCell<Arena>,
}

impl Graph {
    pub fn new() -> Self {
        Graph::default()
    }

    /// Adds a node, or finds the equal one.
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
        let id = NodeId::new(arena.nodes.len());
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

    /// A copy of a node.
    pub fn node(&self, id: NodeId) -> Node {
        self.arena.borrow().nodes[id.index()].clone()
    }

    /// The type of a node's only result.
    pub fn ty(&self, id: NodeId) -> Type {
        self.arena.borrow().nodes[id.index()].ty().clone()
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
    /// If an updated node is not a parameter, or its new value has another type.
    pub fn function<'n>(
        &self,
        outputs: impl IntoIterator<Item = (&'n str, NodeId)>,
        updates: impl IntoIterator<Item = (NodeId, NodeId)>,
    ) -> Function {
        let arena = self.arena.borrow();
        let outputs = outputs.into_iter().map(|(name, id)| (name.to_string(), id));
        Function::reachable(
            &arena.nodes,
            outputs.collect(),
            updates.into_iter().collect(),
        )
    }
}
