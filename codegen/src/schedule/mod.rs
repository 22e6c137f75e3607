//! Which nodes run together: groups of nodes that become one kernel each.
//!
//! Walking from the results to the inputs, a node joins the group that reads it when that costs
//! no more than it saves: elementwise nodes and row reductions fuse into one another, and a
//! contraction takes the elementwise nodes that follow it as its epilogue. What crosses a border
//! between groups is materialized; movement ops never are by themselves, but are folded into the
//! addresses of their readers.

mod display;
mod order;
mod rules;
mod widened;

pub use display::Groups;
pub use order::{Order, order};
pub use widened::{Widening, Widenings};

use bsq_ir::op::Family;
use bsq_ir::{Function, NodeId, Op};
use std::collections::BTreeSet;

/// Nodes that run in one kernel.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Ascending, so operands come before users.
    pub members: Vec<NodeId>,
    /// The contraction, or other op that brings its loops, that drives the kernel.
    pub anchor: Option<NodeId>,
    /// Members that are materialized, ascending; the last is the root.
    pub materialized: Vec<NodeId>,
}

/// The groups of a function, and which nodes are materialized.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub groups: Vec<Group>,
    pub materialized: Vec<bool>,
    /// Operands of contractions that stay in the narrower format they are widened from.
    pub widened: Widenings,
}

/// What a node is to the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Has a buffer before the program starts, or is made on the spot from indices.
    Leaf,
    /// Folded into addresses.
    View,
    /// One element of the result from one of each operand.
    Map,
    Reduction,
    /// Brings its own loops; its operands are materialized.
    Anchor,
    /// One result of an anchor.
    Projection,
}

pub(crate) fn role(op: &Op) -> Role {
    match op {
        Op::Pad(_) | Op::Concat { .. } => Role::Anchor,
        Op::Sum(_) | Op::ReduceMax(_) => Role::Reduction,
        Op::StopGradient | Op::OptimizationBarrier => Role::View,
        Op::Gather { .. } | Op::DynamicSlice { .. } => Role::Map,
        _ => match op.family() {
            Family::Leaf => Role::Leaf,
            Family::Elementwise => Role::Map,
            Family::Movement => Role::View,
            Family::Reduction | Family::Contraction | Family::Indexing => Role::Anchor,
            Family::Fused => Role::Anchor,
            Family::Projection => Role::Projection,
        },
    }
}

/// Groups the nodes of a function. Nodes in `requested` are materialized whatever the rules say.
/// With `narrow`, contractions may take both operands in a narrower format.
pub fn schedule(function: &Function, requested: &BTreeSet<NodeId>, narrow: bool) -> Schedule {
    let widened = Widenings::find(function, requested, narrow);
    let mut grouping = rules::Grouping::new(function, requested, widened);
    for (id, _) in function.iter().rev() {
        grouping.place(id);
    }
    grouping.finish()
}
