//! Loops: how a thread group takes their iterations.

use super::code::{Class, Reg};
use super::emit::{Emitter, Index};
use super::plan::{Effects, LaneMapping, LoopMapping, TILE, VectorAccess};
use super::thread_group::ThreadGroup;
use crate::kernel::{Affine, Extent, LoopKind, Stmt, Var};

impl Emitter<'_> {
    pub(super) fn loop_(
        &mut self,
        stmt: &Stmt,
        (var, extent, body): (Var, &Extent, &[Stmt]),
        threads: &ThreadGroup,
    ) {
        let around = self.vector_access;
        self.vector_access = around.or_else(|| VectorAccess::of(stmt));
        let vector = matches!(stmt, Stmt::Loop { kind, .. } if kind.is_vector());
        match vector || threads.width == 1 {
            true => self.lanes(vector, (var, extent, body), threads),
            false => self.distribute_loop(stmt, (var, extent, body), threads),
        }
        self.vector_access = around;
    }

    /// A loop of other loops, by a thread group.
    fn distribute_loop(
        &mut self,
        stmt: &Stmt,
        (var, extent, body): (Var, &Extent, &[Stmt]),
        threads: &ThreadGroup,
    ) {
        let mapping = match threads.is_block() {
            true => LoopMapping::of(self.aliases, stmt),
            false => LoopMapping::Sequential,
        };
        let effects = Effects::of(self.aliases, body, LaneMapping::NONE);
        let in_block = self.geometry.threads;
        match mapping {
            LoopMapping::Sequential | LoopMapping::Lanes => {
                let end = self.extent(extent);
                let step = VectorAccess::elements(self.vector_access, var) as u32;
                self.bind(var, extent);
                self.count(Index::Constant(0), end, step, |e, index| {
                    e.vars.insert(var, index);
                    e.block(body, threads);
                    // The next iteration may undo what this one needs.
                    if e.pending.conflicts_again(&effects) {
                        e.wait(threads);
                    }
                });
                self.ranges.unbind(var);
            }
            LoopMapping::Tiles => {
                self.wait_for(&effects, threads);
                let outer = std::mem::take(&mut self.pending);
                let (tile, tiles) = self.tile_group();
                let tiles_of_block = (Index::Reg(tile), in_block / TILE, self.slice);
                self.distribute(var, extent, tiles_of_block, |e| {
                    e.block(body, &tiles);
                    e.pending = Effects::default();
                });
                self.pending = outer;
            }
            LoopMapping::Groups => {
                self.wait_for(&effects, threads);
                let outer = std::mem::take(&mut self.pending);
                let width = group_width(inner_extent(body), in_block);
                let (number, group) = self.lane_group(width);
                let groups = (number, in_block / width, self.slice);
                self.distribute(var, extent, groups, |e| {
                    e.block(body, &group);
                    e.pending = Effects::default();
                });
                self.pending = outer;
            }
        }
    }

    /// A loop whose iterations the lanes of a thread group take in turn.
    fn lanes(
        &mut self,
        vector: bool,
        (var, extent, body): (Var, &Extent, &[Stmt]),
        threads: &ThreadGroup,
    ) {
        let lane = threads.lane.map_or(Index::Constant(0), Index::Reg);
        let outer = std::mem::take(&mut self.pending);
        let slice = match threads.is_block() {
            true => self.slice,
            false => None,
        };
        self.distribute(var, extent, (lane, threads.width, slice), |e| {
            match e.vector_access {
                Some(access) if vector => e.vector_body(access, body),
                _ => e.block(body, &ThreadGroup::ALONE),
            }
        });
        self.pending = outer;
    }

    /// A loop whose iterations, or some neighbouring ones together, groups take in turn, each with
    /// its number of how many; several blocks where they share the item.
    fn distribute(
        &mut self,
        var: Var,
        extent: &Extent,
        (number, groups, slice): (Index, u32, Option<(Reg, u32)>),
        body: impl FnOnce(&mut Self),
    ) {
        let (number, groups) = match slice {
            None => (number, groups),
            Some((slice, slices)) => {
                let number = self
                    .t
                    .def(Class::B32, "mad.lo.u32", (slice, groups, number));
                (Index::Reg(number), groups * slices)
            }
        };
        let elements = VectorAccess::elements(self.vector_access, var);
        let start = match number {
            Index::Reg(number) => Index::Reg(self.times(number, elements)),
            Index::Constant(number) => Index::Constant(number * elements as i64),
        };
        let step = groups * elements as u32;
        let end = self.extent(extent);
        self.bind(var, extent);
        self.count(start, end, step, |e, index| {
            e.vars.insert(var, index);
            body(e);
        });
        self.ranges.unbind(var);
    }

    pub fn bind(&mut self, var: Var, extent: &Extent) {
        let bound = self.ranges.bind(var, extent.clone());
        bound.expect("a verified kernel has each variable once");
    }

    /// The number of iterations of a loop.
    pub fn extent(&mut self, extent: &Extent) -> Index {
        match extent {
            Extent::Static(extent) => Index::Constant(*extent as i64),
            Extent::Block { size, start, limit } => {
                let rest = start.scale(-1).offset(*limit as i64);
                let rest = self.affine(&rest, Class::B32);
                Index::Reg(self.t.def(Class::B32, "min.s32", (rest, *size)))
            }
            Extent::Visible {
                at,
                mask_block,
                size,
                start,
                limit,
            } => {
                let at = self.affine(at, Class::B32);
                let (before, _) = self.split(at, *mask_block);
                let end = self.times_plus(before, *mask_block, *mask_block);
                let end = self.t.def(Class::B32, "min.s32", (end, *limit));
                if *start == Affine::default() && size >= limit {
                    return Index::Reg(end);
                }
                let start = self.affine(start, Class::B32);
                let seen = self.t.def(Class::B32, "sub.s32", (end, start));
                let seen = self.t.def(Class::B32, "min.s32", (seen, *size));
                Index::Reg(self.t.def(Class::B32, "max.s32", (seen, 0)))
            }
        }
    }

    /// `for index in (start..end).step_by(step)`.
    pub fn count(
        &mut self,
        start: Index,
        end: Index,
        step: u32,
        body: impl FnOnce(&mut Self, Index),
    ) {
        if let (Index::Constant(start), Index::Constant(end)) = (start, end) {
            if start >= end {
                return;
            }
            if start + i64::from(step) >= end {
                return body(self, Index::Constant(start));
            }
        }
        let bases = self.bases.clone();
        let index = self.t.def(Class::B32, "mov.u32", start);
        let (head, done) = (self.t.label(), self.t.label());
        if !matches!((start, end), (Index::Constant(_), Index::Constant(_))) {
            let none = self.t.def(Class::Predicate, "setp.ge.s32", (index, end));
            self.t.branch_if(none, done);
        }
        self.t.place(head);
        self.t.indent();
        // What should be unrolled is unrolled here, where it is counted; the assembler would take
        // registers for more.
        self.t.directive(".pragma \"nounroll\"");
        body(self, Index::Reg(index));
        self.t.set(index, "add.s32", (index, step));
        let more = self.t.def(Class::Predicate, "setp.lt.s32", (index, end));
        self.t.branch_if(more, head);
        self.t.outdent();
        self.t.place(done);
        self.bases = bases;
    }
}

/// Iterations of the longest loop inside a body that lanes share, and how many of them each takes
/// together.
fn inner_extent(body: &[Stmt]) -> (usize, usize) {
    let inner = body.iter().map(|stmt| match stmt {
        Stmt::Loop {
            var,
            extent,
            kind: LoopKind::Vector,
            ..
        } => (
            extent.largest(),
            VectorAccess::elements(VectorAccess::of(stmt), *var),
        ),
        Stmt::Loop { body, .. } => inner_extent(body),
        _ => (1, 1),
    });
    inner.max().unwrap_or((1, 1))
}

/// Threads that share a loop of `extent` iterations, of which each takes some together: the power
/// of two that leaves fewest idle.
fn group_width((extent, elements): (usize, usize), threads: u32) -> u32 {
    let mut best = 1;
    let shares = extent / elements;
    let idle = |width: usize| shares.next_multiple_of(width) - shares;
    let mut width = 1;
    while width <= threads && width as usize <= shares.next_power_of_two() {
        // Up to a sixteenth idle is worth a wider, better coalesced access.
        let lanes = width as usize;
        if lanes * elements <= 16 || idle(lanes) <= shares / 16 {
            best = width;
        }
        width *= 2;
    }
    best
}
