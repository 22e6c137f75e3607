//! How far a piece is in each slab, and the instructions that copy it.

use super::super::Plan;
use super::{Piece, Step};
use crate::ptx::code::{Address, Class, Reg, Space};
use crate::ptx::emit::{Emitter, Index};

impl Piece {
    /// How far the piece of the slab at `k` is from the first slab's, in bytes.
    pub(super) fn distance(&self, e: &mut Emitter, plan: &Plan, k: Reg) -> Reg {
        let (class, mul, mad) = match self.from.space {
            Space::Shared => (Class::B32, "mul.lo.u32", "mad.lo.u32"),
            _ => (Class::B64, "mul.wide.u32", "mad.wide.u32"),
        };
        let (first, groups, term) = match &self.step {
            &Step::Even(bytes) => {
                let (number, _) = e.split(k, plan.tiling.slab());
                return e.t.def(class, mul, (number, bytes));
            }
            Step::Groups { groups, term } => (k, groups, *term),
            Step::OwnGroup { groups, term } => (e.plus(k, self.term), groups, *term),
        };
        let (mut rest, mut distance) = (first, None);
        for groups in groups.iter().rev() {
            let (number, within) = e.split(rest, groups.terms);
            let bytes = groups.stride;
            distance = Some(match distance {
                None => e.t.def(class, mul, (number, bytes)),
                Some(sum) => e.t.def(class, mad, (number, bytes, sum)),
            });
            rest = within;
        }
        let of_groups = distance.expect("a step of groups has some");
        e.t.def(class, mad, (rest, term, of_groups))
    }

    pub(super) fn copy(
        &self,
        e: &mut Emitter,
        plan: &Plan,
        (k, distance, whole): (Reg, Reg, bool),
        stage: &Address,
    ) {
        let add = if self.from.space == Space::Shared {
            "add.u32"
        } else {
            "add.s64"
        };
        let base = e.t.def(distance.class, add, (self.from.base, distance));
        let from = Address { base, ..self.from };
        let to = e.plus(stage.base, self.to_thread);
        let to = Address { base: to, ..*stage }.plus(self.to);
        let size = self.size(e, plan, (k, whole));
        match self.from.space {
            Space::Global | Space::ReadOnly if self.bytes >= 4 => {
                e.t.copy(to, from, self.bytes, size).when(self.exists);
            }
            _ => self.copy_words(e, &from, &to, size),
        }
    }

    /// Bytes of the piece that are part of the operands; `None` for all.
    fn size(&self, e: &mut Emitter, plan: &Plan, (k, whole): (Reg, bool)) -> Option<Reg> {
        let mut size = None;
        if !whole {
            let term = e.plus(k, self.term);
            let rest = e.t.reg(Class::B32);
            match plan.k {
                Index::Constant(k) => {
                    let negative = e.t.def(Class::B32, "neg.s32", term);
                    e.t.set(rest, "add.s32", (negative, k));
                }
                Index::Reg(k) => {
                    e.t.set(rest, "sub.s32", (k, term));
                }
            }
            let bytes = self.bytes / self.terms;
            let rest = e.t.def(Class::B32, "max.s32", (rest, 0));
            let rest = e.t.def(Class::B32, "min.s32", (rest, self.terms));
            size = Some(e.times(rest, bytes as usize));
        }
        match (size, self.inside) {
            (size, None) => size,
            (Some(size), Some(inside)) => Some(e.t.def(Class::B32, "selp.b32", (size, 0, inside))),
            (None, Some(inside)) => Some(e.t.def(Class::B32, "selp.b32", (self.bytes, 0, inside))),
        }
    }

    /// Through registers, word by word: from scratch that is in shared memory already, and pieces
    /// too small to be copied asynchronously.
    fn copy_words(&self, e: &mut Emitter, from: &Address, to: &Address, size: Option<Reg>) {
        let word = self.bytes.min(4);
        let (number, bits) = match word {
            1 => ("u8", "b8"),
            2 => ("u16", "b16"),
            _ => ("u32", "b32"),
        };
        for at in (0..self.bytes).step_by(word as usize) {
            let value = e.t.def(Class::B32, "mov.b32", 0);
            let inside = match size {
                None => self.exists,
                Some(size) => {
                    let mut inside = e.t.def(Class::Predicate, "setp.gt.s32", (size, at));
                    if let Some(exists) = self.exists {
                        inside = e.t.def(Class::Predicate, "and.pred", (inside, exists));
                    }
                    Some(inside)
                }
            };
            e.t.load(&[value], number, from.plus(at)).when(inside);
            e.t.store(to.plus(at), bits, &[value]).when(self.exists);
        }
    }
}
