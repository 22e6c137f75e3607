//! Work items: which threads run one, and what they know of it.

use super::code::{Class, Label, Parameter, Reg};
use super::emit::{Emitter, Index};
use super::plan::{COLUMNS, Effects, TILE};
use super::thread_group::{Sync, ThreadGroup};
use crate::kernel::Stmt;

impl Emitter<'_> {
    /// One item after the other, each with the block's scratch in global memory.
    pub(super) fn resident(&mut self, block: Reg) {
        let pointer = self.t.def(Class::B64, "ld.param.u64", Parameter::Workspace);
        let start = self.t.def(Class::B64, "cvta.to.global.u64", pointer);
        let bytes = self.geometry.workspace_bytes;
        self.workspace = Some(
            self.t
                .def(Class::B64, "mad.wide.u32", (block, bytes, start)),
        );
        let (items, blocks) = (self.kernel.items(), self.geometry.blocks);
        let threads = self.block_group();
        self.count(
            Index::Reg(block),
            Index::Constant(items as i64),
            blocks,
            |e, item| {
                e.grid(item);
                e.block(&e.kernel.body, &threads);
                // The next item takes the same scratch.
                e.t.barrier();
                e.pending = Effects::default();
            },
        );
    }

    pub(super) fn block_item(&mut self, block: Reg, slices: u32) {
        let item = match slices {
            1 => block,
            _ => {
                let (item, slice) = self.split(block, slices as usize);
                self.slice = Some((slice, slices));
                item
            }
        };
        self.grid(Index::Reg(item));
        let threads = self.block_group();
        self.block(&self.kernel.body, &threads);
    }

    /// The one loop of an item, over columns with 16 lanes each. Lanes beyond the last column
    /// compute it too, and store nothing.
    pub(super) fn columns_item(&mut self, block: Reg) {
        self.grid(Index::Reg(block));
        let kernel = self.kernel;
        let Some((
            Stmt::Loop {
                var, extent, body, ..
            },
            before,
        )) = kernel.body.split_last()
        else {
            unreachable!("an item of columns is one loop")
        };
        self.block(before, &ThreadGroup::ALONE);
        let tid = self.tid;
        let (lane, column) = self.split(tid, COLUMNS as usize);
        let end = self.extent(extent);
        let inside = self.t.def(Class::Predicate, "setp.lt.s32", (column, end));
        let first = self.t.def(Class::Predicate, "setp.eq.u32", (lane, 0));
        let leader = self.t.def(Class::Predicate, "and.pred", (first, inside));
        let last = match end {
            Index::Constant(end) => Index::Constant(end - 1),
            Index::Reg(end) => Index::Reg(self.t.def(Class::B32, "sub.s32", (end, 1))),
        };
        let index = self.t.def(Class::B32, "min.s32", (column, last));
        let threads = ThreadGroup {
            width: TILE,
            lane: Some(lane),
            leader: Some(leader),
            sync: Sync::Columns(column),
        };
        self.bind(*var, extent);
        self.vars.insert(*var, Index::Reg(index));
        self.block(body, &threads);
        self.ranges.unbind(*var);
    }

    pub(super) fn tile_item(&mut self, block: Reg) {
        let tiles = self.geometry.threads / TILE;
        let (tile, threads) = self.tile_group();
        let item = self.t.def(Class::B32, "mad.lo.u32", (block, tiles, tile));
        let end = self.guard_item(item);
        if let Some(shared) = self.shared {
            self.shared = Some(self.t.def(
                Class::B32,
                "mad.lo.u32",
                (tile, self.geometry.scratch_bytes, shared),
            ));
        }
        self.grid(Index::Reg(item));
        self.block(&self.kernel.body, &threads);
        self.t.place(end);
    }

    pub(super) fn thread_item(&mut self, block: Reg) {
        let item = self.t.def(
            Class::B32,
            "mad.lo.u32",
            (block, self.geometry.threads, self.tid),
        );
        let end = self.guard_item(item);
        self.grid(Index::Reg(item));
        self.block(&self.kernel.body, &ThreadGroup::ALONE);
        self.t.place(end);
    }

    fn guard_item(&mut self, item: Reg) -> Label {
        let end = self.t.label();
        let outside = self
            .t
            .def(Class::Predicate, "setp.ge.u32", (item, self.kernel.items()));
        self.t.branch_if(outside, end);
        end
    }

    pub fn block_group(&mut self) -> ThreadGroup {
        let leader = self.t.def(Class::Predicate, "setp.eq.u32", (self.tid, 0));
        ThreadGroup {
            width: self.geometry.threads,
            lane: Some(self.tid),
            leader: Some(leader),
            sync: Sync::Block,
        }
    }

    /// The number of this thread's tile in the block, and the tile.
    pub fn tile_group(&mut self) -> (Reg, ThreadGroup) {
        let tid = self.tid;
        let (tile, lane) = self.split(tid, TILE as usize);
        let half = self.t.def(Class::B32, "and.b32", (tid, TILE));
        let all = self.t.def(Class::B32, "mov.b32", (1u32 << TILE) - 1);
        let mask = self.t.def(Class::B32, "shl.b32", (all, half));
        let leader = self.t.def(Class::Predicate, "setp.eq.u32", (lane, 0));
        let threads = ThreadGroup {
            width: TILE,
            lane: Some(lane),
            leader: Some(leader),
            sync: Sync::Warp(mask),
        };
        (tile, threads)
    }

    /// Groups of `width` threads that never wait for one another: the group's number, the group.
    pub(super) fn lane_group(&mut self, width: u32) -> (Index, ThreadGroup) {
        if width == 1 {
            return (Index::Reg(self.tid), ThreadGroup::ALONE);
        }
        let tid = self.tid;
        let (number, lane) = self.split(tid, width as usize);
        let leader = self.t.def(Class::Predicate, "setp.eq.u32", (lane, 0));
        let threads = ThreadGroup {
            width,
            lane: Some(lane),
            leader: Some(leader),
            sync: Sync::Never,
        };
        (Index::Reg(number), threads)
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
}
