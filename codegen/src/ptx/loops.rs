//! Loops: how a team takes their iterations.

use super::emit::{Emitter, Index};
use super::independent::Spread;
use super::team::{TILE, Team};
use super::text::Class;
use super::touched::{Lanes, Touched};
use crate::kernel::{Extent, Stmt, Var};

impl Emitter<'_> {
    pub(super) fn loop_(
        &mut self,
        stmt: &Stmt,
        (var, extent, body): (Var, &Extent, &[Stmt]),
        team: &Team,
    ) {
        let vector = matches!(stmt, Stmt::Loop { vector: true, .. });
        if vector || team.width == 1 {
            return self.lanes(var, extent, body, team);
        }
        let spread = match team.is_block() {
            true => Spread::of(self.arrays, &self.ranges, stmt),
            false => Spread::Sequential,
        };
        let touched = Touched::of(self.arrays, body, Lanes::NONE);
        let threads = self.geometry.threads;
        match spread {
            Spread::Sequential | Spread::Lanes => {
                let end = self.extent(extent);
                self.bind(var, extent);
                self.count(Index::Constant(0), end, 1, |e, index| {
                    e.vars.insert(var, index);
                    e.block(body, team);
                    // The next iteration may undo what this one needs.
                    if e.pending.conflicts_again(&touched) {
                        e.wait(team);
                    }
                });
                self.ranges.unbind(var);
            }
            Spread::Tiles => {
                self.wait_for(&touched, team);
                let outer = std::mem::take(&mut self.pending);
                let (tile, tiles) = self.tile_team();
                self.spread(var, extent, (Index::Reg(tile), threads / TILE), |e| {
                    e.block(body, &tiles);
                    e.pending = Touched::default();
                });
                self.pending = outer;
            }
            Spread::Groups => {
                self.wait_for(&touched, team);
                let outer = std::mem::take(&mut self.pending);
                let width = group_width(inner_extent(body), threads);
                let (number, group) = self.group_team(width);
                self.spread(var, extent, (number, threads / width), |e| {
                    e.block(body, &group);
                    e.pending = Touched::default();
                });
                self.pending = outer;
            }
        }
    }

    /// A loop whose iterations the lanes of a team take in turn.
    fn lanes(&mut self, var: Var, extent: &Extent, body: &[Stmt], team: &Team) {
        let lane = team.lane.map_or(Index::Constant(0), Index::Reg);
        let outer = std::mem::take(&mut self.pending);
        match team.is_block() {
            true => self.spread(var, extent, (lane, team.width), |e| {
                e.block(body, &Team::ALONE)
            }),
            false => {
                let end = self.extent(extent);
                self.bind(var, extent);
                self.count(lane, end, team.width, |e, index| {
                    e.vars.insert(var, index);
                    e.block(body, &Team::ALONE);
                });
                self.ranges.unbind(var);
            }
        }
        self.pending = outer;
    }

    /// A loop that the block's teams take in turn, each with its number of how many; several
    /// blocks where they share the item.
    fn spread(
        &mut self,
        var: Var,
        extent: &Extent,
        (number, teams): (Index, u32),
        body: impl FnOnce(&mut Self),
    ) {
        let (start, step) = match self.slice {
            None => (number, teams),
            Some((slice, slices)) => {
                let operands = format_args!("{slice}, {teams}, {number}");
                let start = self.t.def(Class::B32, "mad.lo.u32", operands);
                (Index::Reg(start), teams * slices)
            }
        };
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
                let operands = format_args!("{rest}, {size}");
                Index::Reg(self.t.def(Class::B32, "min.s32", operands))
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
            let operands = format_args!("{index}, {end}");
            let none = self.t.def(Class::Predicate, "setp.ge.s32", operands);
            self.t.branch(none, true, done);
        }
        self.t.place(head);
        self.t.indent();
        // What should be unrolled is unrolled here, where it is counted; the assembler would take
        // registers for more.
        self.t.bare(".pragma \"nounroll\"");
        body(self, Index::Reg(index));
        self.t
            .op("add.s32", format_args!("{index}, {index}, {step}"));
        let operands = format_args!("{index}, {end}");
        let more = self.t.def(Class::Predicate, "setp.lt.s32", operands);
        self.t.branch(more, true, head);
        self.t.outdent();
        self.t.place(done);
        self.bases = bases;
    }
}

/// Iterations of the loops inside a body.
fn inner_extent(body: &[Stmt]) -> usize {
    let inner = body.iter().map(|stmt| match stmt {
        Stmt::Loop {
            extent,
            vector: true,
            ..
        } => extent.largest(),
        Stmt::Loop { body, .. } => inner_extent(body),
        _ => 1,
    });
    inner.max().unwrap_or(1)
}

/// Threads that share a loop of `extent` iterations: the power of two that leaves fewest idle.
fn group_width(extent: usize, threads: u32) -> u32 {
    let mut best = 1;
    let idle = |width: u32| extent.next_multiple_of(width as usize) - extent;
    let mut width = 1;
    while width <= threads && width as usize <= extent.next_power_of_two() {
        // Up to a sixteenth idle is worth a wider, better coalesced access.
        if width <= 16 || idle(width) <= extent / 16 {
            best = width;
        }
        width *= 2;
    }
    best
}
