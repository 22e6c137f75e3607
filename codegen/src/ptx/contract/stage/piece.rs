//! How far a piece is in each slab, and the instructions that copy it.

use super::super::Plan;
use super::{Piece, Step};
use crate::ptx::emit::{Emitter, Index};
use crate::ptx::memory::{Address, Space};
use crate::ptx::text::{Class, Reg};

impl Piece {
    /// How far the piece of the slab at `k` is from the first slab's, in bytes.
    pub(super) fn distance(&self, e: &mut Emitter, plan: &Plan, k: Reg) -> Reg {
        let (class, mul, mad) = match self.from.space {
            Space::Shared => (Class::B32, "mul.lo.u32", "mad.lo.u32"),
            _ => (Class::B64, "mul.wide.u32", "mad.wide.u32"),
        };
        let (first, groups, term) = match &self.step {
            Step::Even(bytes) => {
                let (number, _) = e.split(k, plan.tiling.slab());
                return e.t.def(class, mul, format_args!("{number}, {bytes}"));
            }
            Step::Groups { groups, term } => (k, groups, term),
            Step::OwnGroup { groups, term } => (e.plus(k, self.term), groups, term),
        };
        let (mut rest, mut distance) = (first, None);
        for groups in groups.iter().rev() {
            let (number, within) = e.split(rest, groups.terms);
            let bytes = groups.stride;
            distance = Some(match distance {
                None => e.t.def(class, mul, format_args!("{number}, {bytes}")),
                Some(sum) => {
                    e.t.def(class, mad, format_args!("{number}, {bytes}, {sum}"))
                }
            });
            rest = within;
        }
        let of_groups = distance.expect("a step of groups has some");
        e.t.def(class, mad, format_args!("{rest}, {term}, {of_groups}"))
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
        let base = e.t.def(
            distance.class,
            add,
            format_args!("{}, {distance}", self.from.base),
        );
        let from = Address { base, ..self.from };
        let to = e.plus(stage.base, self.to_thread);
        let to = Address { base: to, ..*stage }.plus(self.to);
        let size = self.size(e, plan, (k, whole));
        let guard = self.exists.map_or(String::new(), |p| format!("@{p} "));
        match self.from.space {
            Space::Shared => self.copy_words(e, &from, &to, size, &guard),
            _ if self.bytes >= 4 => {
                let cache = if self.bytes == 16 { "cg" } else { "ca" };
                let name = format!("{guard}cp.async.{cache}.shared.global");
                match size {
                    None => e.t.op(&name, format_args!("{to}, {from}, {}", self.bytes)),
                    Some(size) => {
                        e.t.op(&name, format_args!("{to}, {from}, {}, {size}", self.bytes));
                    }
                }
            }
            _ => self.copy_words(e, &from, &to, size, &guard),
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
                    e.t.op("add.s32", format_args!("{rest}, {negative}, {k}"));
                }
                Index::Reg(k) => e.t.op("sub.s32", format_args!("{rest}, {k}, {term}")),
            }
            let bytes = self.bytes / self.terms;
            let rest = e.t.def(Class::B32, "max.s32", format_args!("{rest}, 0"));
            let rest = e.t.def(
                Class::B32,
                "min.s32",
                format_args!("{rest}, {}", self.terms),
            );
            size = Some(e.times(rest, bytes as usize));
        }
        match (size, self.inside) {
            (size, None) => size,
            (Some(size), Some(inside)) => {
                Some(e.t.def(Class::B32, "selp.b32", format_args!("{size}, 0, {inside}")))
            }
            (None, Some(inside)) => {
                let operands = format_args!("{}, 0, {inside}", self.bytes);
                Some(e.t.def(Class::B32, "selp.b32", operands))
            }
        }
    }

    /// Through registers, word by word: from scratch that is in shared memory already, and pieces
    /// too small to be copied asynchronously.
    fn copy_words(
        &self,
        e: &mut Emitter,
        from: &Address,
        to: &Address,
        size: Option<Reg>,
        guard: &str,
    ) {
        let word = self.bytes.min(4);
        let (load, bits) = (from.space.load(), 8 * word);
        for at in (0..self.bytes).step_by(word as usize) {
            let value = e.t.def(Class::B32, "mov.b32", 0);
            let inside = match size {
                None => guard.to_string(),
                Some(size) => {
                    let operands = format_args!("{size}, {at}");
                    let mut inside = e.t.def(Class::Predicate, "setp.gt.s32", operands);
                    if let Some(exists) = self.exists {
                        let operands = format_args!("{inside}, {exists}");
                        inside = e.t.def(Class::Predicate, "and.pred", operands);
                    }
                    format!("@{inside} ")
                }
            };
            let name = format!("{inside}{load}.u{bits}");
            e.t.op(&name, format_args!("{value}, {}", from.plus(at)));
            let name = format!("{guard}st.shared.b{bits}");
            e.t.op(&name, format_args!("{}, {value}", to.plus(at)));
        }
    }
}
