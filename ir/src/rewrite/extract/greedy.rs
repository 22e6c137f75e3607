//! Where the search starts: the cheapest graph of every class by itself, or the original program.

use super::{Candidate, LEAST_GAIN, NONE, Search};

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

impl Search<'_> {
    /// For every class the member whose graph costs least by itself, until nothing changes.
    pub(super) fn greedy(&mut self) {
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
    pub(super) fn start_from_better(&mut self, order: &[usize]) {
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
}
