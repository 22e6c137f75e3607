//! What is done with a block of keys: scores, exponentials, and their products with values.

use super::super::code::{Address, Class, Reg};
use super::super::emit::Emitter;
use super::super::plan::attention::{NEXT_PITCH, ROWS, Values, k_bytes, keys};
use super::{LOG2_E, Pair, RowState, STEP};
use crate::kernel::{Attend, Format, PANEL};

const ALL: u32 = u32::MAX;

impl Emitter<'_> {
    pub(super) fn attend_block(
        &mut self,
        a: &Attend,
        (queries, outputs): (&[[Reg; 4]], &[Pair]),
        rows: &mut RowState,
        (block, group, four): (Reg, Reg, Reg),
        stage: &Address,
    ) {
        let lane = self.times(group, 8);
        let staged = Values::of(a);
        let v_row = 4 * staged.pitch;
        let k_lane = self.times_plus(four, 4 * NEXT_PITCH, lane);
        let v_lane = self.times_plus(four, staged.lane * v_row, lane);
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
        let probabilities = self.exponentials(a.format, &scores, rows, outputs);
        for (panel, output) in outputs.iter().enumerate() {
            for (step, p) in probabilities.iter().enumerate() {
                // Of these keys the rows of words that `p` has of each row.
                let from = v.plus((v_row * (panel * ROWS + step * STEP)) as i64);
                let low = self.rounded_words(a.format, &from);
                let high = self.rounded_words(a.format, &from.plus((v_row * staged.second) as i64));
                for which in 0..2 {
                    self.multiply(a.format, &output[which], p, [low[which], high[which]]);
                }
            }
        }
    }

    /// Scaled scores of a block: for each 16 keys a pair of fragments.
    fn scores(&mut self, a: &Attend, queries: &[[Reg; 4]], k: &Address) -> Vec<Pair> {
        let mut scores = Vec::new();
        for panel in 0..keys(a) / PANEL {
            let sums = self.zero_pair();
            for (step, q) in queries.iter().enumerate() {
                let row = panel * a.depth / a.format.terms() + step * STEP;
                let from = k.plus((4 * NEXT_PITCH * row) as i64);
                let low = self.rounded_words(a.format, &from);
                let high = self.rounded_words(a.format, &from.plus(4 * 4 * NEXT_PITCH as i64));
                for which in 0..2 {
                    self.multiply(a.format, &sums[which], q, [low[which], high[which]]);
                }
            }
            let scale = f32::from_bits(a.scale);
            scores.push(sums.map(|fragment| {
                fragment.map(|sum| self.t.def(Class::F32, "mul.rn.f32", (sum, scale)))
            }));
        }
        scores
    }

    /// Scores of keys that a row does not see become negative infinity.
    fn masked(
        &mut self,
        a: &Attend,
        scores: Vec<Pair>,
        rows: &RowState,
        (block, four): (Reg, Reg),
    ) -> Vec<Pair> {
        if a.causal.is_none() && a.keys.is_multiple_of(keys(a)) {
            return scores;
        }
        let start = self.times(block, keys(a));
        let start = self.times_plus(four, 4, start);
        let hidden = f32::NEG_INFINITY;
        let mut masked = Vec::new();
        for (panel, pair) in scores.into_iter().enumerate() {
            masked.push([0, 1].map(|odd| {
                [0, 1, 2, 3].map(|at| {
                    let (half, second) = (at / 2, at % 2);
                    let key = self.plus(start, panel * PANEL + 2 * second + odd);
                    let seen =
                        self.t
                            .def(Class::Predicate, "setp.lt.s32", (key, rows.limits[half]));
                    self.t
                        .def(Class::F32, "selp.f32", (pair[odd][at], hidden, seen))
                })
            }));
        }
        masked
    }

    /// Corrects what is known of the rows, and gives the exponentials as left operands of 8 words.
    fn exponentials(
        &mut self,
        format: Format,
        scores: &[Pair],
        rows: &mut RowState,
        outputs: &[Pair],
    ) -> Vec<[Reg; 4]> {
        let mut shifts = [rows.maxima[0]; 2];
        for (half, shift) in shifts.iter_mut().enumerate() {
            let mut maximum = rows.maxima[half];
            for fragment in scores.iter().flatten() {
                for value in &fragment[2 * half..2 * half + 2] {
                    maximum = self.t.def(Class::F32, "max.f32", (maximum, value));
                }
            }
            // The four threads of a row.
            let maximum = self.over_row(maximum, "max.f32");
            let old = rows.maxima[half];
            let down = self.t.def(Class::F32, "sub.rn.f32", (old, maximum));
            let down = self.t.def(Class::F32, "mul.rn.f32", (down, LOG2_E));
            let factor = self.t.def(Class::F32, "ex2.approx.ftz.f32", down);
            self.t.set(old, "mov.f32", maximum);
            let sum = rows.sums[half];
            self.t.set(sum, "mul.rn.f32", (sum, factor));
            for fragment in outputs.iter().flatten() {
                for value in &fragment[2 * half..2 * half + 2] {
                    self.t.set(value, "mul.rn.f32", (value, factor));
                }
            }
            *shift = self.t.def(Class::F32, "mul.rn.f32", (maximum, -LOG2_E));
        }
        let mut lhs = Vec::new();
        for pair in scores {
            let exps = pair.map(|fragment| {
                [0, 1, 2, 3].map(|at| {
                    let power = self.t.def(
                        Class::F32,
                        "fma.rn.f32",
                        (fragment[at], LOG2_E, shifts[at / 2]),
                    );
                    let exp = self.t.def(Class::F32, "ex2.approx.ftz.f32", power);
                    let sum = rows.sums[at / 2];
                    self.t.set(sum, "add.rn.f32", (sum, exp));
                    exp
                })
            });
            // Keys 4t, 4t + 1 and 4t + 2, 4t + 3 of both rows.
            let [even, odd] = exps;
            match format {
                // Key 4t, then 4t + 1; and of the next keys 4t + 2, then 4t + 3.
                Format::F32 => lhs.extend([0, 1].map(|second| {
                    [even[second], even[2 + second], odd[second], odd[2 + second]]
                        .map(|exp| self.tf32(exp))
                })),
                _ => lhs.push([(0, 0), (2, 0), (0, 1), (2, 1)].map(|(row, second)| {
                    self.pack(format, [even[row + second], odd[row + second]])
                })),
            }
        }
        lhs
    }

    /// A value combined over the four threads that share a row.
    pub(super) fn over_row(&mut self, mut value: Reg, combine: &'static str) -> Reg {
        for distance in [1, 2] {
            let other = self.t.def(
                Class::F32,
                "shfl.sync.bfly.b32",
                (value, distance, 31, ALL as i32),
            );
            value = self.t.def(Class::F32, combine, (value, other));
        }
        value
    }

    pub(super) fn zero_pair(&mut self) -> Pair {
        [0; 2].map(|_| [0; 4].map(|_| self.t.def(Class::F32, "mov.f32", 0.0)))
    }

    /// Two numbers as one word of bf16 or f16, the first in the low half.
    pub(super) fn pack(&mut self, format: Format, [low, high]: [Reg; 2]) -> Reg {
        let name = match format {
            Format::F16 => "cvt.rn.f16x2.f32",
            _ => "cvt.rn.bf16x2.f32",
        };
        self.t.def(Class::B32, name, (high, low))
    }
}
