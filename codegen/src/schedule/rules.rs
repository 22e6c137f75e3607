//! The rules by which a node joins the group that reads it.

use super::{Group, Role, Schedule, Widenings, role};
use bsq_ir::{Function, NodeId, Op};
use std::collections::BTreeSet;

/// Nodes of a group at most. The time to compile a kernel grows faster than its length, and its
/// values are computed recursively: longer chains are several kernels.
const MOST_MEMBERS: usize = 256;

/// A group that grows towards the inputs.
#[derive(Default)]
struct Growing {
    members: Vec<NodeId>,
    anchor: Option<NodeId>,
    /// Elements of the largest thing that the group runs over.
    full: usize,
    /// Elements of the reductions' results, if there are any.
    rows: Option<usize>,
    /// Reductions run over outer axes: lanes lie along columns.
    columns: bool,
}

pub(super) struct Grouping<'f> {
    function: &'f Function,
    requested: &'f BTreeSet<NodeId>,
    widened: Widenings,
    groups: Vec<Growing>,
    group_of: Vec<Option<usize>>,
    /// Computing nodes that read each node, through views.
    readers: Vec<Vec<NodeId>>,
    /// True for nodes that leave the function or that an anchor reads.
    must_materialize: Vec<bool>,
}

impl<'f> Grouping<'f> {
    pub(super) fn new(
        function: &'f Function,
        requested: &'f BTreeSet<NodeId>,
        widened: Widenings,
    ) -> Self {
        let count = function.nodes().len();
        let mut grouping = Grouping {
            function,
            requested,
            widened,
            groups: Vec::new(),
            group_of: vec![None; count],
            readers: vec![Vec::new(); count],
            must_materialize: vec![false; count],
        };
        for root in function.roots() {
            let source = grouping.source(root);
            grouping.must_materialize[source.index()] = true;
        }
        for (id, node) in function.iter() {
            let role = grouping.role(id);
            if matches!(role, Role::Leaf | Role::View | Role::Projection) {
                continue;
            }
            for &operand in &node.operands {
                let source = grouping.source(operand);
                grouping.readers[source.index()].push(id);
                let stores = match role {
                    Role::Anchor => true,
                    // Elements at run-time positions are read from memory.
                    _ => {
                        node.op.family() == bsq_ir::op::Family::Indexing
                            && operand == node.operands[0]
                    }
                };
                grouping.must_materialize[source.index()] |= stores;
            }
            let factors: Vec<NodeId> = grouping.widened.factors(function, id).collect();
            for factor in factors {
                let source = grouping.source(factor);
                grouping.readers[source.index()].push(id);
                grouping.must_materialize[source.index()] = true;
            }
        }
        grouping
    }

    fn role(&self, id: NodeId) -> Role {
        match role(&self.function.node(id).op) {
            Role::View if self.requested.contains(&id) => Role::Map,
            _ if self.widened.view_of(id).is_some() => Role::View,
            role => role,
        }
    }

    /// The node that computes what a view shows.
    fn source(&self, mut id: NodeId) -> NodeId {
        while self.role(id) == Role::View {
            let narrow = self.widened.view_of(id);
            id = narrow.unwrap_or_else(|| self.function.node(id).operands[0]);
        }
        id
    }

    fn elements(&self, id: NodeId) -> usize {
        self.function.node(id).types[0].shape.elements()
    }

    /// Puts a node into a group; all its readers have one already.
    pub(super) fn place(&mut self, id: NodeId) {
        let role = self.role(id);
        if matches!(role, Role::Leaf | Role::View | Role::Projection) {
            return;
        }
        let mut readers: Vec<usize> = self.readers[id.index()]
            .iter()
            .filter_map(|reader| self.group_of[reader.index()])
            .collect();
        readers.sort_unstable();
        readers.dedup();
        let materialized = self.must_materialize[id.index()] || self.requested.contains(&id);
        // The latest group runs first: what joins it is at hand soonest, and waits for no other.
        let chosen = readers.iter().rev().copied().find(|&group| {
            let alone = readers.len() == 1 && !materialized;
            self.fits(id, role, group, alone) && (alone || self.acyclic(id, group, &readers))
        });
        let group = chosen.unwrap_or_else(|| {
            self.groups.push(Growing::default());
            self.groups.len() - 1
        });
        self.join(id, role, group);
    }

    fn join(&mut self, id: NodeId, role: Role, group: usize) {
        let (elements, operand) = (self.elements(id), self.function.node(id).operands.first());
        let full = match (role, operand) {
            (Role::Reduction, Some(&operand)) => self.elements(operand),
            _ => elements,
        };
        let columns = role == Role::Reduction && !self.along_rows(id);
        let growing = &mut self.groups[group];
        growing.members.push(id);
        growing.full = growing.full.max(full);
        match role {
            Role::Reduction => {
                growing.rows = Some(elements);
                growing.columns |= columns;
            }
            Role::Anchor => growing.anchor = Some(id),
            _ => {}
        }
        self.group_of[id.index()] = Some(group);
    }

    /// True if the group's loops suit the node. `alone`: nobody else needs its value, so that it
    /// may be computed again and again.
    fn fits(&self, id: NodeId, role: Role, group: usize, alone: bool) -> bool {
        let group = &self.groups[group];
        let elements = self.elements(id);
        let op = &self.function.node(id).op;
        match role {
            _ if self.requested.contains(&id) || group.members.len() >= MOST_MEMBERS => false,
            Role::Anchor => {
                matches!(op, Op::DotGeneral(_))
                    && group.anchor.is_none()
                    && group.rows.is_none()
                    && elements == group.full
            }
            // An anchor's operands are materialized before it starts.
            _ if group.anchor.is_some_and(|anchor| {
                !self.has_epilogue(anchor) || self.readers[id.index()].contains(&anchor)
            }) =>
            {
                false
            }
            Role::Reduction => {
                let full = self.elements(self.function.node(id).operands[0]);
                let same_loops = match group.rows {
                    Some(rows) => rows == elements && group.full == full,
                    None => group.full == elements || group.full == full,
                };
                // With few results there is little to run in parallel: the rest waits elsewhere.
                let parallel = group.full == elements || elements >= 32 || full <= 16_384;
                group.anchor.is_none() && same_loops && parallel
            }
            // Down a column every access is another cache line: no place for real work.
            _ if group.columns && elements == group.full => alone && is_cheap(op),
            _ if elements == group.full => true,
            _ if elements > group.full => false,
            _ if group.rows == Some(elements) => true,
            _ if group.anchor.is_none() && self.summarises(id, group.full, 12) => true,
            _ => alone && is_cheap(op),
        }
    }

    fn has_epilogue(&self, anchor: NodeId) -> bool {
        matches!(self.function.node(anchor).op, Op::DotGeneral(_))
    }

    /// True if a reduction runs over the last axis.
    fn along_rows(&self, id: NodeId) -> bool {
        let node = self.function.node(id);
        let rank = self.function.node(node.operands[0]).types[0].shape.rank();
        match &node.op {
            Op::Sum(axes) | Op::ReduceMax(axes) => axes.last() == Some(&(rank - 1)),
            _ => true,
        }
    }

    /// True if a small node is computed from a reduction over `full` elements.
    fn summarises(&self, id: NodeId, full: usize, depth: usize) -> bool {
        let node = self.function.node(id);
        let elements = self.elements(id);
        depth > 0
            && node.operands.iter().any(|&operand| {
                let source = self.source(operand);
                match self.role(source) {
                    Role::Reduction => {
                        let from = self.elements(self.function.node(source).operands[0]);
                        from == full && self.elements(source) == elements
                    }
                    Role::Map => {
                        self.elements(source) == elements
                            && self.summarises(source, full, depth - 1)
                    }
                    _ => false,
                }
            })
    }

    /// True if no other reader of `id` is needed before `group` can run.
    fn acyclic(&self, id: NodeId, group: usize, readers: &[usize]) -> bool {
        let mut visited = BTreeSet::new();
        let mut pending: Vec<NodeId> = self.groups[group].members.clone();
        let lowest = id.index();
        while let Some(member) = pending.pop() {
            let operands = self.function.node(member).operands.iter().copied();
            for operand in operands.chain(self.widened.factors(self.function, member)) {
                let mut source = self.source(operand);
                while self.role(source) == Role::Projection {
                    source = self.source(self.function.node(source).operands[0]);
                }
                let Some(other) = self.group_of[source.index()] else {
                    continue;
                };
                if other == group || source.index() < lowest || !visited.insert(other) {
                    continue;
                }
                if readers.contains(&other) {
                    return false;
                }
                pending.extend(&self.groups[other].members);
            }
        }
        true
    }

    pub(super) fn finish(self) -> Schedule {
        let count = self.function.nodes().len();
        let mut materialized = vec![false; count];
        for (id, node) in self.function.iter() {
            let outside =
                |reader: &NodeId| self.group_of[reader.index()] != self.group_of[id.index()];
            materialized[id.index()] = match self.role(id) {
                Role::Leaf => {
                    !matches!(&node.op, Op::Iota { .. })
                        && !matches!(&node.op, Op::Constant(constant) if constant.splat_element().is_some())
                }
                Role::View => false,
                Role::Projection => true,
                Role::Anchor => {
                    node.types.len() == 1
                        && (self.must_materialize[id.index()]
                            || self.requested.contains(&id)
                            || !self.has_epilogue(id)
                            || self.readers[id.index()].iter().any(outside))
                }
                Role::Map | Role::Reduction => {
                    self.must_materialize[id.index()]
                        || self.requested.contains(&id)
                        || self.readers[id.index()].iter().any(outside)
                }
            };
        }
        let groups = self.groups.into_iter().map(|growing| {
            let mut members = growing.members;
            members.sort_unstable();
            let kept = members
                .iter()
                .copied()
                .filter(|id| materialized[id.index()])
                .collect();
            Group {
                members,
                anchor: growing.anchor,
                materialized: kept,
            }
        });
        Schedule {
            groups: groups.collect(),
            materialized,
            widened: self.widened,
        }
    }
}

/// True for ops that cost about as much as a load.
fn is_cheap(op: &Op) -> bool {
    !matches!(
        op,
        Op::Exp
            | Op::Log
            | Op::Sqrt
            | Op::Tanh
            | Op::Erf
            | Op::Sin
            | Op::Cos
            | Op::Div
            | Op::Gather { .. }
    )
}
