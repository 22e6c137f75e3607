//! Reductions in the fixed order of [`bsq_ir::order`].
//!
//! The 16 partial results by index mod 16 are the 16 lanes of a tile or a column
//! ([`reduce_lanes`](super::reduce_lanes)), or 16 registers of a thread by itself.

use super::code::{Class, Reg};
use super::emit::{Emitter, Index};
use super::memory::class;
use super::thread_group::{Sync, ThreadGroup};
use crate::kernel::{Affine, Combine, Extent, Reduce, Reduction};
use crate::lower::loops;
use bsq_ir::Op;
use bsq_ir::order::{CHUNK, LANES};

impl Emitter<'_> {
    pub(super) fn reduce(&mut self, reduce: &Reduce, threads: &ThreadGroup) {
        self.bind(reduce.var, &reduce.extent);
        let bases = self.bases.clone();
        let results = match threads.sync {
            Sync::Block => self.reduce_block(reduce),
            Sync::Warp(_) | Sync::Columns(_) => {
                let lane = threads.lane.expect("such a group has lanes");
                self.reduce_lanes(reduce, (lane, threads.sync))
            }
            Sync::Never => self.reduce_alone(reduce),
        };
        self.bases = bases;
        self.ranges.unbind(reduce.var);
        for (result, reg) in reduce.results.iter().zip(results) {
            self.values.insert(result.value, (result.dtype, reg));
        }
    }

    /// Runs the body for an index and a constant behind it: the terms. The addresses of all
    /// constants share registers.
    pub(super) fn terms(&mut self, reduce: &Reduce, index: Index, behind: usize) -> Vec<Reg> {
        let mut body = reduce.body.clone();
        let moved = Affine::var(reduce.var).offset(behind as i64);
        loops::substitute(&mut body, reduce.var, &moved);
        self.vars.insert(reduce.var, index);
        let outer = std::mem::take(&mut self.pending);
        let bases = self.bases.clone();
        self.block(&body, &ThreadGroup::ALONE);
        self.bases = bases;
        self.pending = outer;
        let results = reduce.results.iter();
        results.map(|result| self.values[&result.term].1).collect()
    }

    pub(super) fn include(&mut self, reduce: &Reduce, partials: &[Reg], terms: &[Reg]) {
        for ((result, &partial), &term) in reduce.results.iter().zip(partials).zip(terms) {
            let sum = self.combine(result, partial, term);
            self.assign(partial, sum);
        }
    }

    pub(super) fn neutral(&mut self, reduce: &Reduce) -> Vec<Reg> {
        let results = reduce.results.iter();
        let neutral = |result: &Reduction| {
            let constant = self.constant(result.dtype, result.op.neutral(result.dtype));
            let partial = self.t.reg(class(result.dtype));
            self.assign(partial, constant);
            partial
        };
        results.map(neutral).collect()
    }

    pub(super) fn assign(&mut self, to: Reg, from: Reg) {
        let mov = match to.class {
            Class::Predicate => "mov.pred",
            Class::B16 => "mov.b16",
            Class::B32 => "mov.b32",
            Class::B64 => "mov.b64",
            Class::F32 => "mov.f32",
        };
        self.t.set(to, mov, from);
    }

    /// Assigns the bits of a number where a condition holds.
    pub(super) fn assign_if(&mut self, condition: Reg, to: Reg, from: Reg) {
        let mov = match to.class {
            Class::B64 => "mov.b64",
            _ => "mov.b32",
        };
        self.t.set(to, mov, from).when(condition);
    }

    pub(super) fn combine(&mut self, result: &Reduction, x: Reg, y: Reg) -> Reg {
        let op = match result.op {
            Combine::Sum => Op::Add,
            Combine::Max => Op::Max,
            Combine::Min => Op::Min,
        };
        let dtype = result.dtype;
        self.map(&op, dtype, &[(dtype, x), (dtype, y)])
    }

    /// One thread: the partial results are registers.
    fn reduce_alone(&mut self, reduce: &Reduce) -> Vec<Reg> {
        let extent = match reduce.extent {
            Extent::Static(extent) => extent,
            _ => return self.reduce_counted(reduce),
        };
        if extent <= CHUNK {
            return self.chunk_alone(reduce, 0, extent);
        }
        let outer: Vec<Vec<Reg>> = (0..LANES).map(|_| self.neutral(reduce)).collect();
        let (whole, rest) = (extent / CHUNK, extent % CHUNK);
        let whole_chunks = Index::Constant(whole as i64);
        self.count(Index::Constant(0), whole_chunks, 1, |e, chunk| {
            let start = e.index_reg(chunk);
            let start = e.t.def(Class::B32, "mul.lo.u32", (start, CHUNK));
            let sums = e.whole_rows(reduce, Index::Reg(start), CHUNK);
            let sums = e.join_registers(reduce, sums);
            e.add_chunk(reduce, &outer, chunk, &sums);
        });
        if rest > 0 {
            let sums = self.chunk_alone(reduce, whole * CHUNK, rest);
            self.add_chunk(reduce, &outer, Index::Constant(whole as i64), &sums);
        }
        self.join_registers(reduce, outer)
    }

    /// Combines a chunk's results with the partial results of its number mod 16.
    fn add_chunk(&mut self, reduce: &Reduce, outer: &[Vec<Reg>], chunk: Index, sums: &[Reg]) {
        let chunk = self.index_reg(chunk);
        let lane = self.t.def(Class::B32, "and.b32", (chunk, LANES - 1));
        for (number, partials) in outer.iter().enumerate() {
            let is_lane = self.t.def(Class::Predicate, "setp.eq.u32", (lane, number));
            for ((result, &partial), &sum) in reduce.results.iter().zip(partials).zip(sums) {
                let with = self.combine(result, partial, sum);
                self.assign_if(is_lane, partial, with);
            }
        }
    }

    /// The same over a number of indices that is known when it runs.
    fn reduce_counted(&mut self, reduce: &Reduce) -> Vec<Reg> {
        let extent = self.extent(&reduce.extent);
        let extent = self.index_reg(extent);
        if reduce.extent.largest() <= CHUNK {
            let start = self.t.def(Class::B32, "mov.b32", 0);
            return self.chunk_counted(reduce, start, extent);
        }
        let outer: Vec<Vec<Reg>> = (0..LANES).map(|_| self.neutral(reduce)).collect();
        let chunks = self.chunks(Index::Reg(extent));
        self.count(Index::Constant(0), chunks, 1, |e, chunk| {
            let number = e.index_reg(chunk);
            let start = e.times(number, CHUNK);
            let end = e.plus(start, CHUNK);
            let end = e.t.def(Class::B32, "min.s32", (end, extent));
            let sums = e.chunk_counted(reduce, start, end);
            e.add_chunk(reduce, &outer, chunk, &sums);
        });
        self.join_registers(reduce, outer)
    }

    fn chunk_counted(&mut self, reduce: &Reduce, start: Reg, end: Reg) -> Vec<Reg> {
        let partials: Vec<Vec<Reg>> = (0..LANES).map(|_| self.neutral(reduce)).collect();
        // Chunks start at multiples of 16.
        let whole = self.t.def(Class::B32, "and.b32", (end, -(LANES as i32)));
        let (first, last) = (Index::Reg(start), Index::Reg(whole));
        self.count(first, last, LANES as u32, |e, index| {
            for (lane, partials) in partials.iter().enumerate() {
                let terms = e.terms(reduce, index, lane);
                e.include(reduce, partials, &terms);
            }
        });
        for (lane, partials) in partials.iter().enumerate().take(LANES - 1) {
            let index = self.plus(whole, lane);
            let none = self.t.def(Class::Predicate, "setp.ge.s32", (index, end));
            let skip = self.t.label();
            self.t.branch_if(none, skip);
            let terms = self.terms(reduce, Index::Reg(index), 0);
            self.include(reduce, partials, &terms);
            self.t.place(skip);
        }
        self.join_registers(reduce, partials)
    }

    fn chunk_alone(&mut self, reduce: &Reduce, start: usize, count: usize) -> Vec<Reg> {
        let rows = count / LANES * LANES;
        let start_index = Index::Constant(start as i64);
        let partials = self.whole_rows(reduce, start_index, rows);
        for (lane, partials) in partials.iter().enumerate().take(count - rows) {
            let index = Index::Constant((start + rows + lane) as i64);
            let terms = self.terms(reduce, index, 0);
            self.include(reduce, partials, &terms);
        }
        self.join_registers(reduce, partials)
    }

    /// Partial results over `count` indices from `start`, 16 at a time.
    fn whole_rows(&mut self, reduce: &Reduce, start: Index, count: usize) -> Vec<Vec<Reg>> {
        let partials: Vec<Vec<Reg>> = (0..LANES).map(|_| self.neutral(reduce)).collect();
        let end = match start {
            Index::Constant(start) => Index::Constant(start + count as i64),
            Index::Reg(reg) => Index::Reg(self.t.def(Class::B32, "add.s32", (reg, count))),
        };
        if count == 0 {
            return partials;
        }
        self.count(start, end, LANES as u32, |e, index| {
            for (lane, partials) in partials.iter().enumerate() {
                let terms = e.terms(reduce, index, lane);
                e.include(reduce, partials, &terms);
            }
        });
        partials
    }

    /// Halves the partial results until one is left.
    pub(super) fn join_registers(
        &mut self,
        reduce: &Reduce,
        mut partials: Vec<Vec<Reg>>,
    ) -> Vec<Reg> {
        while partials.len() > 1 {
            let upper = partials.split_off(partials.len() / 2);
            for (lower, upper) in partials.iter_mut().zip(upper) {
                for (position, result) in reduce.results.iter().enumerate() {
                    lower[position] = self.combine(result, lower[position], upper[position]);
                }
            }
        }
        partials.remove(0)
    }
}
