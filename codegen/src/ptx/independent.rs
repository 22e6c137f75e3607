//! Which loops may run their iterations at the same time, and what a statement touches.

use crate::kernel::bounds::Ranges;
use crate::kernel::{Affine, Extent, Kernel, Place, Stmt, Var, for_each_access};
use std::collections::{BTreeMap, BTreeSet};

/// Arrays that statements read and write. Arrays that the kernel never writes are left out.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    pub reads: BTreeSet<Place>,
    pub writes: BTreeSet<Place>,
}

impl Touched {
    pub fn of(kernel: &Kernel, stmts: &[Stmt]) -> Touched {
        let mut touched = Touched::default();
        for_each_access(stmts, &mut |element, access| {
            if kernel.array(element.place).written {
                match access.written {
                    true => touched.writes.insert(element.place),
                    false => touched.reads.insert(element.place),
                };
            }
        });
        touched
    }

    pub fn include(&mut self, other: &Touched) {
        self.reads.extend(&other.reads);
        self.writes.extend(&other.writes);
    }

    /// True if running `later` must wait for this.
    pub fn conflicts(&self, later: &Touched) -> bool {
        let writes = |place| self.writes.contains(place);
        later.reads.iter().any(writes)
            || later.writes.iter().any(writes)
            || later.writes.iter().any(|place| self.reads.contains(place))
    }
}

/// The loops inside statements, as ranges.
fn bind_inner(stmts: &[Stmt], ranges: &mut Ranges) -> bool {
    stmts.iter().all(|stmt| match stmt {
        Stmt::Loop {
            var, extent, body, ..
        } => ranges.bind(*var, extent.clone()).is_ok() && bind_inner(body, ranges),
        Stmt::Reduce(reduce) => {
            let extent = Extent::Static(reduce.extent);
            ranges.bind(reduce.var, extent).is_ok() && bind_inner(&reduce.body, ranges)
        }
        _ => true,
    })
}

/// True if the iterations of a loop over `var` touch different elements of every array that the
/// body writes, so that they may run in any order or at once.
pub fn is_independent(kernel: &Kernel, ranges: &Ranges, var: Var, body: &[Stmt]) -> bool {
    let touched = Touched::of(kernel, body);
    let mut inner = ranges.clone();
    if contains_contract(body) || !bind_inner(body, &mut inner) {
        return false;
    }
    // Where the elements of iteration 0 lie: all of one array must move by the same step, and
    // what they span must be less than it.
    let mut spans: BTreeMap<Place, Span> = BTreeMap::new();
    let mut independent = true;
    for_each_access(body, &mut |element, _| {
        if !touched.writes.contains(&element.place) || !independent {
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
        };
        match spans.get_mut(&element.place) {
            None => {
                spans.insert(element.place, span);
            }
            Some(known) => independent &= known.join(&span),
        }
    });
    independent
        && spans
            .values()
            .all(|span| span.high - span.low < span.step.abs())
}

/// Offsets of one array.
struct Span {
    outer: Vec<(Var, i64)>,
    step: i64,
    low: i64,
    high: i64,
}

impl Span {
    fn join(&mut self, other: &Span) -> bool {
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
        self.step == other.step && self.outer == other.outer
    }
}

/// How a loop's iterations are spread over a block's threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// One iteration a thread.
    Lanes,
    /// An iteration for each group of threads, which share its inner loop without waiting.
    Groups,
    /// An iteration for each tile of 16 lanes, which reduce together.
    Tiles,
    /// One after the other, each by the whole block.
    Sequential,
}

impl Spread {
    /// For a loop in a block's own code; `ranges` are those of the loops around it.
    pub fn of(kernel: &Kernel, ranges: &Ranges, stmt: &Stmt) -> Spread {
        let Stmt::Loop {
            var, vector, body, ..
        } = stmt
        else {
            return Spread::Sequential;
        };
        if *vector {
            return Spread::Lanes;
        }
        if !is_independent(kernel, ranges, *var, body) {
            return Spread::Sequential;
        }
        match contains_wide_reduce(body) || must_wait(kernel, body) {
            true => Spread::Tiles,
            false => Spread::Groups,
        }
    }
}

/// True if a statement must wait for an earlier one of the same body, or a loop for its own last
/// iteration.
fn must_wait(kernel: &Kernel, body: &[Stmt]) -> bool {
    let mut before = Touched::default();
    for stmt in body {
        let touched = Touched::of(kernel, std::slice::from_ref(stmt));
        let again = match stmt {
            Stmt::Loop {
                vector: false,
                body,
                ..
            } => touched.conflicts(&touched) || must_wait(kernel, body),
            _ => false,
        };
        if again || before.conflicts(&touched) {
            return true;
        }
        before.include(&touched);
    }
    false
}

pub fn contains_contract(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Contract(_) | Stmt::Attend(_) => true,
        Stmt::Loop { body, .. } => contains_contract(body),
        _ => false,
    })
}

/// True if some reduction is to run over the lanes of a team: one outside vector loops.
pub fn contains_wide_reduce(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Reduce(_) => true,
        Stmt::Loop { body, vector, .. } => !vector && contains_wide_reduce(body),
        _ => false,
    })
}
