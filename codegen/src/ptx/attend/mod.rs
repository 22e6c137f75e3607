//! Attention on the tensor cores with online softmax.
//!
//! A warp has 16 queries and keeps their sums in registers. Blocks of keys and values are staged
//! in shared memory while the block before is used. Scores of 16 keys leave a thread with four
//! neighbouring keys of two rows, which are the left side of the second product as they are, if
//! the rows of V are taken in the same order. As in contractions, all is counted in words: one term
//! of tf32, two of bf16.

mod block;
mod stage;

use super::emit::{Emitter, Index};
use super::memory::{Address, Space};
use super::text::{Class, Float, Reg};
use crate::kernel::{Attend, Format, PANEL};

pub const THREADS: u32 = 128;
/// Queries of a block of threads.
pub const QUERIES: usize = WARP_ROWS * THREADS as usize / 32;
/// Rows of words of V that are staged at a time.
const ROWS: usize = 32;
/// Rows of words that a product takes.
const STEP: usize = 8;
const WARP_ROWS: usize = 16;
/// Words between staged rows, such that the rows of a fragment fall into different banks, where
/// they follow one another and where every second one is taken.
const NEXT_PITCH: usize = 24;
const SECOND_PITCH: usize = 20;

/// A 16 x 16 part of a result: the fragments of even and of odd columns.
type Pair = [[Reg; 4]; 2];

/// Bytes of staged keys, and of both buffers of keys and values.
pub fn stage_bytes(attend: &Attend) -> usize {
    let panels = attend.value_depth.div_ceil(PANEL);
    2 * (k_bytes(attend) + panels * ROWS * Values::of(attend).pitch * 4)
}

fn k_bytes(attend: &Attend) -> usize {
    keys(attend) / PANEL * attend.depth / attend.format.terms() * NEXT_PITCH * 4
}

/// Keys of a block.
fn keys(attend: &Attend) -> usize {
    ROWS * attend.format.terms()
}

/// How rows of words of V are staged. Of 16 keys a thread has four neighbours, and so a fragment
/// takes rows that are apart.
struct Values {
    pitch: usize,
    /// Rows from a lane's first one to the next lane's, and to its own second one.
    lane: usize,
    second: usize,
    /// Of 16 rows, every fourth one together.
    gathered: bool,
}

impl Values {
    fn of(attend: &Attend) -> Values {
        match attend.format {
            Format::F32 => Values {
                pitch: NEXT_PITCH,
                lane: 1,
                second: 4,
                gathered: true,
            },
            _ => Values {
                pitch: SECOND_PITCH,
                lane: 2,
                second: 1,
                gathered: false,
            },
        }
    }
}

/// What a thread knows of its rows.
struct Rows {
    /// The rows g and g + 8 of its warp: whether they exist, and how many keys they see.
    inside: [Option<Reg>; 2],
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
        let inside: Vec<Option<Reg>> = [0, 8].map(|by| self.row_inside(row, by, rows)).into();
        let inside = [inside[0], inside[1]];
        let queries = self.query_fragments(a, row, four, inside);
        let (limits, blocks) = self.limits(a, row, rows);
        let mut state = Rows {
            inside,
            limits,
            maxima: [0; 2].map(|_| self.t.def(Class::F32, "mov.f32", Float(f32::NEG_INFINITY))),
            sums: [0; 2].map(|_| self.t.def(Class::F32, "mov.f32", Float(0.0))),
        };
        let panels = a.value_depth / PANEL;
        let outputs: Vec<Pair> = (0..panels).map(|_| self.zero_pair()).collect();
        let stage = |base| Address {
            space: Space::Shared,
            base,
            offset: self.geometry.stage as i64,
        };
        let shared = self.shared.expect("keys are staged in shared memory");
        let buffer = self.t.def(Class::B32, "mov.b32", shared);
        let other = self.t.def(
            Class::B32,
            "add.u32",
            format_args!("{shared}, {}", stage_bytes(a) / 2),
        );
        let (buffer, other) = (stage(buffer), stage(other));
        let (keys, values) = (self.address(&a.k), self.address(&a.v));
        let first = self.t.def(Class::B32, "mov.b32", 0);
        self.stage_keys(a, (&keys, &values), first, &buffer);
        self.count(Index::Constant(0), blocks, 1, |e, block| {
            let block = e.index_reg(block);
            e.t.op("cp.async.wait_group", 0);
            e.t.op("bar.sync", 0);
            let next = e.plus(block, 1);
            let done = e.t.def(
                Class::Predicate,
                "setp.ge.s32",
                format_args!("{next}, {blocks}"),
            );
            let skip = e.t.label();
            e.t.branch(done, true, skip);
            e.stage_keys(a, (&keys, &values), next, &other);
            e.t.place(skip);
            e.attend_block(
                a,
                (&queries, &outputs),
                &mut state,
                (block, group, four),
                &buffer,
            );
            let swap = e.t.def(Class::B32, "mov.b32", buffer.base);
            e.t.op("mov.b32", format_args!("{}, {}", buffer.base, other.base));
            e.t.op("mov.b32", format_args!("{}, {swap}", other.base));
        });
        self.finish_rows(a, &outputs, &state, (row, four));
        self.pending = Default::default();
    }

    fn row_inside(&mut self, row: Reg, by: usize, rows: Index) -> Option<Reg> {
        let row = self.plus(row, by);
        Some(self.t.def(
            Class::Predicate,
            "setp.lt.s32",
            format_args!("{row}, {rows}"),
        ))
    }

    /// The left side of `Q K^T`: for each 8 words of channels the four registers of a fragment.
    fn query_fragments(
        &mut self,
        a: &Attend,
        row: Reg,
        four: Reg,
        inside: [Option<Reg>; 2],
    ) -> Vec<[Reg; 4]> {
        let q = self.address(&a.q);
        let terms = a.format.terms();
        let column = self.times(four, terms);
        let mut base = q.base;
        for (reg, stride) in [(row, a.q_row_stride), (column, a.q_column_stride)] {
            let operands = format_args!("{reg}, {}, {base}", 4 * stride);
            base = self.t.def(Class::B64, "mad.wide.s32", operands);
        }
        let q = Address { base, ..q };
        let mut fragments = Vec::new();
        let terms = terms as i64;
        for step in 0..a.depth as i64 / (STEP as i64 * terms) {
            // Rows g and g + 8, words t and t + 4.
            let places = [(0, 0), (1, 0), (0, 4), (1, 4)];
            fragments.push(places.map(|(half, word)| {
                let channel = terms * (STEP as i64 * step + word);
                let mut term = |odd: i64| {
                    let at = 8 * half * a.q_row_stride + (channel + odd) * a.q_column_stride;
                    let from = q.plus(4 * at);
                    let value = self.t.def(Class::F32, "mov.f32", Float(0.0));
                    let guard = inside[half as usize].map_or(String::new(), |p| format!("@{p} "));
                    let name = format!("{guard}{}.f32", from.space.load());
                    self.t.op(&name, format_args!("{value}, {from}"));
                    value
                };
                match a.format {
                    Format::F32 => {
                        let value = term(0);
                        self.tf32(value)
                    }
                    _ => {
                        let pair = [0, 1].map(term);
                        self.pack(pair)
                    }
                }
            }));
        }
        fragments
    }

    /// How many keys each of a thread's rows sees, and blocks of keys that some row sees.
    fn limits(&mut self, a: &Attend, row: Reg, rows: Index) -> ([Index; 2], Index) {
        let Some(size) = a.causal else {
            let keys = Index::Constant(a.keys as i64);
            let blocks = a.keys.div_ceil(self::keys(a));
            return ([keys; 2], Index::Constant(blocks as i64));
        };
        let first = self.affine(&a.first, Class::B32);
        let visible = |e: &mut Self, row: Reg| {
            let position = e.plus(row, first);
            let (block, _) = e.split(position, size);
            let end = e.times_plus(block, size, size);
            Index::Reg(e.t.def(Class::B32, "min.s32", format_args!("{end}, {}", a.keys)))
        };
        let limits = [0, 8].map(|by| {
            let row = self.plus(row, by);
            visible(self, row)
        });
        let rows = self.index_reg(rows);
        let last = self.t.def(Class::B32, "sub.s32", format_args!("{rows}, 1"));
        let most = visible(self, last);
        let most = self.index_reg(most);
        let above = self.plus(most, keys(a) - 1);
        let (blocks, _) = self.split(above, keys(a));
        (limits, Index::Reg(blocks))
    }

    fn finish_rows(&mut self, a: &Attend, outputs: &[Pair], rows: &Rows, (row, four): (Reg, Reg)) {
        let [output, maxima, sums] = a.writes().map(|element| self.address(element));
        let column = self.times(four, 4);
        let at = self.times_plus(row, a.value_depth, column);
        let output = Address {
            base: self.scaled(&output, at, 4),
            ..output
        };
        let leader = self
            .t
            .def(Class::Predicate, "setp.eq.u32", format_args!("{four}, 0"));
        for half in 0..2 {
            let sum = self.over_row(rows.sums[half], "add.rn.f32");
            let inverse = self.t.def(Class::F32, "rcp.rn.f32", sum);
            let inside = rows.inside[half].expect("rows are checked");
            for (panel, [even, odd]) in outputs.iter().enumerate() {
                let values = [
                    even[2 * half],
                    odd[2 * half],
                    even[2 * half + 1],
                    odd[2 * half + 1],
                ];
                let values = values.map(|value| {
                    self.t
                        .def(Class::F32, "mul.rn.f32", format_args!("{value}, {inverse}"))
                });
                let to = output.plus(4 * (8 * half * a.value_depth + PANEL * panel) as i64);
                let [w, x, y, z] = values;
                let name = format!("@{inside} {}.v4.f32", to.space.store());
                self.t
                    .op(&name, format_args!("{to}, {{{w}, {x}, {y}, {z}}}"));
            }
            let operands = format_args!("{inside}, {leader}");
            let first = self.t.def(Class::Predicate, "and.pred", operands);
            for (to, value) in [(maxima, rows.maxima[half]), (sums, sum)] {
                let base = self.scaled(&to, row, 4);
                let to = Address { base, ..to }.plus(32 * half as i64);
                let name = format!("@{first} {}.f32", to.space.store());
                self.t.op(&name, format_args!("{to}, {value}"));
            }
        }
    }
}
