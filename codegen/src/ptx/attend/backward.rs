//! Attention's backward pass on the tensor cores, in tf32.
//!
//! A warp has 16 rows, and their gradients in registers. Of the columns' two vectors blocks are
//! staged once, for products over channels and over columns. Scores of 16 rows and 8 columns leave
//! a thread with two neighbouring columns of two rows; they are recomputed, used and forgotten.

use super::super::code::{Address, Class, FMA, Reg};
use super::super::emit::{Emitter, Index};
use super::super::plan::attention::{
    NUMBERS, ROW, ROWS, SECOND_PITCH, STAGED_PANEL, WARP_ROWS, buffer_bytes, numbers_at, second_at,
};
use super::{LOG2_E, Pair, STEP};
use crate::kernel::{AttendBackward, Element, Format, PANEL};

/// What a thread knows of its rows `g` and `g + 8`, and where it is in its warp.
struct RowState {
    lhs: [Vec<[Reg; 4]>; 2],
    /// The end of the keys that a query sees; the first query that sees a key.
    bounds: [Index; 2],
    /// Of queries: what is added to powers of 2, and one over the sum of exponentials.
    own: Option<([Reg; 2], [Reg; 2])>,
    group: Reg,
    four: Reg,
}

/// A fragment of 16 rows and 8 columns.
type Fragment = [Reg; 4];

impl Emitter<'_> {
    pub(in super::super) fn attend_backward(&mut self, a: &AttendBackward) {
        let extent = self.extent(&a.rows);
        let (warp, lane) = self.split(self.tid, 32);
        let (group, four) = self.split(lane, 4);
        let row = self.times_plus(warp, WARP_ROWS, group);
        let inside = [0, 8].map(|by| self.row_inside(row, by, extent));
        let lhs = [0, 1].map(|i| {
            let side = &a.lhs[i];
            let strides = (side.row_stride, side.column_stride);
            let from = (&side.first, strides, a.depths[i]);
            self.lhs_fragments(Format::F32, from, (row, four), inside)
        });
        let (bounds, blocks) = self.bounds(a, row, extent);
        let own = (!a.by_keys).then(|| {
            let mut numbers = |of: &Element, default: f32| {
                [0, 1].map(|half| self.of_row(of, row, half, (inside[half], default)))
            };
            let (maxima, sums) = (numbers(&a.maxima, 0.0), numbers(&a.sums, 1.0));
            let inverses = sums.map(|sum| self.inverse(sum));
            (maxima.map(|maximum| self.exponent_shift(maximum)), inverses)
        });
        let rows = RowState {
            lhs,
            bounds,
            own,
            group,
            four,
        };
        let from = [0, 1].map(|i| self.address(&a.rhs[i].first));
        let of_columns = match a.by_keys {
            true => [&a.maxima, &a.sums, &a.inner]
                .map(|x| self.address(x))
                .into(),
            false => Vec::new(),
        };
        let stage = |e: &mut Self, block: Reg, to: &Address| {
            e.stage_columns(a, (&from, &of_columns), block, to);
        };
        let zeros = |e: &mut Self, width: usize| -> Vec<Pair> {
            (0..width / PANEL).map(|_| e.zero_pair()).collect()
        };
        let mut of_rows = None;
        if !a.by_keys {
            let inner = [0; 2].map(|_| self.t.def(Class::F32, "mov.f32", 0.0));
            self.staged_blocks(blocks, buffer_bytes(a), &stage, |e, block, from| {
                for f in 0..ROWS / STEP {
                    let (p, dp) = e.score_tile(a, &rows, (block, f), from);
                    for at in 0..4 {
                        let sum = inner[at / 2];
                        e.t.set(sum, FMA, (p[at], dp[at], sum));
                    }
                }
            });
            let inner = inner.map(|sum| self.over_row(sum, "add.rn.f32"));
            self.store_of_rows(&a.inner, inner, (row, four), inside);
            of_rows = Some(inner);
            // The buffers are filled again.
            self.t.barrier();
        }
        let widths = &a.depths[..a.results.len()];
        let results: Vec<Vec<Pair>> = widths.iter().map(|&width| zeros(self, width)).collect();
        self.staged_blocks(blocks, buffer_bytes(a), &stage, |e, block, from| {
            for f in 0..ROWS / STEP {
                let (p, dp) = e.score_tile(a, &rows, (block, f), from);
                let ds = e.gradients_of_scores(a, (p, dp), of_rows, (four, f), from);
                for (which, (sums, side)) in results.iter().zip([ds, p]).enumerate() {
                    let from = from.plus(which as i64 * second_at(a));
                    e.add_columns(sums, side, &from, (&rows, f));
                }
            }
        });
        for (to, (sums, &width)) in a.results.iter().zip(results.iter().zip(widths)) {
            self.store_rows(to, sums, width, (row, four), inside);
        }
        self.pending = Default::default();
    }

    /// What rows see, and the blocks of columns that some row sees or is seen by.
    fn bounds(&mut self, a: &AttendBackward, row: Reg, rows: Index) -> ([Index; 2], [Index; 2]) {
        let all = Index::from(a.columns.div_ceil(ROWS));
        let Some(size) = a.causal.filter(|_| a.by_keys) else {
            let seen = (a.causal, a.columns, ROWS);
            let (limits, blocks) = self.limits(seen, &a.first, row, rows);
            return (limits, [Index::Constant(0), blocks]);
        };
        let first = self.affine(&a.first, Class::B32);
        let bounds = [0, 8].map(|by| {
            let row = self.plus(row, by);
            let key = self.plus(row, first);
            let (block, _) = self.split(key, size);
            Index::Reg(self.times(block, size))
        });
        let (block, _) = self.split(first, size);
        let least = self.times(block, size);
        let (start, _) = self.split(least, ROWS);
        (bounds, [Index::Reg(start), all])
    }

    fn exponent_shift(&mut self, maximum: Reg) -> Reg {
        self.t.def(Class::F32, "mul.rn.f32", (maximum, -LOG2_E))
    }

    fn inverse(&mut self, sum: Reg) -> Reg {
        self.t.def(Class::F32, "rcp.rn.f32", sum)
    }

    /// The number of a thread's row; of one that does not exist, the default.
    fn of_row(
        &mut self,
        of: &Element,
        row: Reg,
        half: usize,
        (inside, default): (Reg, f32),
    ) -> Reg {
        let from = self.address(of);
        let base = self.scaled(&from, row, 4);
        let from = Address { base, ..from }.plus(32 * half as i64);
        self.load_or(default, from, inside)
    }

    fn stage_columns(
        &mut self,
        a: &AttendBackward,
        (from, numbers): (&[Address; 2], &[Address]),
        block: Reg,
        stage: &Address,
    ) {
        let first = self.times(block, ROWS);
        for (which, from) in from.iter().enumerate() {
            let piece = (a.depths[which] / PANEL, ROWS, SECOND_PITCH);
            let to = stage.plus(which as i64 * second_at(a));
            let bytes = 4 * a.rhs[which].stride;
            let rows = (None, Some(first));
            self.copy_panels(from, bytes, piece, rows, (a.columns, false), to);
        }
        if !numbers.is_empty() {
            let column = self.plus(self.tid, first);
            let inside = self
                .t
                .def(Class::Predicate, "setp.lt.s32", (column, a.columns));
            let size = self.t.def(Class::B32, "selp.b32", (4, 0, inside));
            let copies = self
                .t
                .def(Class::Predicate, "setp.lt.u32", (self.tid, ROWS));
            let to = stage.plus(numbers_at(a));
            let base = self.scaled(&to, self.tid, 4);
            for (which, from) in numbers.iter().enumerate() {
                let to = Address { base, ..to }.plus(which as i64 * NUMBERS);
                let base = self.scaled(from, column, 4);
                let from = Address { base, ..*from };
                self.t.copy(to, from, 4, Some(size)).when(copies);
            }
        }
        self.t.op("cp.async.commit_group", ());
    }

    /// The probabilities of a fragment, and their gradients.
    fn score_tile(
        &mut self,
        a: &AttendBackward,
        rows: &RowState,
        (block, f): (Reg, usize),
        stage: &Address,
    ) -> (Fragment, Fragment) {
        let lane = self.times(rows.four, 4);
        let lane = self.times_plus(rows.group, ROW as usize, lane);
        let base = self.plus(stage.base, lane);
        let from = Address { base, ..*stage }.plus((STEP * f) as i64 * ROW);
        let scores = self.over_channels(&rows.lhs[0], &from);
        let dp = self.over_channels(&rows.lhs[1], &from.plus(second_at(a)));
        let (shifts, inverses) = match rows.own {
            Some(([s0, s1], [i0, i1])) => ([s0, s0, s1, s1], [i0, i0, i1, i1]),
            None => {
                let maxima = self.of_columns(a, 0, (rows.four, f), stage);
                let [s0, s1] = maxima.map(|maximum| self.exponent_shift(maximum));
                let sums = self.of_columns(a, 1, (rows.four, f), stage);
                let [i0, i1] = sums.map(|sum| self.inverse(sum));
                ([s0, s1, s0, s1], [i0, i1, i0, i1])
            }
        };
        let factor = f32::from_bits(a.scale) * LOG2_E;
        let start = self.times(block, ROWS);
        let start = self.times_plus(rows.four, 2, start);
        let columns = [0, 1].map(|second| self.plus(start, STEP * f + second));
        let p = [0, 1, 2, 3].map(|at| {
            let power = self
                .t
                .def(Class::F32, "fma.rn.f32", (scores[at], factor, shifts[at]));
            let exp = self.t.def(Class::F32, "ex2.approx.ftz.f32", power);
            let p = self.t.def(Class::F32, "mul.rn.f32", (exp, inverses[at]));
            match self.seen(a, columns[at % 2], rows.bounds[at / 2]) {
                None => p,
                Some(seen) => self.t.def(Class::F32, "selp.f32", (p, 0.0, seen)),
            }
        });
        (p, dp)
    }

    /// Whether a row and a column see one another, if that is not certain.
    fn seen(&mut self, a: &AttendBackward, column: Reg, bound: Index) -> Option<Reg> {
        let ragged = !a.columns.is_multiple_of(ROWS);
        let mut holds =
            |name: &'static str, bound: Index| self.t.def(Class::Predicate, name, (column, bound));
        if !a.by_keys {
            return (ragged || a.causal.is_some()).then(|| holds("setp.lt.s32", bound));
        }
        let exists = ragged.then(|| holds("setp.lt.s32", a.columns.into()));
        let seen = a.causal.map(|_| holds("setp.ge.s32", bound));
        match (exists, seen) {
            (Some(exists), Some(seen)) => {
                Some(self.t.def(Class::Predicate, "and.pred", (exists, seen)))
            }
            (exists, seen) => exists.or(seen),
        }
    }

    /// Products of rows with the vectors of 8 columns.
    fn over_channels(&mut self, lhs: &[[Reg; 4]], from: &Address) -> Fragment {
        let sums = [0; 4].map(|_| self.t.def(Class::F32, "mov.f32", 0.0));
        for (step, lhs) in lhs.iter().enumerate() {
            let (panel, half) = (step / 2, step % 2);
            let from = from.plus(panel as i64 * STAGED_PANEL + 32 * half as i64);
            let rhs = [0, 16].map(|by| {
                let word = self.t.loaded(Class::F32, "f32", from.plus(by));
                self.tf32(word)
            });
            self.multiply(Format::F32, &sums, lhs, rhs);
        }
        sums
    }

    /// Two neighbouring columns' maxima, sums of exponentials or inner products.
    fn of_columns(
        &mut self,
        a: &AttendBackward,
        which: i64,
        (four, f): (Reg, usize),
        stage: &Address,
    ) -> [Reg; 2] {
        let lane = self.times(four, 8);
        let base = self.plus(stage.base, lane);
        let from = Address { base, ..*stage };
        let from = from.plus(numbers_at(a) + which * NUMBERS + 4 * (STEP * f) as i64);
        let numbers = [0; 2].map(|_| self.t.reg(Class::F32));
        self.t.load(&numbers, "f32", from);
        numbers
    }

    fn gradients_of_scores(
        &mut self,
        a: &AttendBackward,
        (p, dp): (Fragment, Fragment),
        of_rows: Option<[Reg; 2]>,
        (four, f): (Reg, usize),
        stage: &Address,
    ) -> Fragment {
        let inner = match of_rows {
            Some([i0, i1]) => [i0, i0, i1, i1],
            None => {
                let [i0, i1] = self.of_columns(a, 2, (four, f), stage);
                [i0, i1, i0, i1]
            }
        };
        let scale = f32::from_bits(a.scale);
        [0, 1, 2, 3].map(|at| {
            let centred = self.t.def(Class::F32, "sub.rn.f32", (dp[at], inner[at]));
            let ds = self.t.def(Class::F32, "mul.rn.f32", (p[at], centred));
            self.t.def(Class::F32, "mul.rn.f32", (ds, scale))
        })
    }

    /// Adds a fragment's products with the vectors of its 8 columns.
    fn add_columns(
        &mut self,
        sums: &[Pair],
        [c0, c1, c2, c3]: Fragment,
        stage: &Address,
        (rows, f): (&RowState, usize),
    ) {
        // Terms t and t + 4 are the columns 2t and 2t + 1.
        let lhs = [c0, c2, c1, c3].map(|x| self.tf32(x));
        let lane = self.times(rows.group, 8);
        let lane = self.times_plus(rows.four, 2 * ROW as usize, lane);
        let base = self.plus(stage.base, lane);
        let from = Address { base, ..*stage }.plus((STEP * f) as i64 * ROW);
        for (panel, pair) in sums.iter().enumerate() {
            let from = from.plus(panel as i64 * STAGED_PANEL);
            let low = self.rounded_words(Format::F32, &from);
            let high = self.rounded_words(Format::F32, &from.plus(ROW));
            for which in 0..2 {
                self.multiply(Format::F32, &pair[which], &lhs, [low[which], high[which]]);
            }
        }
    }
}
