//! Attention on the tensor cores with online softmax.
//!
//! A warp has 16 queries and keeps their sums in registers. Blocks of keys and values are staged
//! in shared memory while the block before is used. Scores of 16 keys leave a thread with four
//! neighbouring keys of two rows, which are the left side of the second product as they are, if
//! the rows of V are taken in the same order.

use super::emit::{Emitter, Index};
use super::memory::{Address, Space};
use super::text::{Class, Float, Reg};
use crate::kernel::{Attend, PANEL};

pub const THREADS: u32 = 128;
/// Keys of a block.
const KEYS: usize = 64;
const WARP_ROWS: usize = 16;
/// Words between staged rows, such that the rows of a fragment fall into different banks: those
/// of K follow one another, of V every second one is taken.
const K_PITCH: usize = 24;
const V_PITCH: usize = 20;
const ALL: u32 = u32::MAX;
const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// A 16 x 16 part of a result: the fragments of even and of odd columns.
type Pair = [[Reg; 4]; 2];

/// Bytes of staged keys, and of both buffers of keys and values.
pub fn stage_bytes(attend: &Attend) -> usize {
    2 * (k_bytes(attend) + attend.value_depth.div_ceil(PANEL) * KEYS / 2 * V_PITCH * 4)
}

fn k_bytes(attend: &Attend) -> usize {
    KEYS / PANEL * attend.depth / 2 * K_PITCH * 4
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

    fn zero_pair(&mut self) -> Pair {
        [0; 2].map(|_| [0; 4].map(|_| self.t.def(Class::F32, "mov.f32", Float(0.0))))
    }

    /// The left side of `Q K^T`: for each 16 channels the four registers of a fragment.
    fn query_fragments(
        &mut self,
        a: &Attend,
        row: Reg,
        four: Reg,
        inside: [Option<Reg>; 2],
    ) -> Vec<[Reg; 4]> {
        let q = self.address(&a.q);
        let column = self.times(four, 2);
        let mut base = q.base;
        for (reg, stride) in [(row, a.q_row_stride), (column, a.q_column_stride)] {
            let operands = format_args!("{reg}, {}, {base}", 4 * stride);
            base = self.t.def(Class::B64, "mad.wide.s32", operands);
        }
        let q = Address { base, ..q };
        let mut fragments = Vec::new();
        for step in 0..(a.depth / 16) as i64 {
            // Rows g and g + 8, channels 2t and 2t + 8.
            let places = [(0, 0), (1, 0), (0, 8), (1, 8)];
            fragments.push(places.map(|(half, channel)| {
                let pair = [0, 1].map(|odd| {
                    let at =
                        8 * half * a.q_row_stride + (16 * step + channel + odd) * a.q_column_stride;
                    let from = q.plus(4 * at);
                    let value = self.t.def(Class::F32, "mov.f32", Float(0.0));
                    let guard = inside[half as usize].map_or(String::new(), |p| format!("@{p} "));
                    let name = format!("{guard}{}.f32", from.space.load());
                    self.t.op(&name, format_args!("{value}, {from}"));
                    value
                });
                self.pack(pair)
            }));
        }
        fragments
    }

    /// Two numbers as one word of bf16, the first in the low half.
    fn pack(&mut self, [low, high]: [Reg; 2]) -> Reg {
        self.t.def(
            Class::B32,
            "cvt.rn.bf16x2.f32",
            format_args!("{high}, {low}"),
        )
    }

    /// How many keys each of a thread's rows sees, and blocks of keys that some row sees.
    fn limits(&mut self, a: &Attend, row: Reg, rows: Index) -> ([Index; 2], Index) {
        let Some(size) = a.causal else {
            let keys = Index::Constant(a.keys as i64);
            return ([keys; 2], Index::Constant(a.keys.div_ceil(KEYS) as i64));
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
        let above = self.plus(most, KEYS - 1);
        let (blocks, _) = self.split(above, KEYS);
        (limits, Index::Reg(blocks))
    }

    /// Starts the copies of a block of keys and of its values.
    fn stage_keys(
        &mut self,
        a: &Attend,
        (keys, values): (&Address, &Address),
        block: Reg,
        stage: &Address,
    ) {
        // Keys: some panels of 16, all rows of words of each.
        let key_rows = a.depth / 2;
        let first = self.times(block, KEYS / PANEL);
        let piece = (KEYS / PANEL, key_rows, K_PITCH);
        let panels = a.keys.div_ceil(PANEL);
        self.copy_panels(
            keys,
            2 * a.k_panel_stride,
            piece,
            (Some(first), None),
            panels,
            *stage,
        );
        // Values: every panel, some rows of words of each.
        let value_rows = KEYS / 2;
        let first = self.times(block, value_rows);
        let piece = (a.value_depth / PANEL, value_rows, V_PITCH);
        let stage = stage.plus(k_bytes(a) as i64);
        let rows = a.keys.div_ceil(2);
        self.copy_panels(
            values,
            2 * a.v_panel_stride,
            piece,
            (None, Some(first)),
            rows,
            stage,
        );
        self.t.bare("cp.async.commit_group");
    }

    /// Copies panels of rows of 16 words; of the axis that starts at `first`, what lies beyond
    /// `limit` is filled with zeros.
    fn copy_panels(
        &mut self,
        from: &Address,
        panel_bytes: i64,
        (panels, rows, pitch): (usize, usize, usize),
        (first_panel, first_row): (Option<Reg>, Option<Reg>),
        limit: usize,
        stage: Address,
    ) {
        const CHUNKS: usize = 4;
        let pieces = panels * rows * CHUNKS;
        let threads = THREADS as usize;
        for number in 0..pieces.div_ceil(threads) {
            // Neighbouring threads take the same chunk of rows that lie in different banks.
            let together = if pitch == K_PITCH { 4 } else { 8 };
            let index = self.plus(self.tid, number * threads);
            let (rest, low) = self.split(index, together);
            let (high, chunk) = self.split(rest, CHUNKS);
            let row = self.times_plus(high, together, low);
            let (panel, row) = self.split(row, rows);
            let to = self.times(row, 4 * pitch);
            let to = self.times_plus(chunk, 16, to);
            let to = self.times_plus(panel, 4 * pitch * rows, to);
            let to = Address {
                base: self.plus(stage.base, to),
                ..stage
            };
            let panel = first_panel.map_or(panel, |first| self.plus(panel, first));
            let row = first_row.map_or(row, |first| self.plus(row, first));
            let operands = format_args!("{panel}, {panel_bytes}, {}", from.base);
            let base = self.t.def(Class::B64, "mad.wide.s32", operands);
            let base = self.t.def(
                Class::B64,
                "mad.wide.s32",
                format_args!("{row}, 64, {base}"),
            );
            let base = self.t.def(
                Class::B64,
                "mad.wide.s32",
                format_args!("{chunk}, 16, {base}"),
            );
            let from = Address { base, ..*from };
            let counted = if first_panel.is_some() { panel } else { row };
            let operands = format_args!("{counted}, {limit}");
            let inside = self.t.def(Class::Predicate, "setp.lt.s32", operands);
            let size = self
                .t
                .def(Class::B32, "selp.b32", format_args!("16, 0, {inside}"));
            let guard = match (number + 1) * threads <= pieces {
                true => String::new(),
                false => {
                    let operands = format_args!("{}, {}", self.tid, pieces - number * threads);
                    let exists = self.t.def(Class::Predicate, "setp.lt.u32", operands);
                    format!("@{exists} ")
                }
            };
            let name = format!("{guard}cp.async.cg.shared.global");
            self.t.op(&name, format_args!("{to}, {from}, 16, {size}"));
        }
    }

    fn attend_block(
        &mut self,
        a: &Attend,
        (queries, outputs): (&[[Reg; 4]], &[Pair]),
        rows: &mut Rows,
        (block, group, four): (Reg, Reg, Reg),
        stage: &Address,
    ) {
        let lane = self.times(group, 8);
        let k_lane = self.times_plus(four, 4 * K_PITCH, lane);
        let v_lane = self.times_plus(four, 2 * 4 * V_PITCH, lane);
        let k = Address {
            base: self.plus(stage.base, k_lane),
            ..*stage
        };
        let v = Address {
            base: self.plus(stage.base, v_lane),
            ..*stage
        }
        .plus(k_bytes(a) as i64);

        let scores = self.scores(a, queries, &k);
        let scores = self.masked(a, scores, rows, (block, four));
        let probabilities = self.exponentials(&scores, rows, outputs);
        for (panel, output) in outputs.iter().enumerate() {
            for (step, p) in probabilities.iter().enumerate() {
                // Rows of words 2t and 2t + 1 of these 16 keys.
                let row = panel * KEYS / 2 + step * PANEL / 2;
                let from = v.plus((4 * V_PITCH * row) as i64);
                let low = self.word_pair(&from);
                let high = self.word_pair(&from.plus(4 * V_PITCH as i64));
                for which in 0..2 {
                    self.multiply_bf16(&output[which], p, [low[which], high[which]]);
                }
            }
        }
    }

    /// Scaled scores of a block: for each 16 keys a pair of fragments.
    fn scores(&mut self, a: &Attend, queries: &[[Reg; 4]], k: &Address) -> Vec<Pair> {
        let mut scores = Vec::new();
        for panel in 0..KEYS / PANEL {
            let sums = self.zero_pair();
            for (step, q) in queries.iter().enumerate() {
                let row = panel * a.depth / 2 + step * PANEL / 2;
                let from = k.plus((4 * K_PITCH * row) as i64);
                let low = self.word_pair(&from);
                let high = self.word_pair(&from.plus(4 * 4 * K_PITCH as i64));
                for which in 0..2 {
                    self.multiply_bf16(&sums[which], q, [low[which], high[which]]);
                }
            }
            let scale = Float(f32::from_bits(a.scale));
            scores.push(sums.map(|fragment| {
                fragment.map(|sum| {
                    self.t
                        .def(Class::F32, "mul.rn.f32", format_args!("{sum}, {scale}"))
                })
            }));
        }
        scores
    }

    /// Scores of keys that a row does not see become negative infinity.
    fn masked(
        &mut self,
        a: &Attend,
        scores: Vec<Pair>,
        rows: &Rows,
        (block, four): (Reg, Reg),
    ) -> Vec<Pair> {
        if a.causal.is_none() && a.keys.is_multiple_of(KEYS) {
            return scores;
        }
        let start = self.times(block, KEYS);
        let start = self.times_plus(four, 4, start);
        let hidden = Float(f32::NEG_INFINITY);
        let mut masked = Vec::new();
        for (panel, pair) in scores.into_iter().enumerate() {
            masked.push([0, 1].map(|odd| {
                [0, 1, 2, 3].map(|at| {
                    let (half, second) = (at / 2, at % 2);
                    let key = self.plus(start, panel * PANEL + 2 * second + odd);
                    let operands = format_args!("{key}, {}", rows.limits[half]);
                    let seen = self.t.def(Class::Predicate, "setp.lt.s32", operands);
                    let operands = format_args!("{}, {hidden}, {seen}", pair[odd][at]);
                    self.t.def(Class::F32, "selp.f32", operands)
                })
            }));
        }
        masked
    }

    /// Corrects what is known of the rows, and gives the exponentials as left sides of 16 keys.
    fn exponentials(
        &mut self,
        scores: &[Pair],
        rows: &mut Rows,
        outputs: &[Pair],
    ) -> Vec<[Reg; 4]> {
        let log2_e = Float(LOG2_E);
        let mut shifts = [rows.maxima[0]; 2];
        for (half, shift) in shifts.iter_mut().enumerate() {
            let mut maximum = rows.maxima[half];
            for fragment in scores.iter().flatten() {
                for value in &fragment[2 * half..2 * half + 2] {
                    let operands = format_args!("{maximum}, {value}");
                    maximum = self.t.def(Class::F32, "max.f32", operands);
                }
            }
            // The four threads of a row.
            let maximum = self.over_row(maximum, "max.f32");
            let old = rows.maxima[half];
            let down = self
                .t
                .def(Class::F32, "sub.rn.f32", format_args!("{old}, {maximum}"));
            let down = self
                .t
                .def(Class::F32, "mul.rn.f32", format_args!("{down}, {log2_e}"));
            let factor = self.t.def(Class::F32, "ex2.approx.ftz.f32", down);
            self.t.op("mov.f32", format_args!("{old}, {maximum}"));
            let sum = rows.sums[half];
            self.t
                .op("mul.rn.f32", format_args!("{sum}, {sum}, {factor}"));
            for fragment in outputs.iter().flatten() {
                for value in &fragment[2 * half..2 * half + 2] {
                    self.t
                        .op("mul.rn.f32", format_args!("{value}, {value}, {factor}"));
                }
            }
            let minus = Float(-LOG2_E);
            *shift = self
                .t
                .def(Class::F32, "mul.rn.f32", format_args!("{maximum}, {minus}"));
        }
        let mut left = Vec::new();
        for pair in scores {
            let exps = pair.map(|fragment| {
                [0, 1, 2, 3].map(|at| {
                    let operands = format_args!("{}, {log2_e}, {}", fragment[at], shifts[at / 2]);
                    let power = self.t.def(Class::F32, "fma.rn.f32", operands);
                    let exp = self.t.def(Class::F32, "ex2.approx.ftz.f32", power);
                    let sum = rows.sums[at / 2];
                    self.t.op("add.rn.f32", format_args!("{sum}, {sum}, {exp}"));
                    exp
                })
            });
            // Keys 4t, 4t + 1 and 4t + 2, 4t + 3 of both rows.
            let [even, odd] = exps;
            left.push(
                [(0, 0), (2, 0), (0, 1), (2, 1)]
                    .map(|(row, second)| self.pack([even[row + second], odd[row + second]])),
            );
        }
        left
    }

    /// A value combined over the four threads that share a row.
    fn over_row(&mut self, mut value: Reg, combine: &str) -> Reg {
        for distance in [1, 2] {
            let operands = format_args!("{value}, {distance}, 31, {}", ALL as i32);
            let other = self.t.def(Class::F32, "shfl.sync.bfly.b32", operands);
            value = self
                .t
                .def(Class::F32, combine, format_args!("{value}, {other}"));
        }
        value
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

    fn word_pair(&mut self, from: &Address) -> [Reg; 2] {
        let words = [0; 2].map(|_| self.t.reg(Class::B32));
        let operands = format_args!("{{{}, {}}}, {from}", words[0], words[1]);
        self.t.op("ld.shared.v2.b32", operands);
        words
    }

    fn multiply_bf16(&mut self, sum: &[Reg; 4], left: &[Reg; 4], [b0, b1]: [Reg; 2]) {
        let [s0, s1, s2, s3] = sum;
        let [a0, a1, a2, a3] = left;
        let sum = format!("{{{s0}, {s1}, {s2}, {s3}}}");
        self.t.op(
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
            format_args!("{sum}, {{{a0}, {a1}, {a2}, {a3}}}, {{{b0}, {b1}}}, {sum}"),
        );
    }
}
