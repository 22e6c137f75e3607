//! Reductions in the fixed order of [`bsq_ir::order`].
//!
//! The 16 partial results by index mod 16 are the 16 lanes of a tile, or 16 registers of a thread
//! by itself. Lanes are joined by exchanges at distance 8, 4, 2, 1: every lane ends with the tree
//! of the fixed order, as addition does not mind which side comes first.

use super::emit::{Emitter, Index};
use super::memory::{Address, Space, class};
use super::team::{Sync, TILE, Team};
use super::text::{Class, Reg};
use crate::kernel::{Combine, Extent, Reduce, Reduction, Stmt};
use crate::lower::loops;
use bsq_ir::order::{CHUNK, LANES};
use bsq_ir::{DType, Op};

impl Emitter<'_> {
    pub(super) fn reduce(&mut self, reduce: &Reduce, team: &Team) {
        self.bind(reduce.var, &Extent::Static(reduce.extent));
        let bases = self.bases.clone();
        let results = match team.sync {
            Sync::Block => self.reduce_block(reduce),
            Sync::Warp(mask) => {
                let lane = team.lane.expect("a tile has lanes");
                self.reduce_tile(reduce, lane, mask)
            }
            Sync::Never => self.reduce_alone(reduce),
        };
        self.bases = bases;
        self.ranges.unbind(reduce.var);
        for (result, reg) in reduce.results.iter().zip(results) {
            self.values.insert(result.value, (result.dtype, reg));
        }
    }

    /// Runs the body for one index: the terms.
    fn terms(&mut self, reduce: &Reduce, index: Index, body: &[Stmt]) -> Vec<Reg> {
        self.vars.insert(reduce.var, index);
        let outer = std::mem::take(&mut self.pending);
        let bases = self.bases.clone();
        self.block(body, &Team::ALONE);
        self.bases = bases;
        self.pending = outer;
        let results = reduce.results.iter();
        results.map(|result| self.values[&result.term].1).collect()
    }

    fn include(&mut self, reduce: &Reduce, partials: &[Reg], terms: &[Reg]) {
        for ((result, &partial), &term) in reduce.results.iter().zip(partials).zip(terms) {
            let sum = self.combine(result, partial, term);
            self.assign(partial, sum);
        }
    }

    fn neutral(&mut self, reduce: &Reduce) -> Vec<Reg> {
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
        self.t.op(mov, format_args!("{to}, {from}"));
    }

    fn combine(&mut self, result: &Reduction, x: Reg, y: Reg) -> Reg {
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
        if reduce.extent <= CHUNK {
            return self.chunk_alone(reduce, 0, reduce.extent);
        }
        let outer: Vec<Vec<Reg>> = (0..LANES).map(|_| self.neutral(reduce)).collect();
        let (whole, rest) = (reduce.extent / CHUNK, reduce.extent % CHUNK);
        let add = |e: &mut Self, chunk: Index, sums: &[Reg]| {
            let chunk = e.index_reg(chunk);
            let operands = format_args!("{chunk}, {}", LANES - 1);
            let lane = e.t.def(Class::B32, "and.b32", operands);
            for (number, partials) in outer.iter().enumerate() {
                let operands = format_args!("{lane}, {number}");
                let is_lane = e.t.def(Class::Predicate, "setp.eq.u32", operands);
                for ((result, &partial), &sum) in reduce.results.iter().zip(partials).zip(sums) {
                    let with = e.combine(result, partial, sum);
                    let guard = format!("@{is_lane} mov.b{}", bits(result.dtype));
                    e.t.op(&guard, format_args!("{partial}, {with}"));
                }
            }
        };
        let body = &reduce.body;
        self.count(
            Index::Constant(0),
            Index::Constant(whole as i64),
            1,
            |e, chunk| {
                let start = e.index_reg(chunk);
                let operands = format_args!("{start}, {CHUNK}");
                let start = e.t.def(Class::B32, "mul.lo.u32", operands);
                let sums = e.whole_rows(reduce, body, Index::Reg(start), CHUNK);
                let sums = e.join_registers(reduce, sums);
                add(e, chunk, &sums);
            },
        );
        if rest > 0 {
            let sums = self.chunk_alone(reduce, whole * CHUNK, rest);
            add(self, Index::Constant(whole as i64), &sums);
        }
        self.join_registers(reduce, outer)
    }

    fn chunk_alone(&mut self, reduce: &Reduce, start: usize, count: usize) -> Vec<Reg> {
        let rows = count / LANES * LANES;
        let start_index = Index::Constant(start as i64);
        let partials = self.whole_rows(reduce, &reduce.body, start_index, rows);
        for (lane, partials) in partials.iter().enumerate().take(count - rows) {
            let index = Index::Constant((start + rows + lane) as i64);
            let terms = self.terms(reduce, index, &reduce.body);
            self.include(reduce, partials, &terms);
        }
        self.join_registers(reduce, partials)
    }

    /// Partial results over `count` indices from `start`, 16 at a time.
    fn whole_rows(
        &mut self,
        reduce: &Reduce,
        body: &[Stmt],
        start: Index,
        count: usize,
    ) -> Vec<Vec<Reg>> {
        let partials: Vec<Vec<Reg>> = (0..LANES).map(|_| self.neutral(reduce)).collect();
        let end = match start {
            Index::Constant(start) => Index::Constant(start + count as i64),
            Index::Reg(reg) => {
                let operands = format_args!("{reg}, {count}");
                Index::Reg(self.t.def(Class::B32, "add.s32", operands))
            }
        };
        if count == 0 {
            return partials;
        }
        self.count(start, end, LANES as u32, |e, index| {
            for (lane, partials) in partials.iter().enumerate() {
                // The lane as a constant: the addresses of all lanes share a register.
                let mut shifted = body.to_vec();
                let moved = crate::kernel::Affine::var(reduce.var).offset(lane as i64);
                loops::substitute(&mut shifted, reduce.var, &moved);
                let terms = e.terms(reduce, index, &shifted);
                e.include(reduce, partials, &terms);
            }
        });
        partials
    }

    /// Halves the partial results until one is left.
    fn join_registers(&mut self, reduce: &Reduce, mut partials: Vec<Vec<Reg>>) -> Vec<Reg> {
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

    /// The lanes of a tile: each has one partial result.
    fn reduce_tile(&mut self, reduce: &Reduce, lane: Reg, mask: Reg) -> Vec<Reg> {
        let body = |e: &mut Self, index| e.terms(reduce, index, &reduce.body);
        self.sum_tile(reduce, reduce.extent, (lane, mask), &body)
    }

    /// The sum of `extent` terms by one tile, in every lane.
    fn sum_tile(
        &mut self,
        reduce: &Reduce,
        extent: usize,
        (lane, mask): (Reg, Reg),
        terms: &dyn Fn(&mut Self, Index) -> Vec<Reg>,
    ) -> Vec<Reg> {
        if extent <= CHUNK {
            let end = Index::Constant(extent as i64);
            return self.chunk_tile(reduce, Index::Reg(lane), end, mask, terms);
        }
        let chunks = Index::Constant(extent.div_ceil(CHUNK) as i64);
        let outer = self.neutral(reduce);
        self.count(Index::Constant(0), chunks, 1, |e, chunk| {
            let (start, end) = e.chunk(chunk, extent, lane);
            let sums = e.chunk_tile(reduce, start, end, mask, terms);
            let chunk = e.index_reg(chunk);
            let operands = format_args!("{chunk}, {}", LANES - 1);
            let number = e.t.def(Class::B32, "and.b32", operands);
            let operands = format_args!("{number}, {lane}");
            let mine = e.t.def(Class::Predicate, "setp.eq.u32", operands);
            for ((result, &partial), sum) in reduce.results.iter().zip(&outer).zip(sums) {
                let with = e.combine(result, partial, sum);
                let guard = format!("@{mine} mov.b{}", bits(result.dtype));
                e.t.op(&guard, format_args!("{partial}, {with}"));
            }
        });
        self.join_lanes(reduce, outer, mask)
    }

    /// First index of a lane in a chunk, and the end of the chunk.
    fn chunk(&mut self, chunk: Index, extent: usize, lane: Reg) -> (Index, Index) {
        let chunk = self.index_reg(chunk);
        let operands = format_args!("{chunk}, {CHUNK}, {lane}");
        let start = self.t.def(Class::B32, "mad.lo.u32", operands);
        let operands = format_args!("{chunk}, {CHUNK}, {CHUNK}");
        let end = self.t.def(Class::B32, "mad.lo.u32", operands);
        let end = self
            .t
            .def(Class::B32, "min.s32", format_args!("{end}, {extent}"));
        (Index::Reg(start), Index::Reg(end))
    }

    fn chunk_tile(
        &mut self,
        reduce: &Reduce,
        start: Index,
        end: Index,
        mask: Reg,
        terms: &dyn Fn(&mut Self, Index) -> Vec<Reg>,
    ) -> Vec<Reg> {
        let partials = self.neutral(reduce);
        self.count(start, end, TILE, |e, index| {
            let terms = terms(e, index);
            e.include(reduce, &partials, &terms);
        });
        self.join_lanes(reduce, partials, mask)
    }

    /// The tree over the lanes of a tile.
    fn join_lanes(&mut self, reduce: &Reduce, mut partials: Vec<Reg>, mask: Reg) -> Vec<Reg> {
        let mut distance = TILE / 2;
        while distance > 0 {
            for (position, result) in reduce.results.iter().enumerate() {
                let other = self.exchange(partials[position], distance, mask);
                partials[position] = self.combine(result, partials[position], other);
            }
            distance /= 2;
        }
        partials
    }

    /// The register of the lane at a distance.
    fn exchange(&mut self, x: Reg, distance: u32, mask: Reg) -> Reg {
        if x.class != Class::B64 {
            let operands = format_args!("{x}, {distance}, 31, {mask}");
            return self.t.def(x.class, "shfl.sync.bfly.b32", operands);
        }
        let (low, high) = (self.t.reg(Class::B32), self.t.reg(Class::B32));
        self.t.op("mov.b64", format_args!("{{{low}, {high}}}, {x}"));
        let [low, high] = [low, high].map(|half| self.exchange(half, distance, mask));
        self.t
            .def(Class::B64, "mov.b64", format_args!("{{{low}, {high}}}"))
    }

    /// A whole block: tiles take chunks, and the chunks' sums are summed by the same rule until
    /// one is left, which every thread then reads.
    fn reduce_block(&mut self, reduce: &Reduce) -> Vec<Reg> {
        let threads = self.geometry.threads;
        let (tile, tiles) = self.tile_team();
        let (lane, first) = (tiles.lane.expect("lanes"), tiles.leader);
        let Sync::Warp(mask) = tiles.sync else {
            unreachable!("a tile is part of a warp")
        };
        let mut extent = reduce.extent;
        let mut from: Option<i64> = None;
        let mut free = self.geometry.partials as i64;
        loop {
            let chunks = extent.div_ceil(CHUNK).max(1);
            let to = free;
            free += 8 * (chunks * reduce.results.len()) as i64;
            let count = Index::Constant(chunks as i64);
            self.count(Index::Reg(tile), count, threads / TILE, |e, chunk| {
                let (start, end) = e.chunk(chunk, extent, lane);
                let sums = match from {
                    None => {
                        let body = |e: &mut Self, index| e.terms(reduce, index, &reduce.body);
                        e.chunk_tile(reduce, start, end, mask, &body)
                    }
                    Some(from) => {
                        let stored = |e: &mut Self, index| e.partials(reduce, from, index);
                        e.chunk_tile(reduce, start, end, mask, &stored)
                    }
                };
                for (position, (result, sum)) in reduce.results.iter().zip(sums).enumerate() {
                    let address = e.partial(reduce, to, chunk, position);
                    e.store(result.dtype, &address, sum, first);
                }
            });
            self.t.op("bar.sync", 0);
            if chunks == 1 {
                self.pending = Default::default();
                return self.partials(reduce, to, Index::Constant(0));
            }
            (from, extent) = (Some(to), chunks);
        }
    }

    fn partials(&mut self, reduce: &Reduce, start: i64, index: Index) -> Vec<Reg> {
        let results = reduce.results.iter().enumerate();
        let load = |(position, result): (usize, &Reduction)| {
            let address = self.partial(reduce, start, index, position);
            self.load(result.dtype, &address)
        };
        results.map(load).collect()
    }

    /// Where a partial result is kept, 8 bytes each.
    fn partial(&mut self, reduce: &Reduce, start: i64, index: Index, position: usize) -> Address {
        let shared = self.shared.expect("partial results are shared");
        let address = Address {
            space: Space::Shared,
            base: shared,
            offset: start + 8 * position as i64,
        };
        let size = 8 * reduce.results.len() as i64;
        match index {
            Index::Constant(index) => address.plus(index * size),
            Index::Reg(index) => Address {
                base: self.scaled(&address, index, size),
                ..address
            },
        }
    }
}

fn bits(dtype: DType) -> u32 {
    match class(dtype) {
        Class::B64 => 64,
        _ => 32,
    }
}
