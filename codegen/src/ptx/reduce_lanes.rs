//! Reductions by threads that have one of the 16 partial results each: the lanes of a tile, of a
//! column, or of the tiles of a block.
//!
//! A tile's are joined by exchanges at distance 8, 4, 2, 1: every lane ends with the tree of the
//! fixed order, as addition does not mind which side comes first. A column's lanes are in different
//! warps and join them in shared memory, so that lanes of a warp read neighbouring columns.

use super::code::{Address, Class, Reg, Space};
use super::emit::{Emitter, Index};
use super::plan::{COLUMNS, TILE};
use super::thread_group::Sync;
use crate::kernel::{Reduce, Reduction};
use bsq_ir::order::{CHUNK, LANES};

/// Terms whose loads a lane has under way at a time: those of a row, which many threads share a
/// multiprocessor with, and those of a column.
const AHEAD: u32 = 4;
const AHEAD_OF_COLUMN: u32 = 8;

/// What is summed by lanes.
#[derive(Clone, Copy)]
enum Terms {
    /// Those of the reduction.
    Body,
    /// The chunks' results, from there on in the partial results of the block.
    Stored(i64),
}

impl Emitter<'_> {
    /// Lanes that have one partial result each.
    pub(super) fn reduce_lanes(&mut self, reduce: &Reduce, (lane, sync): (Reg, Sync)) -> Vec<Reg> {
        let extent = self.extent(&reduce.extent);
        let largest = reduce.extent.largest();
        if largest <= CHUNK {
            let range = (Index::Reg(lane), extent);
            return self.chunk_lanes(reduce, range, (lane, sync), Terms::Body);
        }
        let chunks = self.chunks(extent);
        let outer = self.neutral(reduce);
        self.count(Index::Constant(0), chunks, 1, |e, chunk| {
            let range = e.chunk(chunk, extent, lane);
            let sums = e.chunk_lanes(reduce, range, (lane, sync), Terms::Body);
            if let Sync::Columns(_) = sync {
                // The next chunk's partial results take the same place.
                e.t.barrier();
            }
            let chunk = e.index_reg(chunk);
            let number = e.t.def(Class::B32, "and.b32", (chunk, LANES - 1));
            let mine = e.t.def(Class::Predicate, "setp.eq.u32", (number, lane));
            for ((result, &partial), sum) in reduce.results.iter().zip(&outer).zip(sums) {
                let with = e.combine(result, partial, sum);
                e.assign_if(mine, partial, with);
            }
        });
        self.join_lanes(reduce, outer, sync)
    }

    /// Chunks of so many indices.
    pub(super) fn chunks(&mut self, extent: Index) -> Index {
        match extent {
            Index::Constant(extent) => Index::from((extent as usize).div_ceil(CHUNK)),
            Index::Reg(extent) => {
                let above = self.plus(extent, CHUNK - 1);
                Index::Reg(self.split(above, CHUNK).0)
            }
        }
    }

    /// First index of a lane in a chunk, and the end of the chunk.
    fn chunk(&mut self, chunk: Index, extent: Index, lane: Reg) -> (Index, Index) {
        let chunk = self.index_reg(chunk);
        let start = self.t.def(Class::B32, "mad.lo.u32", (chunk, CHUNK, lane));
        let end = self.t.def(Class::B32, "mad.lo.u32", (chunk, CHUNK, CHUNK));
        let end = self.t.def(Class::B32, "min.s32", (end, extent));
        let end = match extent {
            Index::Constant(_) => end,
            // Chunks behind the last index are empty.
            Index::Reg(_) => {
                let first = self.times(chunk, CHUNK);
                self.t.def(Class::B32, "max.s32", (end, first))
            }
        };
        (Index::Reg(start), Index::Reg(end))
    }

    /// The sum of a chunk by its lanes, in every lane. A lane has the loads of some terms under
    /// way at a time.
    fn chunk_lanes(
        &mut self,
        reduce: &Reduce,
        (start, end): (Index, Index),
        (lane, sync): (Reg, Sync),
        terms: Terms,
    ) -> Vec<Reg> {
        let partials = self.neutral(reduce);
        let run = |e: &mut Self, index: Index, ahead: u32| {
            let behind = (0..ahead).map(|number| (number * TILE) as usize);
            let terms = behind.map(|behind| e.terms_of(reduce, terms, index, behind));
            for terms in terms.collect::<Vec<_>>() {
                e.include(reduce, &partials, &terms);
            }
        };
        let ahead = match (terms, sync) {
            (Terms::Stored(_), _) => 1,
            (Terms::Body, Sync::Columns(_)) => AHEAD_OF_COLUMN,
            (Terms::Body, _) => AHEAD,
        };
        let step = TILE * ahead;
        let (mut rest, mut is_all) = (start, false);
        if ahead > 1 && reduce.extent.largest() >= step as usize {
            // Chunks start at multiples of a step.
            let whole = match end {
                Index::Constant(end) => Index::Constant(end - end % i64::from(step)),
                Index::Reg(end) => {
                    Index::Reg(self.t.def(Class::B32, "and.b32", (end, -(step as i32))))
                }
            };
            self.count(start, whole, step, |e, index| run(e, index, ahead));
            is_all = reduce.extent.divisor().is_multiple_of(step as usize);
            if !is_all {
                rest = Index::Reg(self.plus(lane, whole));
            }
        }
        if !is_all {
            self.count(rest, end, TILE, |e, index| run(e, index, 1));
        }
        self.join_lanes(reduce, partials, sync)
    }

    fn terms_of(&mut self, reduce: &Reduce, terms: Terms, index: Index, behind: usize) -> Vec<Reg> {
        match terms {
            Terms::Body => self.terms(reduce, index, behind),
            Terms::Stored(from) => self.partials(reduce, from, index),
        }
    }

    /// The tree over lanes.
    fn join_lanes(&mut self, reduce: &Reduce, partials: Vec<Reg>, sync: Sync) -> Vec<Reg> {
        match sync {
            Sync::Columns(column) => self.join_column(reduce, partials, column),
            Sync::Warp(mask) => self.join_tile(reduce, partials, mask),
            Sync::Block | Sync::Never => unreachable!("no lanes"),
        }
    }

    /// The lanes of a column leave their partial results in shared memory; each joins all.
    fn join_column(&mut self, reduce: &Reduce, partials: Vec<Reg>, column: Reg) -> Vec<Reg> {
        let threads = i64::from(self.geometry.threads);
        let shared = self.shared.expect("partial results are shared");
        let mut start = Address {
            space: Space::Shared,
            base: shared,
            offset: self.geometry.partials as i64,
        };
        let (tid, mut places) = (self.tid, Vec::new());
        for (result, partial) in reduce.results.iter().zip(partials) {
            let size = result.dtype.size() as i64;
            let base = self.scaled(&start, tid, size);
            self.store(result.dtype, &Address { base, ..start }, partial, None);
            places.push(start);
            start = start.plus(threads * size);
        }
        self.t.barrier();
        self.pending = Default::default();
        let mut lanes: Vec<Vec<Reg>> = vec![Vec::new(); LANES];
        for (result, place) in reduce.results.iter().zip(places) {
            let size = result.dtype.size() as i64;
            let base = self.scaled(&place, column, size);
            for (lane, partials) in lanes.iter_mut().enumerate() {
                let from = Address { base, ..place }.plus(lane as i64 * COLUMNS as i64 * size);
                partials.push(self.load(result.dtype, &from));
            }
        }
        self.join_registers(reduce, lanes)
    }

    /// The lanes of a tile exchange theirs.
    fn join_tile(&mut self, reduce: &Reduce, mut partials: Vec<Reg>, mask: Reg) -> Vec<Reg> {
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
            return self
                .t
                .def(x.class, "shfl.sync.bfly.b32", (x, distance, 31, mask));
        }
        let (low, high) = (self.t.reg(Class::B32), self.t.reg(Class::B32));
        self.t.set([low, high], "mov.b64", x);
        let [low, high] = [low, high].map(|half| self.exchange(half, distance, mask));
        self.t.def(Class::B64, "mov.b64", ([low, high],))
    }

    /// A whole block: tiles take chunks, and the chunks' sums are summed by the same rule until
    /// one is left, which every thread then reads.
    pub(super) fn reduce_block(&mut self, reduce: &Reduce) -> Vec<Reg> {
        let threads = self.geometry.threads;
        let (tile, tiles) = self.tile_group();
        let (lane, first) = (tiles.lane.expect("lanes"), tiles.leader);
        let mut extent = self.extent(&reduce.extent);
        let mut largest = reduce.extent.largest();
        let mut from: Option<i64> = None;
        let mut free = self.geometry.partials as i64;
        loop {
            let chunks = largest.div_ceil(CHUNK).max(1);
            let to = free;
            free += 8 * (chunks * reduce.results.len()) as i64;
            let count = Index::Constant(chunks as i64);
            self.count(Index::Reg(tile), count, threads / TILE, |e, chunk| {
                let range = e.chunk(chunk, extent, lane);
                let terms = from.map_or(Terms::Body, Terms::Stored);
                let sums = e.chunk_lanes(reduce, range, (lane, tiles.sync), terms);
                for (position, (result, sum)) in reduce.results.iter().zip(sums).enumerate() {
                    let address = e.partial(reduce, to, chunk, position);
                    e.store(result.dtype, &address, sum, first);
                }
            });
            self.t.barrier();
            if chunks == 1 {
                self.pending = Default::default();
                return self.partials(reduce, to, Index::Constant(0));
            }
            (from, extent, largest) = (Some(to), chunks.into(), chunks);
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
