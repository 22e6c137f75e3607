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
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

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

/// The cheapest graph of every class by itself, as a set of classes.
struct Greedy {
    /// One bit per class; empty where there is none yet.
    graphs: Vec<Vec<u64>>,
    best: Vec<f64>,
    /// The cost of the chosen member alone.
    own: Vec<f64>,
}

impl Greedy {
    fn take_if_better(&mut self, class: usize, candidate: &Candidate) -> bool {
        let ready = |&x: &usize| !self.graphs[x].is_empty();
        if !candidate.operands.iter().all(ready) {
            return false;
        }
        // Most of the smaller graphs is part of the largest: only the rest is added up.
        let most = |&&x: &&usize, &&y: &&usize| self.best[x].total_cmp(&self.best[y]);
        let largest = candidate.operands.iter().max_by(most);
        let (mut graph, mut cost) = match largest {
            Some(&x) => (self.graphs[x].clone(), self.best[x]),
            None => (vec![0; self.best.len().div_ceil(64)], 0.0),
        };
        for &operand in &candidate.operands {
            for (index, &word) in self.graphs[operand].iter().enumerate() {
                let mut new = word & !graph[index];
                graph[index] |= word;
                while new != 0 {
                    cost += self.own[index * 64 + new.trailing_zeros() as usize];
                    new &= new - 1;
                }
            }
        }
        cost += candidate.cost;
        let has_itself = graph[class / 64] >> (class % 64) & 1 == 1;
        if has_itself || cost >= self.best[class] * (1.0 - LEAST_GAIN) {
            return false;
        }
        graph[class / 64] |= 1 << (class % 64);
        self.graphs[class] = graph;
        (self.best[class], self.own[class]) = (cost, candidate.cost);
        true
    }
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

    /// For every class the member whose graph costs least by itself, until nothing changes.
    fn greedy(&mut self) {
        let mut greedy = Greedy {
            graphs: vec![Vec::new(); self.ids.len()],
            best: vec![f64::INFINITY; self.ids.len()],
            own: vec![0.0; self.ids.len()],
        };
        // When each class got its graph, and when it was last looked at.
        let mut now = 1;
        let mut set_at = vec![0; self.ids.len()];
        let mut seen_at = vec![0; self.ids.len()];
        for _ in 0..64 {
            let mut changed = false;
            for class in 0..self.ids.len() {
                let mut operands = self.candidates[class].iter().flat_map(|c| &c.operands);
                if seen_at[class] > 0 && operands.all(|&x| set_at[x] <= seen_at[class]) {
                    continue;
                }
                seen_at[class] = now;
                for (index, candidate) in self.candidates[class].iter().enumerate() {
                    if greedy.take_if_better(class, candidate) {
                        self.state.choice[class] = index;
                        now += 1;
                        set_at[class] = now;
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
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
                self.moved.push(class);
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
                self.moved.push(class);
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

    /// Changes single choices while that makes the whole cheaper, beginning with the given
    /// classes and going on where something changed.
    fn improve(&mut self, classes: impl IntoIterator<Item = usize>) {
        let mut waiting: VecDeque<usize> = classes.into_iter().collect();
        let mut is_waiting = vec![false; self.ids.len()];
        waiting.iter().for_each(|&class| is_waiting[class] = true);
        while let Some(class) = waiting.pop_front() {
            is_waiting[class] = false;
            for index in 0..self.candidates[class].len() {
                let kept = self.state.choice[class];
                let usable = self.candidates[class][index].usable;
                if self.state.readers[class] == 0 || index == kept || !usable {
                    continue;
                }
                let cost = self.state.cost;
                self.moved.clear();
                self.switch(class, index);
                if self.state.cost < cost * (1.0 - LEAST_GAIN) && !self.has_cycle() {
                    for class in self.concerned() {
                        if !std::mem::replace(&mut is_waiting[class], true) {
                            waiting.push_back(class);
                        }
                    }
                } else {
                    self.switch(class, kept);
                    self.state.cost = cost;
                }
            }
        }
    }

    /// Classes whose candidates may cost something else since others moved: they read one of
    /// these, perhaps through classes that the chosen graph does not need.
    fn concerned(&mut self) -> Vec<usize> {
        let mut concerned = std::mem::take(&mut self.moved);
        concerned.sort_unstable();
        concerned.dedup();
        let mut known: HashSet<usize> = concerned.iter().copied().collect();
        let mut next = 0;
        let moved = concerned.len();
        while next < concerned.len() {
            let class = concerned[next];
            next += 1;
            if next > moved && self.state.readers[class] > 0 {
                continue;
            }
            for &user in &self.users[class] {
                if known.insert(user) {
                    concerned.push(user);
                }
            }
        }
        concerned
    }

    /// For each op with several results: all classes that could read it do, or none does.
    fn regroup(&mut self) {
        for (_, readers) in self.readers_of_tuples() {
            for together in [true, false] {
                let before = self.state.clone();
                self.moved.clear();
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
                let concerned = self.concerned();
                self.improve(concerned);
                if self.state.cost >= before.cost * (1.0 - LEAST_GAIN) {
                    self.state = before;
                }
            }
        }
    }

    /// For each op with several results: members that read one of them, perhaps through a
    /// transpose.
    fn readers_of_tuples(&self) -> BTreeMap<usize, Vec<(usize, usize)>> {
        let tuple = |candidate: &Candidate| {
            matches!(candidate.op, Op::Projection(_)).then(|| candidate.operands[0])
        };
        let mut readers: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (class, candidates) in self.candidates.iter().enumerate() {
            for (index, candidate) in candidates.iter().enumerate() {
                let below: Vec<usize> = match candidate.op {
                    _ if !candidate.usable => continue,
                    Op::Transpose(_) => self.candidates[candidate.operands[0]]
                        .iter()
                        .filter_map(tuple)
                        .collect(),
                    _ => tuple(candidate).into_iter().collect(),
                };
                for tuple in below {
                    readers.entry(tuple).or_default().push((class, index));
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
