//! Which loops may run their iterations at the same time.

use super::aliases::Aliases;
use super::effects::{Effects, LaneMapping};
use crate::kernel::bounds::Ranges;
use crate::kernel::{Affine, Extent, Place, Stmt, Var, for_each_access};
use std::collections::{BTreeMap, BTreeSet};

/// The loops inside statements, as ranges.
fn bind_inner(stmts: &[Stmt], ranges: &mut Ranges) -> bool {
    stmts.iter().all(|stmt| match stmt {
        Stmt::Loop {
            var, extent, body, ..
        } => ranges.bind(*var, extent.clone()).is_ok() && bind_inner(body, ranges),
        Stmt::Reduce(reduce) => {
            let extent = reduce.extent.clone();
            ranges.bind(reduce.var, extent).is_ok() && bind_inner(&reduce.body, ranges)
        }
        _ => true,
    })
}

/// True if the iterations of a loop over `var` touch different elements of every array that the
/// body writes, so that they may run in any order or at once.
pub fn is_independent(
    aliases: &Aliases,
    ranges: &Ranges,
    (var, extent): (Var, usize),
    body: &[Stmt],
) -> bool {
    let written: BTreeSet<Place> = Effects::of(aliases, body, LaneMapping::NONE)
        .written()
        .collect();
    let mut inner = ranges.clone();
    if contains_contract(body) || !bind_inner(body, &mut inner) {
        return false;
    }
    // Where the elements of iteration 0 lie: all of one array must move by the same step, and
    // what they span must be less than it.
    let mut spans: BTreeMap<Place, Span> = BTreeMap::new();
    let mut independent = true;
    for_each_access(body, &mut |element, _| {
        let place = aliases.memory(element.place);
        if !written.contains(&place) || !independent {
            return;
        }
        independent &= element.dynamic.is_none();
        // What enclosing loops add is the same for all elements, or nothing is known.
        let (outer, within): (Vec<_>, Vec<_>) = element
            .at
            .terms
            .iter()
            .copied()
            .filter(|term| term.0 != var)
            .partition(|term| ranges.is_bound(term.0));
        let at = Affine {
            constant: element.at.constant,
            terms: within,
        };
        let (low, high) = inner.at(&at);
        let span = Span {
            outer,
            step: element.at.coefficient(var),
            low,
            high,
            only: Some(element.at.clone()),
        };
        match spans.get_mut(&place) {
            None => {
                spans.insert(place, span);
            }
            Some(known) => independent &= known.join(&span),
        }
    });
    let extent = ranges_of(body, var, extent);
    let apart = |span: &Span| {
        let at = span.only.as_ref();
        span.high - span.low < span.step.abs()
            || at.is_some_and(|at| span.step != 0 && is_injective(at, &extent))
    };
    independent && spans.values().all(apart)
}

/// The largest extents of a loop and of the loops in its body.
fn ranges_of(body: &[Stmt], var: Var, extent: usize) -> Vec<(Var, usize)> {
    let mut extents = vec![(var, extent)];
    for stmt in body {
        match stmt {
            Stmt::Loop {
                var, extent, body, ..
            } => extents.extend(ranges_of(body, *var, extent.largest())),
            Stmt::Reduce(reduce) => {
                extents.extend(ranges_of(&reduce.body, reduce.var, reduce.extent.largest()));
            }
            _ => {}
        }
    }
    extents
}

/// True if different values of the variables give different elements: each term steps over all
/// that the smaller ones reach.
fn is_injective(at: &Affine, extents: &[(Var, usize)]) -> bool {
    let extent = |var| {
        extents
            .iter()
            .find(|known| known.0 == var)
            .map(|known| known.1)
    };
    let mut terms: Vec<(i64, i64)> = at
        .terms
        .iter()
        .filter_map(|&(var, factor)| Some((factor.abs(), extent(var)? as i64)))
        .collect();
    terms.sort_unstable();
    let mut reach = 0;
    terms.into_iter().all(|(factor, extent)| {
        let apart = factor > reach;
        reach += factor * (extent - 1);
        apart
    })
}

/// Offsets of one array.
struct Span {
    outer: Vec<(Var, i64)>,
    step: i64,
    low: i64,
    high: i64,
    /// The element, where it is the only one of its array.
    only: Option<Affine>,
}

impl Span {
    fn join(&mut self, other: &Span) -> bool {
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
        if self.only != other.only {
            self.only = None;
        }
        self.step == other.step && self.outer == other.outer
    }
}

/// How a loop's iterations are spread over a block's threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopMapping {
    /// One iteration a thread.
    Lanes,
    /// An iteration for each group of threads, which share its inner loop without waiting.
    Groups,
    /// An iteration for each tile of 16 lanes, which reduce together.
    Tiles,
    /// One after the other, each by the whole block.
    Sequential,
}

impl LoopMapping {
    /// For a loop in a block's own code; `ranges` are those of the loops around it.
    pub fn of(aliases: &Aliases, ranges: &Ranges, stmt: &Stmt) -> LoopMapping {
        let Stmt::Loop {
            var,
            vector,
            extent,
            body,
        } = stmt
        else {
            return LoopMapping::Sequential;
        };
        if *vector {
            return LoopMapping::Lanes;
        }
        let largest = (*var, extent.largest());
        if !is_independent(aliases, ranges, largest, body) {
            return LoopMapping::Sequential;
        }
        match contains_wide_reduce(body) || must_wait(aliases, ranges, largest, body) {
            true => LoopMapping::Tiles,
            false => LoopMapping::Groups,
        }
    }
}

/// True if, in an iteration of a loop, a statement must wait for an earlier one, or a loop for
/// its own last iteration.
fn must_wait(
    aliases: &Aliases,
    ranges: &Ranges,
    (var, extent): (Var, usize),
    body: &[Stmt],
) -> bool {
    let mut ranges = ranges.clone();
    if ranges.bind(var, Extent::Static(extent)).is_err() {
        return true;
    }
    let mut before = Effects::default();
    for stmt in body {
        let effects = Effects::of(aliases, std::slice::from_ref(stmt), LaneMapping::LOOPS);
        let again = match stmt {
            Stmt::Loop {
                vector: false,
                var,
                extent,
                body,
            } => {
                let largest = (*var, extent.largest());
                !is_independent(aliases, &ranges, largest, body)
                    || must_wait(aliases, &ranges, largest, body)
            }
            _ => false,
        };
        if again || before.conflicts(&effects) {
            return true;
        }
        before.include(&effects);
    }
    false
}

pub fn contains_contract(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Contract(_) | Stmt::Attend(_) | Stmt::AttendBackward(_) => true,
        Stmt::Loop { body, .. } => contains_contract(body),
        _ => false,
    })
}

/// True if some reduction is to run over the lanes of a thread group: one outside vector loops.
pub fn contains_wide_reduce(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Reduce(_) => true,
        Stmt::Loop { body, vector, .. } => !vector && contains_wide_reduce(body),
        _ => false,
    })
}
