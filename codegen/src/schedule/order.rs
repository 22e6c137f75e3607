//! The order of groups: operands first, updates as early as possible but after every other
//! reader of the parameter that they overwrite.

use super::{Role, Schedule, role};
use bsq_ir::{Function, NodeId};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Positions of groups in the order in which they run, and the updates that may be in place:
/// every other reader of the parameter runs before.
pub fn order(function: &Function, schedule: &Schedule) -> (Vec<usize>, BTreeSet<NodeId>) {
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
    let mut in_place = BTreeSet::new();
    let mut updating = vec![false; count];
    for &(parameter, value) in function.updates() {
        let Some(writer) = group_of[value.index()] else {
            continue;
        };
        updating[writer] = true;
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
            in_place.insert(value);
        }
    }
    (sorted(schedule, &edges, &updating), in_place)
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
            Role::View => !schedule.stored[id.index()],
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

/// Topological order: among groups that are ready, updates first, then the model's own order.
fn sorted(schedule: &Schedule, edges: &[BTreeSet<usize>], updating: &[bool]) -> Vec<usize> {
    let mut waiting = vec![0usize; edges.len()];
    edges.iter().flatten().for_each(|&to| waiting[to] += 1);
    let key = |group: usize| {
        let last = schedule.groups[group]
            .members
            .last()
            .map_or(0, |member| member.index());
        Reverse((!updating[group], last, group))
    };
    let mut ready: BinaryHeap<_> = (0..edges.len())
        .filter(|&g| waiting[g] == 0)
        .map(key)
        .collect();
    let mut order = Vec::with_capacity(edges.len());
    while let Some(Reverse((_, _, group))) = ready.pop() {
        order.push(group);
        for &to in &edges[group] {
            waiting[to] -= 1;
            if waiting[to] == 0 {
                ready.push(key(to));
            }
        }
    }
    assert_eq!(
        order.len(),
        edges.len(),
        "groups depend on one another in a circle"
    );
    order
}
