//! Positions of nodes, which remember the graph that gave them out.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A node's position in its graph or function.
///
/// An id remembers the graph that gave it out, so that another graph can refuse it; ids of a
/// finished function belong to no graph. Two ids are equal if their positions are.
#[derive(Clone, Copy)]
pub struct NodeId {
    index: u32,
    graph: GraphTag,
}

/// Tells graphs apart; [`GraphTag::NONE`] is no graph.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct GraphTag(u32);

impl GraphTag {
    pub const NONE: GraphTag = GraphTag(0);

    /// A tag that no other living graph has.
    pub fn next() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        GraphTag(LAST.fetch_add(1, Relaxed).wrapping_add(1))
    }
}

impl NodeId {
    pub fn new(index: usize) -> Self {
        NodeId::in_graph(index, GraphTag::NONE)
    }

    pub(super) fn in_graph(index: usize, graph: GraphTag) -> Self {
        let index = u32::try_from(index).expect("fewer than 2^32 nodes");
        NodeId { index, graph }
    }

    pub fn index(self) -> usize {
        self.index as usize
    }

    /// Whether the id may be one of the graph's: it came from there, or from no graph.
    pub(super) fn may_belong_to(self, graph: GraphTag) -> bool {
        self.graph == graph || self.graph == GraphTag::NONE
    }
}

impl PartialEq for NodeId {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl Eq for NodeId {}

impl PartialOrd for NodeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NodeId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.index.cmp(&other.index)
    }
}

impl Hash for NodeId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.index.hash(state);
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.index)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.index)
    }
}
