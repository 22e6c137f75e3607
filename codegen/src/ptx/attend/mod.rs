//! Attention on the tensor cores with online softmax.
//!
//! A warp has 16 queries and keeps their sums in registers. Blocks of keys and values are staged
//! in shared memory while the block before is used. Scores of 16 keys leave a thread with four
//! neighbouring keys of two rows, which are the lhs of the second product as they are, if
//! the rows of V are taken in the same order. As in contractions, all is counted in words: one term
//! of tf32, two of bf16 or f16.

mod backward;
mod block;
mod stage;

use super::code::{Address, Class, Reg, Space};
use super::emit::{Emitter, Index};
use super::plan::attention::{WARP_ROWS, keys, stage_bytes};
use crate::kernel::{Affine, Attend, Element, Format, PANEL};

/// Rows of words that a product takes.
const STEP: usize = 8;
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// A 16 x 16 part of a result: the fragments of even and of odd columns.
type Pair = [[Reg; 4]; 2];

/// What a thread knows of its rows.
struct RowState {
    /// The rows g and g + 8 of its warp: whether they exist, and how many keys they see.
    inside: [Reg; 2],
    limits: [Index; 2],
    maxima: [Reg; 2],
    sums: [Reg; 2],
}

impl Emitter<'_> {
    pub(super) fn attend(&mut self, a: &Attend) {
        let rows = self.extent(&a.rows);
        let (warp, lane) = self.split(self.tid, 32);
        let (group, four) = self.split(lane, 4);
        let row = self.times_plus(warp, WARP_ROWS, group);
        let inside = [0, 8].map(|by| self.row_inside(row, by, rows));
        let from = (&a.q, (a.q_row_stride, a.q_column_stride), a.depth);
        let queries = self.lhs_fragments(a.format, from, (row, four), inside);
        let seen = (a.causal, a.keys, keys(a));
        let (limits, blocks) = self.limits(seen, &a.first, row, rows);
        let mut state = RowState {
            inside,
            limits,
            maxima: [0; 2].map(|_| self.t.def(Class::F32, "mov.f32", f32::NEG_INFINITY)),
            sums: [0; 2].map(|_| self.t.def(Class::F32, "mov.f32", 0.0)),
        };
        let panels = a.value_depth / PANEL;
        let outputs: Vec<Pair> = (0..panels).map(|_| self.zero_pair()).collect();
        let (keys, values) = (self.address(&a.k), self.address(&a.v));
        let stage = |e: &mut Self, block: Reg, to: &Address| {
            e.stage_keys(a, (&keys, &values), block, to);
        };
        let blocks = [Index::Constant(0), blocks];
        self.staged_blocks(blocks, stage_bytes(a) / 2, &stage, |e, block, from| {
            let place = (block, group, four);
            e.attend_block(a, (&queries, &outputs), &mut state, place, from);
        });
        self.finish_rows(a, &outputs, &state, (row, four));
        self.pending = Default::default();
    }

    /// Runs `body` for blocks of columns, each of which is staged while the one before is used.
    fn staged_blocks(
        &mut self,
        [start, end]: [Index; 2],
        bytes: usize,
        stage: &dyn Fn(&mut Self, Reg, &Address),
        body: impl FnOnce(&mut Self, Reg, &Address),
    ) {
        let shared = self.shared.expect("columns are staged in shared memory");
        let buffers = [0, bytes].map(|at| Address {
            space: Space::Shared,
            base: self.t.def(Class::B32, "add.u32", (shared, at)),
            offset: self.geometry.stage as i64,
        });
        let [buffer, other] = buffers;
        let first = self.t.def(Class::B32, "mov.b32", start);
        stage(self, first, &buffer);
        self.count(start, end, 1, |e, block| {
            let block = e.index_reg(block);
            e.t.op("cp.async.wait_group", 0);
            e.t.barrier();
            let next = e.plus(block, 1);
            let done = e.t.def(Class::Predicate, "setp.ge.s32", (next, end));
            let skip = e.t.label();
            e.t.branch_if(done, skip);
            stage(e, next, &other);
            e.t.place(skip);
            body(e, block, &buffer);
            let swap = e.t.def(Class::B32, "mov.b32", buffer.base);
            e.t.set(buffer.base, "mov.b32", other.base);
            e.t.set(other.base, "mov.b32", swap);
        });
    }

    fn row_inside(&mut self, row: Reg, by: usize, rows: Index) -> Reg {
        let row = self.plus(row, by);
        self.t.def(Class::Predicate, "setp.lt.s32", (row, rows))
    }

    /// A product's left operands: for each 8 words of channels the four registers of a fragment. Rows
    /// that do not exist are zero.
    fn lhs_fragments(
        &mut self,
        format: Format,
        (from, (row_stride, column_stride), depth): (&Element, (i64, i64), usize),
        (row, four): (Reg, Reg),
        inside: [Reg; 2],
    ) -> Vec<[Reg; 4]> {
        let from = self.address(from);
        let terms = format.terms();
        let column = self.times(four, terms);
        let mut base = from.base;
        for (reg, stride) in [(row, row_stride), (column, column_stride)] {
            base = self
                .t
                .def(Class::B64, "mad.wide.s32", (reg, 4 * stride, base));
        }
        let first = Address { base, ..from };
        let terms = terms as i64;
        let mut fragments = Vec::new();
        for step in 0..depth as i64 / (STEP as i64 * terms) {
            // Rows g and g + 8, words t and t + 4.
            let places = [(0, 0), (1, 0), (0, 4), (1, 4)];
            fragments.push(places.map(|(half, word)| {
                let channel = terms * (STEP as i64 * step + word);
                let mut term = |odd: i64| {
                    let at = 8 * half * row_stride + (channel + odd) * column_stride;
                    let from = first.plus(4 * at);
                    self.load_or(0.0, from, inside[half as usize])
                };
                match format {
                    Format::F32 => {
                        let value = term(0);
                        self.tf32(value)
                    }
                    _ => {
                        let pair = [0, 1].map(term);
                        self.pack(format, pair)
                    }
                }
            }));
        }
        fragments
    }

    /// How many keys each of a thread's rows sees, and blocks of keys that some row sees.
    fn limits(
        &mut self,
        (causal, keys, block): (Option<usize>, usize, usize),
        first: &Affine,
        row: Reg,
        rows: Index,
    ) -> ([Index; 2], Index) {
        let Some(size) = causal else {
            return ([Index::from(keys); 2], Index::from(keys.div_ceil(block)));
        };
        let first = self.affine(first, Class::B32);
        let visible = |e: &mut Self, row: Reg| {
            let position = e.plus(row, first);
            let (before, _) = e.split(position, size);
            let end = e.times_plus(before, size, size);
            Index::Reg(e.t.def(Class::B32, "min.s32", (end, keys)))
        };
        let limits = [0, 8].map(|by| {
            let row = self.plus(row, by);
            visible(self, row)
        });
        let rows = self.index_reg(rows);
        let last = self.t.def(Class::B32, "sub.s32", (rows, 1));
        let most = visible(self, last);
        let most = self.index_reg(most);
        let above = self.plus(most, block - 1);
        let (blocks, _) = self.split(above, block);
        (limits, Index::Reg(blocks))
    }

    fn finish_rows(
        &mut self,
        a: &Attend,
        outputs: &[Pair],
        rows: &RowState,
        (row, four): (Reg, Reg),
    ) {
        let sums = rows.sums.map(|sum| self.over_row(sum, "add.rn.f32"));
        let inverses = sums.map(|sum| self.t.def(Class::F32, "rcp.rn.f32", sum));
        let outputs = outputs.iter().map(|pair| {
            pair.map(|fragment| {
                [0, 1, 2, 3].map(|at| {
                    self.t
                        .def(Class::F32, "mul.rn.f32", (fragment[at], inverses[at / 2]))
                })
            })
        });
        let outputs: Vec<Pair> = outputs.collect();
        self.store_rows(&a.output, &outputs, a.value_depth, (row, four), rows.inside);
        self.store_of_rows(&a.maxima, rows.maxima, (row, four), rows.inside);
        self.store_of_rows(&a.sums, sums, (row, four), rows.inside);
    }

    /// Stores rows of a result that lie side by side.
    fn store_rows(
        &mut self,
        to: &Element,
        values: &[Pair],
        width: usize,
        (row, four): (Reg, Reg),
        inside: [Reg; 2],
    ) {
        let to = self.address(to);
        let column = self.times(four, 4);
        let at = self.times_plus(row, width, column);
        let base = self.scaled(&to, at, 4);
        for (half, inside) in inside.into_iter().enumerate() {
            for (panel, [even, odd]) in values.iter().enumerate() {
                let at = 4 * (8 * half * width + PANEL * panel) as i64;
                let to = Address { base, ..to }.plus(at);
                let [w, x] = [even[2 * half], odd[2 * half]];
                let [y, z] = [even[2 * half + 1], odd[2 * half + 1]];
                self.t.store(to, "f32", &[w, x, y, z]).when(inside);
            }
        }
    }

    /// Stores one number for each row; the four threads of a row have the same.
    fn store_of_rows(
        &mut self,
        to: &Element,
        values: [Reg; 2],
        (row, four): (Reg, Reg),
        inside: [Reg; 2],
    ) {
        let to = self.address(to);
        let base = self.scaled(&to, row, 4);
        let leader = self.t.def(Class::Predicate, "setp.eq.u32", (four, 0));
        for (half, value) in values.into_iter().enumerate() {
            let stores = self
                .t
                .def(Class::Predicate, "and.pred", (inside[half], leader));
            let to = Address { base, ..to }.plus(32 * half as i64);
            self.t.store(to, "f32", &[value]).when(stores);
        }
    }
}
