//! Copies of a slab of both sides into shared memory.

use super::super::emit::{Emitter, Index};
use super::super::memory::{Address, Space};
use super::super::text::{Class, Reg};
use super::Plan;
use crate::kernel::PANEL;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Bytes from one slab to the next.
    Even(i64),
    /// Bytes from one group of terms to the next, and from one term to the next; a slab is part
    /// of a group.
    Groups { terms: usize, group: i64, term: i64 },
    /// The same, where a piece is part of a group: the distance is that of its first term.
    OwnGroup { terms: usize, group: i64, term: i64 },
}

impl Stage {
    pub fn new(e: &mut Emitter, plan: &Plan) -> Stage {
        let a = match plan.contract.a_k_stride {
            1 => a_rows(e, plan),
            _ => a_strided(e, plan),
        };
        let b = b_panels(e, plan);
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
            let same = |step: &&(Step, bool, Reg)| (step.0, step.1) == (piece.step, shared);
            let own = matches!(piece.step, Step::OwnGroup { .. });
            let distance = match steps.iter().find(same) {
                Some(step) if !own => step.2,
                _ => {
                    let distance = piece.distance(e, plan, k);
                    steps.push((piece.step, shared, distance));
                    distance
                }
            };
            piece.copy(e, plan, (k, distance, whole), stage);
        }
    }
}

impl Piece {
    /// How far the piece of the slab at `k` is from the first slab's, in bytes.
    fn distance(&self, e: &mut Emitter, plan: &Plan, k: Reg) -> Reg {
        let (class, mul, mad) = match self.from.space {
            Space::Shared => (Class::B32, "mul.lo.u32", "mad.lo.u32"),
            _ => (Class::B64, "mul.wide.u32", "mad.wide.u32"),
        };
        let (first, (terms, group, term)) = match self.step {
            Step::Even(bytes) => {
                let (number, _) = e.split(k, plan.tiling.slab());
                return e.t.def(class, mul, format_args!("{number}, {bytes}"));
            }
            Step::Groups { terms, group, term } => (k, (terms, group, term)),
            Step::OwnGroup { terms, group, term } => (e.plus(k, self.term), (terms, group, term)),
        };
        let (number, within) = e.split(first, terms);
        let of_group = e.t.def(class, mul, format_args!("{number}, {group}"));
        e.t.def(class, mad, format_args!("{within}, {term}, {of_group}"))
    }

    fn copy(
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

    /// Bytes of the piece that are part of the sides; `None` for all.
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
    let operands = format_args!("{}, {}", e.tid, pieces - number * threads);
    Some(e.t.def(Class::Predicate, "setp.lt.u32", operands))
}

/// The left side where terms of a row lie side by side: pieces as wide as its alignment allows.
fn a_rows(e: &mut Emitter, plan: &Plan) -> Vec<Piece> {
    let contract = plan.contract;
    let size = contract.format.a().size();
    let (rows, slab) = (plan.tiling.rows(), plan.tiling.slab());
    let aligned = |bytes: usize| {
        let whole = |factor: i64| (factor * size as i64) % bytes as i64 == 0;
        whole(contract.a_row_stride)
            && whole(contract.a.at.constant)
            && contract.a.dynamic.is_none()
            && contract.a.at.terms.iter().all(|term| whole(term.1))
            && (slab * size).is_multiple_of(bytes)
            && contract.a_groups.is_none_or(|groups| {
                whole(groups.stride) && (groups.terms * size).is_multiple_of(bytes)
            })
    };
    let bytes = [16, 8, 4, 2]
        .into_iter()
        .find(|&bytes| bytes >= size && aligned(bytes));
    let bytes = bytes.unwrap_or(size);
    let per_row = slab * size / bytes;
    let pieces = rows * per_row;
    let mut all = Vec::new();
    for number in 0..pieces.div_ceil(e.geometry.threads as usize) {
        let together = if rows.is_multiple_of(8) { 8 } else { 1 };
        let (row, within) = split_rows(e, number, per_row, together);
        let terms = bytes / size;
        let term = e.times(within, terms);
        let to = e.times(within, bytes);
        let operands = format_args!("{row}, {}, {to}", plan.tiling.a_pitch());
        let to_thread = e.t.def(Class::B32, "mad.lo.u32", operands);
        let of_tile = e.plus(row, plan.row);
        let row_bytes = contract.a_row_stride * size as i64;
        let step = a_step(plan, terms);
        let from = match step {
            Step::OwnGroup { .. } => moved(e, &plan.a, &[(of_tile, row_bytes)]),
            _ => moved(e, &plan.a, &[(of_tile, row_bytes), (term, size as i64)]),
        };
        all.push(Piece {
            from,
            to: 0,
            to_thread,
            bytes: bytes as i64,
            term,
            terms: terms as i64,
            step,
            inside: e.inside(of_tile, &[0], plan.m, rows)[0],
            exists: exists(e, number, pieces),
        });
    }
    all
}

/// The left side where terms of a row lie apart: one element at a time, and neighbouring threads
/// take what lies side by side.
fn a_strided(e: &mut Emitter, plan: &Plan) -> Vec<Piece> {
    let contract = plan.contract;
    let (rows, slab) = (plan.tiling.rows(), plan.tiling.slab());
    let mut all = Vec::new();
    let pieces = rows * slab;
    for number in 0..pieces.div_ceil(e.geometry.threads as usize) {
        let (row, term) = match contract.a_row_stride {
            1 => {
                let (term, row) = split(e, number, rows);
                (row, term)
            }
            _ => split(e, number, slab),
        };
        let to = e.times(term, 4);
        let operands = format_args!("{row}, {}, {to}", plan.tiling.a_pitch());
        let to_thread = e.t.def(Class::B32, "mad.lo.u32", operands);
        let of_tile = e.plus(row, plan.row);
        let (row_bytes, term_bytes) = (4 * contract.a_row_stride, 4 * contract.a_k_stride);
        let step = a_step(plan, 1);
        let from = match step {
            Step::OwnGroup { .. } => moved(e, &plan.a, &[(of_tile, row_bytes)]),
            _ => moved(e, &plan.a, &[(of_tile, row_bytes), (term, term_bytes)]),
        };
        all.push(Piece {
            from,
            to: 0,
            to_thread,
            bytes: 4,
            term,
            terms: 1,
            step,
            inside: e.inside(of_tile, &[0], plan.m, rows)[0],
            exists: exists(e, number, pieces),
        });
    }
    all
}

/// Panels of the right side, rows of 16 columns.
fn b_panels(e: &mut Emitter, plan: &Plan) -> Vec<Piece> {
    let (rows, row, pitch, panel_pitch) = plan.tiling.panel();
    let size = plan.contract.format.b().size();
    let per_row = row / 16;
    let pieces = plan.tiling.panels() * rows * per_row;
    let terms_of_row = plan.tiling.slab() / rows;
    let panel_bytes = plan.contract.b_panel_stride * size as i64;
    let first_panel = match plan.column {
        Index::Constant(column) => Index::Constant(column / PANEL as i64),
        Index::Reg(column) => Index::Reg(e.split(column, PANEL).0),
    };
    let panels = match plan.n {
        Index::Constant(n) => Index::Constant((n as usize).div_ceil(PANEL) as i64),
        Index::Reg(n) => {
            let above = e.plus(n, PANEL - 1);
            Index::Reg(e.split(above, PANEL).0)
        }
    };
    let mut all = Vec::new();
    for number in 0..pieces.div_ceil(e.geometry.threads as usize) {
        // Rows are padded where they are read four at a time.
        let together = if pitch == row { 1 } else { 4 };
        let (line, chunk) = split_rows(e, number, per_row, together);
        let (panel, line) = e.split(line, rows);
        let within = e.times_plus(line, per_row, chunk);
        let to = e.times(line, pitch);
        let to = e.times_plus(chunk, 16, to);
        let to_thread = e.times_plus(panel, panel_pitch, to);
        let of_side = e.plus(panel, first_panel);
        let from = moved(e, &plan.b, &[(of_side, panel_bytes), (within, 16)]);
        let term = e.times(line, terms_of_row);
        all.push(Piece {
            from,
            to: plan.tiling.a_bytes() as i64,
            to_thread,
            bytes: 16,
            term,
            // A row of terms is there as a whole: panels are padded.
            terms: 1,
            step: Step::Even((rows * row) as i64),
            inside: e.inside(of_side, &[0], panels, plan.tiling.panels())[0],
            exists: exists(e, number, pieces),
        });
    }
    all
}

/// The step of the left side's pieces of so many terms.
fn a_step(plan: &Plan, piece: usize) -> Step {
    let (contract, slab) = (plan.contract, plan.tiling.slab());
    let size = contract.format.a().size() as i64;
    let term = contract.a_k_stride * size;
    let Some(groups) = contract.a_groups else {
        return Step::Even(slab as i64 * term);
    };
    let (terms, group) = (groups.terms, groups.stride * size);
    debug_assert!(terms.is_multiple_of(piece));
    match terms.is_multiple_of(slab) {
        true => Step::Groups { terms, group, term },
        false => Step::OwnGroup { terms, group, term },
    }
}

/// An address moved by some products.
fn moved(e: &mut Emitter, from: &Address, by: &[(Reg, i64)]) -> Address {
    let mut base = from.base;
    for (reg, factor) in by {
        let operands = format_args!("{reg}, {factor}, {base}");
        base = match from.space {
            Space::Shared => e.t.def(Class::B32, "mad.lo.s32", operands),
            _ => e.t.def(Class::B64, "mad.wide.s32", operands),
        };
    }
    Address { base, ..*from }
}
