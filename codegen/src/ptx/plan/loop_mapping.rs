//! How loops are spread over threads: what their kind allows, and who must wait for whom.
//!
//! That lanes of a group never wait for one another depends on how lanes take iterations, which is
//! this target's business; that iterations are independent is not, and stands in Kernel IR.

use super::aliases::Aliases;
use super::effects::{Effects, LaneMapping};
use crate::kernel::{LoopKind, Stmt};

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
    /// For a loop in a block's own code.
    pub fn of(aliases: &Aliases, stmt: &Stmt) -> LoopMapping {
        let Stmt::Loop { kind, body, .. } = stmt else {
            return LoopMapping::Sequential;
        };
        match kind {
            LoopKind::Vector => LoopMapping::Lanes,
            LoopKind::Serial => LoopMapping::Sequential,
            LoopKind::Parallel if contains_wide_reduce(body) || must_wait(aliases, body) => {
                LoopMapping::Tiles
            }
            LoopKind::Parallel => LoopMapping::Groups,
        }
    }
}

/// True if, in an iteration of a loop, a statement must wait for an earlier one, or a loop for
/// its own last iteration.
fn must_wait(aliases: &Aliases, body: &[Stmt]) -> bool {
    let mut before = Effects::default();
    for stmt in body {
        let effects = Effects::of(aliases, std::slice::from_ref(stmt), LaneMapping::LOOPS);
        let again = match stmt {
            Stmt::Loop { kind, body, .. } => match kind {
                LoopKind::Vector => false,
                LoopKind::Serial => true,
                LoopKind::Parallel => must_wait(aliases, body),
            },
            _ => false,
        };
        if again || before.conflicts(&effects) {
            return true;
        }
        before.include(&effects);
    }
    false
}

/// True if some reduction is to run over the lanes of a thread group: one outside vector loops.
pub fn contains_wide_reduce(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Reduce(_) => true,
        Stmt::Loop { body, kind, .. } => !kind.is_vector() && contains_wide_reduce(body),
        _ => false,
    })
}
