//! The body of one kernel: statements by the team that runs them.

use super::Options;
use super::geometry::{self, Geometry, Items};
use super::independent::Spread;
use super::memory::Address;
use super::team::{Sync, TILE, Team};
use super::text::{Class, Label, Reg, Text};
use super::touched::{Lanes, PARTIALS, STAGE, Touched};
use crate::kernel::bounds::Ranges;
use crate::kernel::{Affine, Extent, Inst, Kernel, Place, Stmt, Value, Var};
use bsq_ir::DType;
use std::collections::HashMap;

/// A loop variable, as `s32`.
#[derive(Clone, Copy, Debug)]
pub enum Index {
    Constant(i64),
    Reg(Reg),
}

impl std::fmt::Display for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Index::Constant(value) => write!(f, "{value}"),
            Index::Reg(reg) => write!(f, "{reg}"),
        }
    }
}

/// What an address has of terms that change, by where it is.
pub(super) type Bases = HashMap<(Place, Vec<(Var, i64)>, Option<Value>), Address>;

pub(super) struct Emitter<'k> {
    pub kernel: &'k Kernel,
    pub options: &'k Options,
    pub geometry: &'k Geometry,
    pub t: Text,
    pub ranges: Ranges,
    pub vars: HashMap<Var, Index>,
    pub values: HashMap<Value, (DType, Reg)>,
    /// Global addresses of buffers.
    pub buffers: Vec<Reg>,
    /// Shared memory of this item, and the workspace of this block.
    pub shared: Option<Reg>,
    pub workspace: Option<Reg>,
    pub tid: Reg,
    /// Addresses computed so far in the blocks around.
    pub bases: Bases,
    /// What the team has touched since it last waited.
    pub pending: Touched,
    /// This block's part of the item's one loop, and of how many.
    pub slice: Option<(Reg, u32)>,
}

impl<'k> Emitter<'k> {
    pub fn new(kernel: &'k Kernel, geometry: &'k Geometry, options: &'k Options) -> Self {
        let mut t = Text::default();
        let tid = t.def(Class::B32, "mov.u32", "%tid.x");
        Emitter {
            kernel,
            options,
            geometry,
            t,
            ranges: geometry::ranges(kernel),
            vars: HashMap::new(),
            values: HashMap::new(),
            buffers: Vec::new(),
            shared: None,
            workspace: None,
            tid,
            bases: HashMap::new(),
            pending: Touched::default(),
            slice: None,
        }
    }

    /// The whole kernel.
    pub fn run(mut self) -> String {
        for index in 0..self.kernel.buffers.len() {
            let pointer = self
                .t
                .def(Class::B64, "ld.param.u64", format_args!("[b{index}]"));
            let address = self.t.def(Class::B64, "cvta.to.global.u64", pointer);
            self.buffers.push(address);
        }
        let block = self.t.def(Class::B32, "mov.u32", "%ctaid.x");
        if self.geometry.shared_bytes > 0 {
            self.shared = Some(self.t.def(Class::B32, "mov.u32", "shared"));
        }
        if self.geometry.workspace_bytes > 0 {
            self.resident(block);
        } else {
            match self.geometry.items {
                Items::Block { slices } => self.block_item(block, slices),
                Items::Tile => self.tile_item(block),
                Items::Thread => self.thread_item(block),
            }
        }
        self.t.bare("ret");
        self.t.finish()
    }

    /// One item after the other, each with the block's scratch in global memory.
    fn resident(&mut self, block: Reg) {
        let pointer = self.t.def(Class::B64, "ld.param.u64", "[workspace]");
        let start = self.t.def(Class::B64, "cvta.to.global.u64", pointer);
        let bytes = self.geometry.workspace_bytes;
        let operands = format_args!("{block}, {bytes}, {start}");
        self.workspace = Some(self.t.def(Class::B64, "mad.wide.u32", operands));
        let (items, blocks) = (self.kernel.items(), self.geometry.blocks);
        let team = self.block_team();
        self.count(
            Index::Reg(block),
            Index::Constant(items as i64),
            blocks,
            |e, item| {
                e.grid(item);
                e.block(&e.kernel.body, &team);
                // The next item takes the same scratch.
                e.t.op("bar.sync", 0);
                e.pending = Touched::default();
            },
        );
    }

    fn block_item(&mut self, block: Reg, slices: u32) {
        let item = match slices {
            1 => block,
            _ => {
                let (item, slice) = self.split(block, slices as usize);
                self.slice = Some((slice, slices));
                item
            }
        };
        self.grid(Index::Reg(item));
        let team = self.block_team();
        self.block(&self.kernel.body, &team);
    }

    fn tile_item(&mut self, block: Reg) {
        let tiles = self.geometry.threads / TILE;
        let (tile, team) = self.tile_team();
        let operands = format_args!("{block}, {tiles}, {tile}");
        let item = self.t.def(Class::B32, "mad.lo.u32", operands);
        let end = self.guard_item(item);
        if let Some(shared) = self.shared {
            let operands = format_args!("{tile}, {}, {shared}", self.geometry.scratch_bytes);
            self.shared = Some(self.t.def(Class::B32, "mad.lo.u32", operands));
        }
        self.grid(Index::Reg(item));
        self.block(&self.kernel.body, &team);
        self.t.place(end);
    }

    fn thread_item(&mut self, block: Reg) {
        let operands = format_args!("{block}, {}, {}", self.geometry.threads, self.tid);
        let item = self.t.def(Class::B32, "mad.lo.u32", operands);
        let end = self.guard_item(item);
        self.grid(Index::Reg(item));
        self.block(&self.kernel.body, &Team::ALONE);
        self.t.place(end);
    }

    fn guard_item(&mut self, item: Reg) -> Label {
        let end = self.t.label();
        let operands = format_args!("{item}, {}", self.kernel.items());
        let outside = self.t.def(Class::Predicate, "setp.ge.u32", operands);
        self.t.branch(outside, true, end);
        end
    }

    pub fn block_team(&mut self) -> Team {
        let leader = self.t.def(
            Class::Predicate,
            "setp.eq.u32",
            format_args!("{}, 0", self.tid),
        );
        Team {
            width: self.geometry.threads,
            lane: Some(self.tid),
            leader: Some(leader),
            sync: Sync::Block,
        }
    }

    /// The number of this thread's tile in the block, and the tile.
    pub fn tile_team(&mut self) -> (Reg, Team) {
        let tid = self.tid;
        let (tile, lane) = self.split(tid, TILE as usize);
        let half = self
            .t
            .def(Class::B32, "and.b32", format_args!("{tid}, {TILE}"));
        let all = self.t.def(Class::B32, "mov.b32", (1u32 << TILE) - 1);
        let mask = self
            .t
            .def(Class::B32, "shl.b32", format_args!("{all}, {half}"));
        let leader = self
            .t
            .def(Class::Predicate, "setp.eq.u32", format_args!("{lane}, 0"));
        let team = Team {
            width: TILE,
            lane: Some(lane),
            leader: Some(leader),
            sync: Sync::Warp(mask),
        };
        (tile, team)
    }

    /// Groups of `width` threads that never wait for one another: the group's number, the group.
    fn group_team(&mut self, width: u32) -> (Index, Team) {
        if width == 1 {
            return (Index::Reg(self.tid), Team::ALONE);
        }
        let tid = self.tid;
        let (number, lane) = self.split(tid, width as usize);
        let leader = self
            .t
            .def(Class::Predicate, "setp.eq.u32", format_args!("{lane}, 0"));
        let team = Team {
            width,
            lane: Some(lane),
            leader: Some(leader),
            sync: Sync::Never,
        };
        (Index::Reg(number), team)
    }

    /// The grid's variables from an item's number.
    fn grid(&mut self, item: Index) {
        let mut rest = item;
        for (position, axis) in self.kernel.grid.iter().enumerate().rev() {
            let index = match (axis.extent, position) {
                (0 | 1, _) => Index::Constant(0),
                (_, 0) => rest,
                (extent, _) => {
                    let (quotient, index) = match rest {
                        Index::Reg(rest) => self.split(rest, extent),
                        Index::Constant(_) => unreachable!("items are numbered at run time"),
                    };
                    rest = Index::Reg(quotient);
                    Index::Reg(index)
                }
            };
            self.vars.insert(axis.var, index);
        }
    }

    /// Runs statements; what they define is gone after them.
    pub fn block(&mut self, stmts: &[Stmt], team: &Team) {
        let bases = self.bases.clone();
        for stmt in stmts {
            self.statement(stmt, team);
        }
        self.bases = bases;
    }

    fn statement(&mut self, stmt: &Stmt, team: &Team) {
        self.annotate(stmt);
        let lanes = match team.sync {
            Sync::Block => Lanes::BLOCK,
            Sync::Warp(_) => Lanes::TILE,
            Sync::Never => Lanes::LOOPS,
        };
        let mut touched = Touched::of(self.kernel, std::slice::from_ref(stmt), lanes);
        match stmt {
            Stmt::Contract(_) | Stmt::Attend(_) => touched = touched.with(STAGE),
            Stmt::Reduce(_) if team.is_block() => touched = touched.with(PARTIALS),
            _ => {}
        }
        if !matches!(stmt, Stmt::Loop { vector: false, .. }) {
            self.wait_for(&touched, team);
        }
        match stmt {
            Stmt::Let { value, dtype, inst } => {
                let reg = self.inst(*dtype, inst);
                self.values.insert(*value, (*dtype, reg));
            }
            Stmt::Store { to, value } => {
                let (dtype, reg) = self.values[value];
                let address = self.address(to);
                self.store(dtype, &address, reg, team.leader);
            }
            Stmt::Loop {
                var, extent, body, ..
            } => self.loop_(stmt, (*var, extent, body), team),
            Stmt::Reduce(reduce) => self.reduce(reduce, team),
            Stmt::Contract(contract) => self.contract(contract),
            Stmt::Attend(attend) => self.attend(attend),
        }
        self.pending.include(&touched);
    }

    /// The statement in Kernel IR, of loops the head.
    fn annotate(&mut self, stmt: &Stmt) {
        let text = stmt.to_string();
        self.t.comment(text.lines().next().unwrap_or_default());
    }

    fn inst(&mut self, dtype: DType, inst: &Inst) -> Reg {
        match inst {
            Inst::Constant(bits) => self.constant(dtype, *bits),
            Inst::Index(at) => {
                let class = super::memory::class(dtype);
                self.affine(at, class)
            }
            Inst::Load(from) => {
                let address = self.address(from);
                self.load(dtype, &address)
            }
            Inst::Map(op, operands) => {
                let operands: Vec<_> = operands.iter().map(|value| self.values[value]).collect();
                self.map(op, dtype, &operands)
            }
        }
    }

    /// Waits if a statement needs what others of the team have done, or may overwrite it.
    pub fn wait_for(&mut self, touched: &Touched, team: &Team) {
        if team.width > 1 && self.pending.conflicts(touched) {
            self.wait(team);
        }
    }

    pub fn wait(&mut self, team: &Team) {
        match team.sync {
            Sync::Block => self.t.op("bar.sync", 0),
            Sync::Warp(mask) => self.t.op("bar.warp.sync", mask),
            Sync::Never => return,
        }
        self.pending = Touched::default();
    }

    fn loop_(&mut self, stmt: &Stmt, (var, extent, body): (Var, &Extent, &[Stmt]), team: &Team) {
        let vector = matches!(stmt, Stmt::Loop { vector: true, .. });
        if vector || team.width == 1 {
            return self.lanes(var, extent, body, team);
        }
        let spread = match team.is_block() {
            true => Spread::of(self.kernel, &self.ranges, stmt),
            false => Spread::Sequential,
        };
        let touched = Touched::of(self.kernel, body, Lanes::NONE);
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

    /// `constant + sum of terms`, in 32 or 64 bits.
    pub fn affine(&mut self, at: &Affine, class: Class) -> Reg {
        let terms = self.linear(&at.terms, class);
        let (mov, add) = match class {
            Class::B64 => ("mov.b64", "add.s64"),
            _ => ("mov.b32", "add.s32"),
        };
        match (terms, at.constant) {
            (None, constant) => self.t.def(class, mov, constant),
            (Some(terms), 0) => terms,
            (Some(terms), constant) => self.t.def(class, add, format_args!("{terms}, {constant}")),
        }
    }

    /// The sum of terms, `None` for nothing.
    pub fn linear(&mut self, terms: &[(Var, i64)], class: Class) -> Option<Reg> {
        let mut sum: Option<Reg> = None;
        let mut constant = 0;
        for &(var, factor) in terms {
            let reg = match self.vars[&var] {
                Index::Constant(value) => {
                    constant += factor * value;
                    continue;
                }
                Index::Reg(reg) => reg,
            };
            sum = Some(match (class, sum, factor) {
                (Class::B64, None, _) => {
                    self.t
                        .def(class, "mul.wide.s32", format_args!("{reg}, {factor}"))
                }
                (Class::B64, Some(sum), _) => self.t.def(
                    class,
                    "mad.wide.s32",
                    format_args!("{reg}, {factor}, {sum}"),
                ),
                (_, None, 1) => reg,
                (_, None, _) => self
                    .t
                    .def(class, "mul.lo.s32", format_args!("{reg}, {factor}")),
                (_, Some(sum), 1) => self.t.def(class, "add.s32", format_args!("{reg}, {sum}")),
                (_, Some(sum), _) => {
                    self.t
                        .def(class, "mad.lo.s32", format_args!("{reg}, {factor}, {sum}"))
                }
            });
        }
        match (sum, constant) {
            (sum, 0) => sum,
            (None, constant) => Some(self.affine(&Affine::constant(constant), class)),
            (Some(sum), constant) => {
                let add = if class == Class::B64 {
                    "add.s64"
                } else {
                    "add.s32"
                };
                Some(self.t.def(class, add, format_args!("{sum}, {constant}")))
            }
        }
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
