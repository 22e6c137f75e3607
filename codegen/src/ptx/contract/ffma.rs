//! Tiles on the FMA units: one fused multiply-add per term in ascending order, the bits of every
//! other target.

use super::super::code::{Address, Class, FMA, Reg, Space};
use super::super::emit::{Emitter, Index};
use super::super::plan::Unit;
use super::Plan;
use super::pipeline::{Terms, Zeros};
use crate::kernel::{Format, PANEL};
use bsq_ir::DType;
use std::ops::Range;

/// The first of some neighbouring columns, and which of them are part of the result.
type Group = (Reg, Vec<Option<Reg>>);

/// What a thread knows of its part of a tile.
struct Part {
    ty: Reg,
    tx: Reg,
    tm: usize,
    tn: usize,
    /// Columns from one group of four to the next; a thread's columns are such groups.
    group: usize,
    format: Format,
    pitch: i64,
    /// Offsets of this thread's first row and of its column groups in a stage.
    a: Reg,
    b: Vec<Reg>,
    b_row: i64,
    b_start: i64,
    slab: i64,
    /// Terms are added in a loop: no slab is in one, and of straight code that ends at no branch the
    /// assembler loads more terms ahead than there are registers beside so many sums.
    looped: bool,
    /// The values of its columns.
    own: Vec<Reg>,
}

impl Part {
    /// Columns that are loaded at once.
    fn together(&self) -> usize {
        self.tn.min(4)
    }

    fn groups(&self) -> usize {
        self.tn / self.together()
    }
}

impl Emitter<'_> {
    pub(super) fn ffma_tile(&mut self, plan: &Plan) {
        let mut part = self.part(plan);
        let row = self.times_plus(part.ty, part.tm, 0);
        let row = self.plus(row, plan.row);
        let rows_of = plan.tiling.rows();
        let offsets: Vec<i64> = (0..part.tm as i64).collect();
        let rows = self.inside(row, &offsets, plan.m, rows_of);
        let mut groups = Vec::new();
        for group in 0..part.groups() {
            let first = group * part.group;
            let column = self
                .t
                .def(Class::B32, "mad.lo.u32", (part.tx, part.together(), first));
            let column = self.plus(column, plan.column);
            let offsets: Vec<i64> = (0..part.together() as i64).collect();
            let inside = self.inside(column, &offsets, plan.n, plan.tiling.columns());
            groups.push((column, inside));
        }
        part.own = self.own_values(plan, &part, &groups);
        let results: Vec<Address> = groups
            .iter()
            .map(|(column, _)| self.result(plan, row, *column))
            .collect();
        let stride = 4 * plan.contract.c_row_stride;
        let sums = self.first_sums(plan, &part, &results, (&rows, &groups));
        self.slabs(plan, Zeros::LeftOut, &mut |e, stage, terms| {
            e.ffma_slab(&part, stage, terms, &sums)
        });
        let aligned = plan.result_is_aligned();
        for (index, inside) in rows.iter().enumerate() {
            for (group, (to, (_, columns))) in results.iter().zip(&groups).enumerate() {
                let at = index * part.tn + group * part.together();
                let values = &sums[at..at + part.together()];
                let to = to.plus(index as i64 * stride);
                self.store_row(DType::F32, &to, values, *inside, columns, aligned);
            }
        }
    }

    fn part(&mut self, plan: &Plan) -> Part {
        let Unit::Ffma { tx, tm, tn, .. } = plan.tiling.unit else {
            unreachable!("a tile on the FMA units")
        };
        let (y, x) = self.split(self.tid, tx);
        let pitch = plan.tiling.a_pitch();
        let a = self.times(y, tm * pitch);
        let (_, _, b_row, panel_pitch) = plan.tiling.panel();
        let size = plan.contract.format.b().size();
        let together = tn.min(4);
        let slab = plan.tiling.slab() as i64;
        let mut b = Vec::new();
        for group in 0..tn / together {
            let first = group * tx * together;
            let column = self.times_plus(x, together, first);
            let (panel, lane) = self.split(column, PANEL);
            let lane = self.times(lane, size);
            b.push(
                self.t
                    .def(Class::B32, "mad.lo.u32", (panel, panel_pitch, lane)),
            );
        }
        Part {
            ty: y,
            tx: x,
            tm,
            tn,
            group: tx * together,
            format: plan.contract.format,
            pitch: pitch as i64,
            a,
            b,
            b_row: b_row as i64,
            b_start: plan.tiling.a_bytes() as i64,
            slab,
            looped: tm * tn >= 64 && matches!(plan.k, Index::Constant(k) if k < 2 * slab),
            own: Vec::new(),
        }
    }

    /// Where the result at a row and column goes.
    pub(super) fn result(&mut self, plan: &Plan, row: Reg, column: Reg) -> Address {
        let stride = plan.contract.c_row_stride;
        let mut to = plan.c;
        let at = match to.space {
            Space::Shared => self.t.def(Class::B32, "mad.lo.s32", (row, stride, column)),
            _ => {
                let wide = self.t.def(Class::B64, "cvt.s64.s32", column);
                self.t.def(Class::B64, "mad.wide.s32", (row, stride, wide))
            }
        };
        to.base = self.scaled(&to, at, 4);
        to
    }

    fn own_values(&mut self, plan: &Plan, part: &Part, groups: &[Group]) -> Vec<Reg> {
        let Some(columns) = plan.columns else {
            return Vec::new();
        };
        let mut own = Vec::new();
        for (column, inside) in groups {
            let base = self.scaled(&columns, *column, 4);
            let from = Address { base, ..columns };
            for (position, inside) in inside.iter().enumerate().take(part.together()) {
                let from = from.plus(4 * position as i64);
                own.push(self.load_or(0.0, from, *inside));
            }
        }
        own
    }

    /// Zero, or what the result holds.
    fn first_sums(
        &mut self,
        plan: &Plan,
        part: &Part,
        results: &[Address],
        (rows, groups): (&[Option<Reg>], &[Group]),
    ) -> Vec<Reg> {
        let mut sums = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            for (to, (_, columns)) in results.iter().zip(groups) {
                for (position, column) in columns.iter().enumerate().take(part.together()) {
                    let sum = self.t.def(Class::F32, "mov.f32", 0.0);
                    sums.push(sum);
                    if !plan.contract.accumulate {
                        continue;
                    }
                    let inside = match (*row, *column) {
                        (Some(row), Some(column)) => {
                            Some(self.t.def(Class::Predicate, "and.pred", (row, column)))
                        }
                        (row, column) => row.or(column),
                    };
                    let stride = 4 * plan.contract.c_row_stride;
                    let from = to.plus(index as i64 * stride + 4 * position as i64);
                    self.t.load(&[sum], "f32", from).when(inside);
                }
            }
        }
        sums
    }

    /// Adds the terms of one stage.
    fn ffma_slab(&mut self, part: &Part, stage: &Address, terms: Terms, sums: &[Reg]) {
        let stage = Address {
            space: Space::Shared,
            ..*stage
        };
        let a_base = self.plus(stage.base, part.a);
        let a = Address {
            base: a_base,
            ..stage
        };
        let mut b = Vec::new();
        for &group in &part.b {
            let base = self.plus(stage.base, group);
            b.push(Address { base, ..stage });
        }
        let slab = match terms {
            Terms::Slab => part.slab,
            Terms::Known(count) => count,
            Terms::Counted(count) => {
                return self.counted_terms(part, (a, b), count, sums);
            }
        };
        let whole = if part.looped { slab / 4 * 4 } else { 0 };
        self.count(Index::Constant(0), Index::Constant(whole), 4, |e, term| {
            let term = e.index_reg(term);
            let (a, b) = e.at_term(part, (&a, &b), term);
            e.some_terms(part, (&a, &b), 0..4, sums);
        });
        self.some_terms(part, (&a, &b), whole..slab, sums);
    }

    /// The operands of terms from one on.
    fn at_term(
        &mut self,
        part: &Part,
        (a, b): (&Address, &[Address]),
        term: Reg,
    ) -> (Address, Vec<Address>) {
        let base = self.scaled(a, term, 4);
        let of_columns = |group: &Address| Address {
            base: self.scaled(group, term, part.b_row),
            ..*group
        };
        let b = b.iter().map(of_columns).collect();
        (Address { base, ..*a }, b)
    }

    /// Adds terms in straight code, four of each row at a time.
    fn some_terms(
        &mut self,
        part: &Part,
        (a, b): (&Address, &[Address]),
        terms: Range<i64>,
        sums: &[Reg],
    ) {
        for term in terms.clone().step_by(4) {
            let count = 4.min(terms.end - term) as usize;
            let rows: Vec<Vec<Reg>> = (0..part.tm as i64)
                .map(|row| self.load_words(&a.plus(row * part.pitch + 4 * term), 4))
                .collect();
            for step in 0..count {
                let columns = self.load_columns(part, b, term + step as i64);
                let lhs: Vec<Reg> = rows.iter().map(|row| row[step]).collect();
                self.products(part, &lhs, &columns, sums);
            }
        }
    }

    /// Terms whose number is not known: one at a time.
    fn counted_terms(
        &mut self,
        part: &Part,
        (a, b): (Address, Vec<Address>),
        count: Reg,
        sums: &[Reg],
    ) {
        self.count(Index::Constant(0), Index::Reg(count), 1, |e, term| {
            let term = e.index_reg(term);
            let (a, b) = e.at_term(part, (&a, &b), term);
            let rows: Vec<Reg> = (0..part.tm as i64)
                .map(|row| e.load_words(&a.plus(row * part.pitch), 1)[0])
                .collect();
            let columns = e.load_columns(part, &b, 0);
            e.products(part, &rows, &columns, sums);
        });
    }

    fn products(&mut self, part: &Part, rows: &[Reg], columns: &[Reg], sums: &[Reg]) {
        for (row, &a) in rows.iter().enumerate() {
            for (column, &b) in columns.iter().enumerate() {
                let sum = sums[row * part.tn + column];
                self.t.set(sum, FMA, (a, b, sum));
            }
        }
    }

    /// `count` neighbouring `f32` from shared memory.
    fn load_words(&mut self, from: &Address, count: usize) -> Vec<Reg> {
        let words: Vec<Reg> = (0..count).map(|_| self.t.reg(Class::F32)).collect();
        self.t.load(&words, "f32", *from);
        words
    }

    /// This thread's columns of one term, as `f32`.
    fn load_columns(&mut self, part: &Part, b: &[Address], term: i64) -> Vec<Reg> {
        let mut columns = Vec::new();
        for (group, from) in b.iter().enumerate() {
            let from = from.plus(part.b_start + term * part.b_row);
            match (part.format, part.together()) {
                (Format::F32, count) => columns.extend(self.load_words(&from, count)),
                (Format::Bf16Weights, 1) => {
                    let half = self.t.loaded(Class::B16, "b16", from);
                    columns.push(self.widened(half));
                }
                (Format::Bf16Weights, _) => {
                    let words = [self.t.reg(Class::B32), self.t.reg(Class::B32)];
                    self.t.load(&words, "b32", from);
                    for word in words {
                        let low = self.t.def(Class::B32, "shl.b32", (word, 16));
                        let high = self.t.def(Class::B32, "and.b32", (word, 0xffff_0000u32));
                        for bits in [low, high] {
                            columns.push(self.t.def(Class::F32, "mov.b32", bits));
                        }
                    }
                }
                (_, count) => {
                    let bits = 8 * count;
                    let ty = if bits == 8 { "u8" } else { "b32" };
                    let word = self.t.loaded(Class::B32, ty, from);
                    for position in 0..count {
                        let byte = self.t.def(Class::B32, "bfe.u32", (word, 8 * position, 8));
                        let number = self.t.def(Class::F32, "cvt.rn.f32.u32", byte);
                        let centred = self.t.def(Class::F32, "add.rn.f32", (number, -128.0));
                        let own = part.own[group * count + position];
                        columns.push(self.t.def(Class::F32, "mul.rn.f32", (centred, own)));
                    }
                }
            }
        }
        columns
    }
}
