//! Loops: how a team takes their iterations.

use super::emit::{Emitter, Index};
use super::independent::Spread;
use super::team::{TILE, Team};
use super::text::{Class, Reg};
use super::touched::{Lanes, Touched};
use super::wide::Wide;
use crate::kernel::{Extent, Stmt, Var};

impl Emitter<'_> {
    pub(super) fn loop_(
        &mut self,
        stmt: &Stmt,
        (var, extent, body): (Var, &Extent, &[Stmt]),
        team: &Team,
    ) {
        let around = self.wide;
        self.wide = around.or_else(|| Wide::of(stmt));
        let vector = matches!(stmt, Stmt::Loop { vector: true, .. });
        match vector || team.width == 1 {
            true => self.lanes(vector, (var, extent, body), team),
            false => self.spread_loop(stmt, (var, extent, body), team),
        }
        self.wide = around;
    }

    /// A loop of other loops, by a team.
    fn spread_loop(
        &mut self,
        stmt: &Stmt,
        (var, extent, body): (Var, &Extent, &[Stmt]),
        team: &Team,
    ) {
        let spread = match team.is_block() {
            true => Spread::of(self.arrays, &self.ranges, stmt),
            false => Spread::Sequential,
        };
        let touched = Touched::of(self.arrays, body, Lanes::NONE);
        let threads = self.geometry.threads;
        match spread {
            Spread::Sequential | Spread::Lanes => {
                let end = self.extent(extent);
                let step = Wide::elements(self.wide, var) as u32;
                self.bind(var, extent);
                self.count(Index::Constant(0), end, step, |e, index| {
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
                let tiles_of_block = (Index::Reg(tile), threads / TILE, self.slice);
                self.spread(var, extent, tiles_of_block, |e| {
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
                let groups = (number, threads / width, self.slice);
                self.spread(var, extent, groups, |e| {
                    e.block(body, &group);
                    e.pending = Touched::default();
                });
                self.pending = outer;
            }
        }
    }

    /// A loop whose iterations the lanes of a team take in turn.
    fn lanes(&mut self, vector: bool, (var, extent, body): (Var, &Extent, &[Stmt]), team: &Team) {
        let lane = team.lane.map_or(Index::Constant(0), Index::Reg);
        let outer = std::mem::take(&mut self.pending);
        let slice = match team.is_block() {
            true => self.slice,
            false => None,
        };
        self.spread(var, extent, (lane, team.width, slice), |e| match e.wide {
            Some(wide) if vector => e.together(wide, body),
            _ => e.block(body, &Team::ALONE),
        });
        self.pending = outer;
    }

    /// A loop whose iterations, or some neighbouring ones together, teams take in turn, each with
    /// its number of how many; several blocks where they share the item.
    fn spread(
        &mut self,
        var: Var,
        extent: &Extent,
        (number, teams, slice): (Index, u32, Option<(Reg, u32)>),
        body: impl FnOnce(&mut Self),
    ) {
        let (number, teams) = match slice {
            None => (number, teams),
            Some((slice, slices)) => {
                let operands = format_args!("{slice}, {teams}, {number}");
                let number = self.t.def(Class::B32, "mad.lo.u32", operands);
                (Index::Reg(number), teams * slices)
            }
        };
        let elements = Wide::elements(self.wide, var);
        let start = match number {
            Index::Reg(number) => Index::Reg(self.times(number, elements)),
            Index::Constant(number) => Index::Constant(number * elements as i64),
        };
        let step = teams * elements as u32;
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

/// Iterations of the longest loop inside a body that lanes share, and how many of them each takes
/// together.
fn inner_extent(body: &[Stmt]) -> (usize, usize) {
    let inner = body.iter().map(|stmt| match stmt {
        Stmt::Loop {
            var,
            extent,
            vector: true,
            ..
        } => (extent.largest(), Wide::elements(Wide::of(stmt), *var)),
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
