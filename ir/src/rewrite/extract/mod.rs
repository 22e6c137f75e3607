//! Extraction: one member for every class that is needed, so that the whole costs least.
//!
//! A class is paid for once, however many read it: costs are those of a graph, not of a tree. A
//! greedy start is improved by changing one choice at a time, and by changing all classes that
//! read one op with several results at once: such ops pay off only together.

mod greedy;
mod improve;

use super::cost::CostModel;
use super::egraph::{Classes, ENode};
use crate::op::Op;
use crate::shape::Type;
use egg::{Id, Language};
use std::collections::HashMap;

/// A member that may stand for its class.
struct Candidate {
    op: Op,
    operands: Vec<usize>,
    cost: f64,
    /// All operands can be computed.
    usable: bool,
}

/// The chosen members of the needed classes, operands first.
#[derive(Clone, Debug, Default)]
pub struct Extraction {
    /// Class, op, and operands as positions in this list.
    pub nodes: Vec<(Id, Op, Vec<usize>)>,
    /// Positions of the roots.
    pub roots: Vec<usize>,
}

/// The cheapest program found for `roots`. `order` holds the classes of the original program's
/// nodes, operands first.
pub fn extract(classes: &Classes, roots: &[Id], order: &[Id], costs: &CostModel) -> Extraction {
    let mut search = Search::new(classes, roots, order, costs);
    // A choice may pay off only once another one is made, and need not be among those that improving
    // looks at again: a forward pass whose inner values its backward pass no longer reads.
    loop {
        let before = search.state.cost;
        search.improve(0..search.ids.len());
        search.regroup();
        if search.state.cost >= before * (1.0 - LEAST_GAIN) {
            break;
        }
    }
    search.result()
}

struct Search<'a> {
    classes: &'a Classes,
    ids: Vec<Id>,
    candidates: Vec<Vec<Candidate>>,
    /// For each class: those with a candidate that reads it.
    users: Vec<Vec<usize>>,
    roots: Vec<usize>,
    state: State,
    /// Classes that have come into the chosen graph or left it since this was last cleared.
    moved: Vec<usize>,
}

/// A choice for every class, and what it costs.
#[derive(Clone)]
struct State {
    /// The candidate of each class; [`NONE`] where none can be computed.
    choice: Vec<usize>,
    /// How often the chosen graph reads each class; a class that is not read costs nothing.
    readers: Vec<u32>,
    cost: f64,
}

const NONE: usize = usize::MAX;
/// Gains below this are rounding errors of the cost.
const LEAST_GAIN: f64 = 1e-9;

impl<'a> Search<'a> {
    fn new(classes: &'a Classes, roots: &[Id], order: &[Id], costs: &CostModel) -> Self {
        let mut ids: Vec<Id> = classes.classes().map(|class| class.id).collect();
        ids.sort_unstable();
        let place: HashMap<Id, usize> = ids.iter().enumerate().map(|(i, &id)| (id, i)).collect();
        let at = |id: &Id| place[&classes.find(*id)];
        let candidate = |node: &ENode, id: Id| {
            let types = |id: &Id| &classes[*id].data.types[..];
            let operands: Vec<&[Type]> = node.children().iter().map(types).collect();
            Candidate {
                cost: costs.of(&node.op, &operands, &classes[id].data.types),
                op: node.op.clone(),
                operands: node.children().iter().map(at).collect(),
                usable: true,
            }
        };
        let mut candidates: Vec<Vec<Candidate>> = Vec::with_capacity(ids.len());
        for &id in &ids {
            let mut nodes: Vec<&ENode> = classes[id].nodes.iter().collect();
            nodes.sort();
            candidates.push(nodes.into_iter().map(|node| candidate(node, id)).collect());
        }
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); ids.len()];
        for (class, candidates) in candidates.iter().enumerate() {
            for &operand in candidates.iter().flat_map(|candidate| &candidate.operands) {
                if users[operand].last() != Some(&class) {
                    users[operand].push(class);
                }
            }
        }
        let state = State {
            choice: vec![NONE; ids.len()],
            readers: vec![0; ids.len()],
            cost: 0.0,
        };
        let mut search = Search {
            classes,
            roots: roots.iter().map(at).collect(),
            state,
            ids,
            candidates,
            users,
            moved: Vec::new(),
        };
        search.greedy();
        search.start_from_better(&order.iter().map(at).collect::<Vec<_>>());
        search
    }

    fn has_cycle(&self) -> bool {
        self.ordered().is_none()
    }

    /// The classes that the roots need, operands first; `None` for a cycle.
    fn ordered(&self) -> Option<Vec<usize>> {
        const OPEN: u8 = 1;
        const DONE: u8 = 2;
        let mut marks = vec![0u8; self.ids.len()];
        let mut order = Vec::new();
        let mut stack: Vec<(usize, usize)> = Vec::new();
        for &root in &self.roots {
            stack.push((root, 0));
            while let Some((class, operand)) = stack.pop() {
                if operand == 0 {
                    match marks[class] {
                        DONE => continue,
                        OPEN => return None,
                        _ => marks[class] = OPEN,
                    }
                }
                let candidate = &self.candidates[class][self.state.choice[class]];
                match candidate.operands.get(operand) {
                    Some(&next) => {
                        stack.push((class, operand + 1));
                        stack.push((next, 0));
                    }
                    None => {
                        marks[class] = DONE;
                        order.push(class);
                    }
                }
            }
        }
        Some(order)
    }

    fn result(self) -> Extraction {
        let order = self.ordered().expect("only acyclic choices are kept");
        let mut place = vec![NONE; self.ids.len()];
        let mut nodes = Vec::with_capacity(order.len());
        for (position, &class) in order.iter().enumerate() {
            place[class] = position;
            let candidate = &self.candidates[class][self.state.choice[class]];
            let operands = candidate.operands.iter().map(|&x| place[x]).collect();
            let id = self.classes.find(self.ids[class]);
            nodes.push((id, candidate.op.clone(), operands));
        }
        let roots = self.roots.iter().map(|&class| place[class]).collect();
        Extraction { nodes, roots }
    }
}
