//! A contraction's epilogue: statements by loop, and changes of variables in all of them.

use super::super::builder::KernelBuilder;
use super::super::lhs::continues;
use super::super::loops;
use crate::kernel::{Affine, Extent, Groups, Stmt, Var};

/// Statements by the loop that they are in.
pub(super) struct EpilogueNest {
    pub item: Vec<Stmt>,
    pub rows: Vec<Stmt>,
    pub columns: Vec<Stmt>,
}

impl EpilogueNest {
    fn all(&mut self) -> [&mut Vec<Stmt>; 3] {
        [&mut self.item, &mut self.rows, &mut self.columns]
    }

    /// `merge` over all statements but those that mention the place in the block.
    fn merge(
        &mut self,
        outer: Var,
        inner: Var,
        local: Var,
        extra: &mut [&mut Affine],
        b: &mut KernelBuilder,
    ) -> bool {
        let extent = b.axes.extent(inner) as i64;
        let even = |at: &Affine| {
            at.coefficient(local) != 0 || at.coefficient(outer) == extent * at.coefficient(inner)
        };
        let mut all_even = extra.iter().all(|at| even(at));
        for stmts in self.all() {
            loops::for_each_index(stmts, &mut |at| all_even &= even(at));
        }
        if all_even {
            let drop_outer = |at: &mut Affine| at.terms.retain(|term| term.0 != outer);
            extra.iter_mut().for_each(|at| drop_outer(at));
            for stmts in self.all() {
                loops::for_each_index(stmts, &mut |at| drop_outer(at));
            }
            let extent = b.axes.extent(inner) * b.axes.extent(outer);
            b.axes.set_extent(inner, extent);
        }
        all_even
    }

    /// All column variables as one; `None` within `Some` if there is a single column.
    pub fn merge_columns(
        &mut self,
        columns: &[Var],
        local: Var,
        extra: &mut [&mut Affine],
        b: &mut KernelBuilder,
    ) -> Option<Option<Var>> {
        let Some((&last, rest)) = columns.split_last() else {
            return Some(None);
        };
        let merged = rest
            .iter()
            .rev()
            .all(|&outer| self.merge(outer, last, local, extra, b));
        merged.then_some(Some(last))
    }

    /// As many of the `outer` row variables as possible as one with `row`. Where the lhs does not step
    /// evenly, rows are in groups, of which `most` levels are allowed, and a block of `rows` has several
    /// groups.
    pub fn merge_rows(
        &mut self,
        row: Var,
        outer: &mut Vec<Var>,
        local: Var,
        lhs: &mut Affine,
        (most, rows): (usize, usize),
        b: &mut KernelBuilder,
    ) -> Vec<Groups> {
        let mut groups: Vec<Groups> = Vec::new();
        while let Some(&next) = outer.last() {
            let (inner, stride) = (b.axes.extent(row), lhs.coefficient(next));
            let even = continues(&groups, lhs.coefficient(row), inner, stride);
            let fits = even || groups.len() < most && 2 * inner <= rows;
            if !fits || !self.merge(next, row, local, &mut [], b) {
                break;
            }
            lhs.terms.retain(|term| term.0 != next);
            if !even {
                groups.push(Groups {
                    terms: inner,
                    stride,
                });
            }
            outer.pop();
        }
        groups
    }

    pub fn replace_local(&mut self, local: Var, at: &Affine) {
        for stmts in self.all() {
            loops::substitute(stmts, local, at);
        }
    }
}

/// Cuts `var` into blocks everywhere.
pub(super) fn block_of(
    nest: &mut EpilogueNest,
    var: Var,
    size: usize,
    b: &mut KernelBuilder,
    extra: &mut [&mut Affine],
) -> (Var, Extent) {
    let size = size.min(b.axes.extent(var));
    let (block, moved, extent) = b.axes.block(var, size);
    for stmts in nest.all() {
        loops::substitute(stmts, var, &moved);
    }
    for at in extra {
        **at = at.substitute(var, &moved);
    }
    (block, extent)
}
