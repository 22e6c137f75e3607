//! The order of groups: operands first, updates as early as possible but after every other
//! reader of the parameter that they overwrite, and what is computed again right before its reader.

use super::{Group, Role, Schedule, role};
use bsq_ir::{Function, NodeId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Elements of results that take no memory worth waiting for.
const SMALL: usize = 64;

/// When groups run, and which updates may be in place then.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Positions in [`Schedule::groups`], first to last.
    pub groups: Vec<usize>,
    /// The parameter that each value replaces, every other reader of which runs before. A value
    /// replaces one parameter at most.
    pub in_place: BTreeMap<NodeId, NodeId>,
}

/// The order of a schedule's groups. Values in `apart` replace no parameter. Groups of
/// `rematerialized` nodes are deferred until a reader waits for nothing else.
pub fn order(
    function: &Function,
    schedule: &Schedule,
    rematerialized: &BTreeSet<NodeId>,
    apart: &BTreeSet<NodeId>,
) -> Order {
    let count = schedule.groups.len();
    let mut group_of = vec![None; function.nodes().len()];
    for (index, group) in schedule.groups.iter().enumerate() {
        for member in &group.members {
            group_of[member.index()] = Some(index);
        }
    }
    let mut edges: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); count];
    let mut reads: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); function.nodes().len()];
    for (index, group) in schedule.groups.iter().enumerate() {
        for &member in &group.members {
            let operands = function.node(member).operands.iter().copied();
            for operand in operands.chain(schedule.widened.factors(function, member)) {
                let source = source(function, schedule, operand);
                match group_of[source.index()] {
                    Some(from) if from != index => {
                        edges[from].insert(index);
                    }
                    Some(_) => {}
                    None => {
                        reads[source.index()].insert(index);
                    }
                }
            }
        }
    }
    let deferred = |group: &Group| {
        let mut members = group.members.iter();
        group.anchor.is_none() && members.any(|member| rematerialized.contains(member))
    };
    let deferred: Vec<bool> = schedule.groups.iter().map(deferred).collect();
    let mut in_place = BTreeMap::new();
    // Scalars such as a learning rate are at hand before the updates that wait for them.
    let is_small = |group: &Group| {
        let materialized = group.materialized.iter();
        let elements = materialized.map(|&id| function.node(id).types[0].shape.elements());
        elements.sum::<usize>() <= SMALL
    };
    let mut urgent: Vec<bool> = schedule.groups.iter().map(is_small).collect();
    for &(parameter, value) in function.updates() {
        let Some(writer) = group_of[value.index()] else {
            continue;
        };
        urgent[writer] = true;
        if apart.contains(&value) || in_place.contains_key(&value) {
            continue;
        }
        let others: Vec<usize> = reads[parameter.index()]
            .iter()
            .copied()
            .filter(|&reader| reader != writer)
            .collect();
        // A reader that needs the new value would wait for itself.
        if others
            .iter()
            .all(|&reader| !reaches(&edges, writer, reader))
        {
            for reader in others {
                edges[reader].insert(writer);
            }
            in_place.insert(value, parameter);
        }
    }
    Order {
        groups: sorted(schedule, &edges, &urgent, &deferred),
        in_place,
    }
}

/// The node that a reader's address finally leads to.
fn source(function: &Function, schedule: &Schedule, mut id: NodeId) -> NodeId {
    loop {
        if let Some(narrow) = schedule.widened.view_of(id) {
            id = narrow;
            continue;
        }
        let node = function.node(id);
        let through = match role(&node.op) {
            Role::View => !schedule.materialized[id.index()],
            Role::Projection => true,
            _ => false,
        };
        match through {
            true => id = node.operands[0],
            false => return id,
        }
    }
}

fn reaches(edges: &[BTreeSet<usize>], from: usize, to: usize) -> bool {
    let (mut visited, mut pending) = (BTreeSet::new(), vec![from]);
    while let Some(group) = pending.pop() {
        if group == to {
            return true;
        }
        if visited.insert(group) {
            pending.extend(&edges[group]);
        }
    }
    false
}

/// Topological order: among groups that are ready, urgent ones first, then the model's own order.
fn sorted(
    schedule: &Schedule,
    edges: &[BTreeSet<usize>],
    urgent: &[bool],
    deferred: &[bool],
) -> Vec<usize> {
    // What a group waits for: how many groups, and how many deferred ones that it reads.
    let (mut waiting, mut for_deferred) = (vec![0usize; edges.len()], vec![0usize; edges.len()]);
    edges.iter().flatten().for_each(|&to| waiting[to] += 1);
    let mut deferred_operands: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for group in (0..edges.len()).filter(|&group| deferred[group]) {
        for &reader in &edges[group] {
            for_deferred[reader] += 1;
            deferred_operands[reader].push(group);
        }
    }
    let key = |group: usize| {
        let last = schedule.groups[group]
            .members
            .last()
            .map_or(0, |member| member.index());
        // A deferred group runs for the sake of a reader, which waits for nothing else.
        let urgent = match deferred[group] {
            true => edges[group].iter().any(|&reader| urgent[reader]),
            false => urgent[group],
        };
        Reverse((!urgent, last, group))
    };
    let mut ready = BinaryHeap::new();
    let mut order = Vec::with_capacity(edges.len());
    let mut queued = vec![false; edges.len()];
    // Groups of which something has changed: they, or what they wait for, may be ready now.
    let mut changed: Vec<usize> = (0..edges.len()).collect();
    loop {
        for group in changed.drain(..) {
            let candidates = match waiting[group] {
                0 => std::slice::from_ref(&group),
                _ => &deferred_operands[group],
            };
            for &candidate in candidates {
                let wanted = |&reader: &usize| waiting[reader] == for_deferred[reader];
                let is_wanted = !deferred[candidate] || edges[candidate].iter().any(wanted);
                let is_ready = waiting[candidate] == 0 && is_wanted;
                if is_ready && !queued[candidate] {
                    queued[candidate] = true;
                    ready.push(key(candidate));
                }
            }
        }
        let Some(Reverse((_, _, group))) = ready.pop() else {
            // What its reader waits for may wait for a deferred group: then that waits no longer.
            let stuck = |group: &usize| waiting[*group] == 0 && !queued[*group];
            let Some(group) = (0..edges.len())
                .filter(stuck)
                .max_by_key(|&group| key(group))
            else {
                break;
            };
            queued[group] = true;
            ready.push(key(group));
            continue;
        };
        order.push(group);
        for &to in &edges[group] {
            waiting[to] -= 1;
            for_deferred[to] -= usize::from(deferred[group]);
            changed.push(to);
        }
    }
    assert_eq!(
        order.len(),
        edges.len(),
        "groups depend on one another in a circle"
    );
    order
}
