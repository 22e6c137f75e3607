//! Extraction: one member for every class that is needed, so that the whole costs least.
//!
//! A class is paid for once, however many read it: costs are those of a graph, not of a tree. A
//! greedy start is improved by changing one choice at a time, and by changing all classes that
//! read one op with several results at once: such ops pay off only together.

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
    search.improve();
    search.regroup();
    search.result()
}

struct Search<'a> {
    classes: &'a Classes,
    ids: Vec<Id>,
    candidates: Vec<Vec<Candidate>>,
    roots: Vec<usize>,
    state: State,
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
        };
        search.greedy();
        search.start_from_better(&order.iter().map(at).collect::<Vec<_>>());
        search
    }

    /// For every class the member whose graph costs least by itself, until nothing changes.
    fn greedy(&mut self) {
        let words = self.ids.len().div_ceil(64);
        let mut sets: Vec<Option<Vec<u64>>> = vec![None; self.ids.len()];
        let mut best = vec![f64::INFINITY; self.ids.len()];
        for _ in 0..64 {
            let mut changed = false;
            for class in 0..self.ids.len() {
                for index in 0..self.candidates[class].len() {
                    let candidate = &self.candidates[class][index];
                    let mut set = vec![0u64; words];
                    let ready = candidate.operands.iter().all(|&operand| {
                        let below = sets[operand].as_ref();
                        for (word, below) in set.iter_mut().zip(below.into_iter().flatten()) {
                            *word |= below;
                        }
                        below.is_some()
                    });
                    if !ready || set[class / 64] >> (class % 64) & 1 == 1 {
                        continue;
                    }
                    let cost = candidate.cost + self.cost_of_set(&set);
                    if cost < best[class] * (1.0 - LEAST_GAIN) {
                        set[class / 64] |= 1 << (class % 64);
                        (best[class], self.state.choice[class]) = (cost, index);
                        sets[class] = Some(set);
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
    }

    fn cost_of_set(&self, set: &[u64]) -> f64 {
        let mut cost = 0.0;
        for (index, &word) in set.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                let class = index * 64 + left.trailing_zeros() as usize;
                cost += self.candidates[class][self.state.choice[class]].cost;
                left &= left - 1;
            }
        }
        cost
    }

    /// Counts readers and cost of the greedy choice, or of the original program if that is
    /// cheaper. There the first node of each class reads only what comes before it, so it has no
    /// cycles; the greedy choice has hardly ever one.
    fn start_from_better(&mut self, order: &[usize]) {
        for class in 0..self.ids.len() {
            let choice = &self.state.choice;
            let known =
                |candidate: &Candidate| candidate.operands.iter().all(|&x| choice[x] != NONE);
            let keep: Vec<bool> = self.candidates[class].iter().map(known).collect();
            debug_assert!(choice[class] == NONE || keep[choice[class]]);
            // Candidates keep their places: what cannot be computed is only never chosen.
            for (candidate, keep) in self.candidates[class].iter_mut().zip(keep) {
                candidate.usable = keep;
            }
        }
        let mut original = self.state.clone();
        let mut known = vec![false; self.ids.len()];
        for &class in order {
            let is_first = |candidate: &Candidate| candidate.operands.iter().all(|&x| known[x]);
            if !known[class]
                && let Some(first) = self.candidates[class].iter().position(is_first)
            {
                original.choice[class] = first;
                known[class] = true;
            }
        }
        let greedy = self.state.clone();
        self.state = original;
        self.count();
        let original = std::mem::replace(&mut self.state, greedy);
        if self.has_cycle() {
            self.state = original;
            return;
        }
        self.count();
        if original.cost < self.state.cost {
            self.state = original;
        }
    }

    fn count(&mut self) {
        self.state.readers.fill(0);
        self.state.cost = 0.0;
        for root in self.roots.clone() {
            self.acquire(root);
        }
    }

    /// Adds a reader of a class; the first one pays for it and reads its operands.
    fn acquire(&mut self, class: usize) {
        let mut stack = vec![class];
        while let Some(class) = stack.pop() {
            self.state.readers[class] += 1;
            if self.state.readers[class] == 1 {
                let candidate = &self.candidates[class][self.state.choice[class]];
                self.state.cost += candidate.cost;
                stack.extend(&candidate.operands);
            }
        }
    }

    /// Takes a reader away again.
    fn release(&mut self, class: usize) {
        let mut stack = vec![class];
        while let Some(class) = stack.pop() {
            self.state.readers[class] -= 1;
            if self.state.readers[class] == 0 {
                let candidate = &self.candidates[class][self.state.choice[class]];
                self.state.cost -= candidate.cost;
                stack.extend(&candidate.operands);
            }
        }
    }

    fn switch(&mut self, class: usize, index: usize) {
        let old = std::mem::replace(&mut self.state.choice[class], index);
        if self.state.readers[class] == 0 {
            return;
        }
        for operand in self.candidates[class][index].operands.clone() {
            self.acquire(operand);
        }
        for operand in self.candidates[class][old].operands.clone() {
            self.release(operand);
        }
        let candidates = &self.candidates[class];
        self.state.cost += candidates[index].cost - candidates[old].cost;
    }

    /// Changes single choices while that makes the whole cheaper.
    fn improve(&mut self) {
        let mut changed = true;
        while changed {
            changed = false;
            for class in 0..self.ids.len() {
                for index in 0..self.candidates[class].len() {
                    let kept = self.state.choice[class];
                    let usable = self.candidates[class][index].usable;
                    if self.state.readers[class] == 0 || index == kept || !usable {
                        continue;
                    }
                    let cost = self.state.cost;
                    self.switch(class, index);
                    if self.state.cost < cost * (1.0 - LEAST_GAIN) && !self.has_cycle() {
                        changed = true;
                    } else {
                        self.switch(class, kept);
                        self.state.cost = cost;
                    }
                }
            }
        }
    }

    /// For each op with several results: all classes that could read it do, or none does.
    fn regroup(&mut self) {
        for tuple in 0..self.ids.len() {
            let several = |candidate: &Candidate| candidate.op.results() > 1;
            if !self.candidates[tuple].iter().any(several) {
                continue;
            }
            let readers = self.readers_of_tuple(tuple);
            for together in [true, false] {
                let before = self.state.clone();
                for &(class, index) in &readers {
                    let others = &self.candidates[class];
                    let other = |other: &usize| {
                        others[*other].usable && !readers.contains(&(class, *other))
                    };
                    if together {
                        self.switch(class, index);
                    } else if self.state.choice[class] == index
                        && let Some(other) = (0..others.len()).find(other)
                    {
                        self.switch(class, other);
                    }
                }
                if self.state.choice == before.choice || self.has_cycle() {
                    self.state = before;
                    continue;
                }
                self.improve();
                if self.state.cost >= before.cost * (1.0 - LEAST_GAIN) {
                    self.state = before;
                }
            }
        }
    }

    /// Members that read a result of the tuple, perhaps through a transpose.
    fn readers_of_tuple(&self, tuple: usize) -> Vec<(usize, usize)> {
        let is_result = |candidate: &Candidate| {
            matches!(candidate.op, Op::Projection(_)) && candidate.operands[0] == tuple
        };
        let mut readers = Vec::new();
        for (class, candidates) in self.candidates.iter().enumerate() {
            for (index, candidate) in candidates.iter().enumerate() {
                let through = matches!(candidate.op, Op::Transpose(_))
                    && self.candidates[candidate.operands[0]].iter().any(is_result);
                if candidate.usable && (is_result(candidate) || through) {
                    readers.push((class, index));
                }
            }
        }
        readers
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
