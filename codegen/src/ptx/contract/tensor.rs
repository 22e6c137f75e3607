//! Tiles on the tensor cores.
//!
//! In words of 32 bits every format looks alike: a fragment of the lhs is 16 rows of 8
//! words, one of the rhs 8 rows of words by 8 columns. A word is one term of tf32, two of
//! bf16 or f16, four of int8. Of a panel's 16 columns a thread's fragments take neighbours, so that
//! it loads two words at once and ends with four neighbouring results.

use super::super::code::{Address, Class, Opcode, Reg, Space};
use super::super::emit::Emitter;
use super::super::plan::{PADDED_ROW, TENSOR_PANEL_ROW, TENSOR_ROW, Unit};
use super::Plan;
use super::pipeline::Zeros;
use crate::kernel::Format;
use bsq_ir::DType;

/// Bytes of a row that one instruction takes.
const STEP: usize = 32;

impl Emitter<'_> {
    pub(super) fn tensor_tile(&mut self, plan: &Plan) {
        let Unit::Tensor { wx, mt, nt, .. } = plan.tiling.unit else {
            unreachable!("a tile on the tensor cores")
        };
        let (warp, lane) = self.split(self.tid, 32);
        let (wy, wx) = self.split(warp, wx);
        let (group, four) = self.split(lane, 4);

        // Rows and columns of the results: of fragment (i, j) rows g and g + 8, columns 4t to
        // 4t + 3.
        let row = self.times_plus(wy, 16 * mt, group);
        let row = self.plus(row, plan.row);
        let first = self.times(wx, 16 * nt);
        let column = self.times_plus(four, 4, first);
        let column = self.plus(column, plan.column);
        let row_offsets: Vec<i64> = (0..2 * mt as i64).map(|half| 8 * half).collect();
        let rows = self.inside(row, &row_offsets, plan.m, plan.tiling.rows());
        let column_offsets: Vec<i64> = (0..4 * nt as i64).map(|at| at / 4 * 16 + at % 4).collect();
        let columns = self.inside(column, &column_offsets, plan.n, plan.tiling.columns());

        let dtype = plan.contract.format.c();
        let sums = self.start_of_sums(plan, (mt, nt), column, &columns);
        let a_lane = self.a_lane(wy, lane, mt);
        let b_lane = self.b_lane(plan, (wx, nt), (group, four));
        let format = plan.contract.format;
        self.slabs(plan, Zeros::Added, &mut |e, stage, _| {
            e.tensor_slab(format, (mt, nt), stage, (a_lane, b_lane), &sums);
        });
        let to = self.result(plan, row, column);
        let stride = 4 * plan.contract.c_row_stride;
        let aligned = plan.result_is_aligned();
        for (half, inside) in rows.iter().enumerate() {
            let (i, upper) = (half / 2, half % 2);
            for j in 0..nt {
                let to = to.plus(8 * half as i64 * stride + 64 * j as i64);
                // Even columns are the first fragment's, odd ones the second's.
                let [even, odd] = [0, 1].map(|which| &sums[(i * nt + j) * 2 + which]);
                let at = 2 * upper;
                let values = [even[at], odd[at], even[at + 1], odd[at + 1]];
                let inside_columns = &columns[4 * j..4 * j + 4];
                self.store_row(dtype, &to, &values, *inside, inside_columns, aligned);
            }
        }
    }

    /// Offset of a lane's row for the loads of the lhs's fragments.
    fn a_lane(&mut self, wy: Reg, lane: Reg, mt: usize) -> Reg {
        let (half, row) = self.split(lane, 16);
        let row = self.times_plus(wy, 16 * mt, row);
        let at = self.times(half, 16);
        self.times_plus(row, PADDED_ROW, at)
    }

    fn b_lane(&mut self, plan: &Plan, (wx, nt): (Reg, usize), (group, four): (Reg, Reg)) -> Reg {
        let (_, _, pitch, panel) = plan.tiling.panel();
        let start = plan.tiling.a_bytes();
        let at = self.times_plus(group, 8, start);
        let at = self.times_plus(four, pitch, at);
        self.times_plus(wx, nt * panel, at)
    }

    /// Sums of fragments: zero, or what columns start from.
    fn start_of_sums(
        &mut self,
        plan: &Plan,
        (mt, nt): (usize, usize),
        column: Reg,
        inside: &[Option<Reg>],
    ) -> Vec<[Reg; 4]> {
        let mut starts = Vec::new();
        if let Some(columns) = plan.columns {
            let base = self.scaled(&columns, column, 4);
            for (at, inside) in inside.iter().enumerate() {
                let from =
                    Address { base, ..columns }.plus(4 * (at as i64 / 4 * 16 + at as i64 % 4));
                let value = self.t.def(Class::B32, "mov.b32", 0);
                self.t.load(&[value], "b32", from).when(*inside);
                starts.push(value);
            }
        }
        let mut sums = Vec::new();
        for fragment in 0..mt * nt * 2 {
            let (j, odd) = (fragment / 2 % nt, fragment % 2);
            let sum = [0, 1, 2, 3].map(|at| {
                if plan.contract.format.c() == DType::F32 {
                    return self.t.def(Class::F32, "mov.f32", 0.0);
                }
                let start = starts[4 * j + 2 * (at % 2) + odd];
                self.t.def(Class::B32, "mov.b32", start)
            });
            sums.push(sum);
        }
        sums
    }

    fn tensor_slab(
        &mut self,
        format: Format,
        (mt, nt): (usize, usize),
        stage: &Address,
        (a_lane, b_lane): (Reg, Reg),
        sums: &[[Reg; 4]],
    ) {
        let at = |e: &mut Self, lane: Reg| Address {
            space: Space::Shared,
            base: e.plus(stage.base, lane),
            offset: stage.offset,
        };
        let (a, b) = (at(self, a_lane), at(self, b_lane));
        let row = 4 * TENSOR_PANEL_ROW as i64;
        let panel = row * (TENSOR_ROW / 4) as i64;
        for step in 0..TENSOR_ROW / STEP {
            let mut lhs = Vec::new();
            for i in 0..mt {
                let from = a.plus((i * 16 * PADDED_ROW + step * STEP) as i64);
                lhs.push(self.lhs_fragment(format, &from));
            }
            for j in 0..nt {
                let from = b.plus(j as i64 * panel + (step * STEP / 4) as i64 * row);
                let low = self.rounded_words(format, &from);
                let high = self.rounded_words(format, &from.plus(4 * row));
                for (i, lhs) in lhs.iter().enumerate() {
                    for which in 0..2 {
                        let sum = &sums[(i * nt + j) * 2 + which];
                        self.multiply(format, sum, lhs, [low[which], high[which]]);
                    }
                }
            }
        }
    }

    fn lhs_fragment(&mut self, format: Format, from: &Address) -> [Reg; 4] {
        let words = [0; 4].map(|_| self.t.reg(Class::B32));
        self.t.set(words, Opcode::LoadMatrix, from);
        words.map(|word| self.rounded(format, word))
    }
}
