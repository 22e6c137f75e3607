//! The search itself: one choice at a time, and those of ops with several results together.

use super::{Candidate, LEAST_GAIN, Search};
use crate::op::Op;
use std::collections::{BTreeMap, HashSet, VecDeque};

impl Search<'_> {
    pub(super) fn count(&mut self) {
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
    pub(super) fn improve(&mut self, classes: impl IntoIterator<Item = usize>) {
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
    pub(super) fn regroup(&mut self) {
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
}
