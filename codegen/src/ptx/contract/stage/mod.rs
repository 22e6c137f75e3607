//! Copies of a slab of both operands into shared memory.

mod lhs;
mod piece;
mod rhs;

use super::super::code::{Address, Class, Reg, Space};
use super::super::emit::{Emitter, Index};
use super::Plan;
use crate::kernel::Groups;

/// What a thread copies of every slab.
pub(super) struct Stage {
    a: Vec<Piece>,
    b: Vec<Piece>,
}

/// A few bytes that one thread copies.
struct Piece {
    /// Where they are in the first slab, and where they go in a stage.
    from: Address,
    to: i64,
    to_thread: Reg,
    bytes: i64,
    /// Their first term in a slab, and terms in them.
    term: Reg,
    terms: i64,
    step: Step,
    /// False where the row or panel is not part of the tile.
    inside: Option<Reg>,
    /// The thread has such a piece.
    exists: Option<Reg>,
}

/// How far a slab's piece is from the first slab's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Bytes from one slab to the next.
    Even(i64),
    /// Groups of terms, innermost first, with bytes from one to the next, and bytes from one term to the next; a
    /// slab is part of a group.
    Groups { groups: Vec<Groups>, term: i64 },
    /// The same, where a piece is part of a group: the distance is that of its first term.
    OwnGroup { groups: Vec<Groups>, term: i64 },
}

impl Stage {
    pub fn new(e: &mut Emitter, plan: &Plan) -> Stage {
        let a = match plan.contract.a_k_stride {
            1 => lhs::rows(e, plan),
            _ => lhs::strided(e, plan),
        };
        let b = rhs::panels(e, plan);
        Stage { a, b }
    }

    /// Starts the copies of the slab whose first term is `k`.
    pub fn fill(&self, e: &mut Emitter, plan: &Plan, k: Reg, stage: &Address) {
        let slab = plan.tiling.slab() as i64;
        let whole = matches!(plan.k, Index::Constant(k) if k % slab == 0);
        // Distances of slabs by their step: few differ.
        let mut steps: Vec<(Step, bool, Reg)> = Vec::new();
        for piece in self.a.iter().chain(&self.b) {
            let shared = piece.from.space == Space::Shared;
            let same = |step: &&(Step, bool, Reg)| step.0 == piece.step && step.1 == shared;
            let own = matches!(piece.step, Step::OwnGroup { .. });
            let distance = match steps.iter().find(same) {
                Some(step) if !own => step.2,
                _ => {
                    let distance = piece.distance(e, plan, k);
                    steps.push((piece.step.clone(), shared, distance));
                    distance
                }
            };
            piece.copy(e, plan, (k, distance, whole), stage);
        }
    }
}

/// `(index / inner, index % inner)` of this thread's piece `number`.
fn split(e: &mut Emitter, number: usize, inner: usize) -> (Reg, Reg) {
    let index = e.plus(e.tid, number * e.geometry.threads as usize);
    e.split(index, inner)
}

/// The row of this thread's piece `number`, and which of the row's pieces it is: neighbouring
/// threads take the same piece of `together` rows, which lie in different banks.
fn split_rows(e: &mut Emitter, number: usize, per_row: usize, together: usize) -> (Reg, Reg) {
    let (rest, low) = split(e, number, together);
    let (high, within) = e.split(rest, per_row);
    (e.times_plus(high, together, low), within)
}

/// True for threads that have a piece of this number, `None` if all do.
fn exists(e: &mut Emitter, number: usize, pieces: usize) -> Option<Reg> {
    let threads = e.geometry.threads as usize;
    if (number + 1) * threads <= pieces {
        return None;
    }
    Some(e.t.def(
        Class::Predicate,
        "setp.lt.u32",
        (e.tid, pieces - number * threads),
    ))
}

/// An address moved by some products.
fn moved(e: &mut Emitter, from: &Address, by: &[(Reg, i64)]) -> Address {
    let mut base = from.base;
    for &(reg, factor) in by {
        let (class, mad) = match from.space {
            Space::Shared => (Class::B32, "mad.lo.s32"),
            _ => (Class::B64, "mad.wide.s32"),
        };
        base = e.t.def(class, mad, (reg, factor, base));
    }
    Address { base, ..*from }
}
