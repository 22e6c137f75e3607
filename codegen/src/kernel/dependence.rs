//! Which loops' iterations do not depend on one another: what makes a loop parallel, and what proves
//! that it is.
//!
//! Arrays of different names are taken as different memory. Where an update is in place, the old
//! value and the new one are the same: then each element is read before it is written, at the same
//! address ([`reads_first`](super::reads_first)), so that an iteration that has its own elements of
//! the new value has them of the old one, too.

use super::bounds::Ranges;
use super::{Affine, Kernel, LoopKind, Place, Stmt, Var, for_each_access};
use std::collections::{BTreeMap, BTreeSet};

/// Makes the serial loops of a kernel parallel whose iterations are seen to be independent.
pub fn mark_parallel(kernel: &mut Kernel) {
    let mut ranges = Ranges::of_grid(kernel);
    mark(&mut kernel.body, &mut ranges);
}

fn mark(body: &mut [Stmt], ranges: &mut Ranges) {
    for stmt in body {
        let Stmt::Loop {
            var,
            extent,
            kind,
            body,
        } = stmt
        else {
            continue;
        };
        if *kind == LoopKind::Vector {
            continue;
        }
        if is_independent(ranges, (*var, extent.largest()), body) {
            *kind = LoopKind::Parallel;
        }
        if ranges.bind(*var, extent.clone()).is_ok() {
            mark(body, ranges);
            ranges.unbind(*var);
        }
    }
}

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
pub fn is_independent(ranges: &Ranges, (var, extent): (Var, usize), body: &[Stmt]) -> bool {
    let mut written: BTreeSet<Place> = BTreeSet::new();
    for_each_access(body, &mut |element, access| {
        if access.written {
            written.insert(element.place);
        }
    });
    let mut inner = ranges.clone();
    if contains_contract(body) || !bind_inner(body, &mut inner) {
        return false;
    }
    // Where the elements of iteration 0 lie: all of one array must move by the same step, and
    // what they span must be less than it.
    let mut spans: BTreeMap<Place, Span> = BTreeMap::new();
    let mut independent = true;
    for_each_access(body, &mut |element, _| {
        let place = element.place;
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

pub fn contains_contract(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Contract(_) | Stmt::Attend(_) | Stmt::AttendBackward(_) => true,
        Stmt::Loop { body, .. } => contains_contract(body),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::parse;
    use crate::kernel::verify::verify;

    const KERNEL: &str = "\
buffer b0: f32[64]
buffer b1: f32[64] written
scratch s0: f32[8] written
grid i0 < 2
  parallel for i1 < 4
    parallel for i2 < 8
      v0: f32 = load b0[32*i0 + 8*i1 + i2]
      b1[32*i0 + 8*i1 + i2] = v0
  for i3 < 4
    vector for i4 < 8
      v1: f32 = load b0[8*i3 + i4]
      s0[i4] = v1
    parallel for i5 < 8
      v2: f32 = load s0[i5]
      b1[32*i0 + 8*i3 + i5] = v2
  for i6 < 7
    v3: f32 = load b1[32*i0 + i6 + 1]
    b1[32*i0 + i6] = v3
";

    #[test]
    fn loops_are_parallel_whose_iterations_share_nothing_that_is_written() {
        let wanted = parse(KERNEL).unwrap();
        let mut kernel = parse(&KERNEL.replace("parallel ", "")).unwrap();
        mark_parallel(&mut kernel);
        assert_eq!(kernel.to_string(), wanted.to_string());
        assert_eq!(verify(&kernel), Ok(()));
    }

    #[test]
    fn what_is_not_independent_is_refused() {
        for serial in ["  for i3", "  for i6"] {
            let claimed = serial.replace("for", "parallel for");
            let kernel = parse(&KERNEL.replace(serial, &claimed)).unwrap();
            let error = verify(&kernel).unwrap_err();
            assert!(error.what.contains("parallel"), "{error}");
        }
    }
}
