//! The body of one kernel: statements by the thread group that runs them.

use super::Options;
use super::code::{Address, Body, Class, Opcode, Operand, Operands, Parameter, Reg};
use super::plan::{Aliases, Effects, Geometry, Items, LaneMapping, PARTIALS, STAGE, VectorAccess};
use super::thread_group::{Sync, ThreadGroup};
use crate::kernel::bounds::Ranges;
use crate::kernel::{Inst, Kernel, Place, Stmt, Value, Var};
use bsq_ir::DType;
use std::collections::HashMap;

/// A loop variable, as `s32`.
#[derive(Clone, Copy, Debug)]
pub enum Index {
    Constant(i64),
    Reg(Reg),
}

impl From<Index> for Operand {
    fn from(index: Index) -> Operand {
        match index {
            Index::Constant(value) => value.into(),
            Index::Reg(reg) => reg.into(),
        }
    }
}

impl Operands for Index {
    fn into_list(self) -> Vec<Operand> {
        vec![self.into()]
    }
}

/// What an address has of terms that change, by where it is.
pub(super) type Bases = HashMap<(Place, Vec<(Var, i64)>, Option<Value>), Address>;

pub(super) struct Emitter<'k> {
    pub kernel: &'k Kernel,
    pub aliases: &'k Aliases,
    pub options: &'k Options,
    pub geometry: &'k Geometry,
    pub t: Body,
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
    /// What the thread group has touched since it last waited.
    pub pending: Effects,
    /// This block's part of the item's one loop, and of how many.
    pub slice: Option<(Reg, u32)>,
    /// The loop around, or the current one, of which threads take iterations together.
    pub vector_access: Option<VectorAccess>,
}

impl<'k> Emitter<'k> {
    pub fn new(
        kernel: &'k Kernel,
        aliases: &'k Aliases,
        geometry: &'k Geometry,
        options: &'k Options,
    ) -> Self {
        let mut t = Body::default();
        let tid = t.def(Class::B32, "mov.u32", "%tid.x");
        Emitter {
            kernel,
            aliases,
            options,
            geometry,
            t,
            ranges: Ranges::of_grid(kernel),
            vars: HashMap::new(),
            values: HashMap::new(),
            buffers: Vec::new(),
            shared: None,
            workspace: None,
            tid,
            bases: HashMap::new(),
            pending: Effects::default(),
            slice: None,
            vector_access: None,
        }
    }

    /// The whole kernel.
    pub fn run(mut self) -> Body {
        for index in 0..self.kernel.buffers.len() {
            let buffer = Parameter::Buffer(index);
            let pointer = self.t.def(Class::B64, "ld.param.u64", buffer);
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
                Items::Columns => self.columns_item(block),
                Items::Tile => self.tile_item(block),
                Items::Thread => self.thread_item(block),
            }
        }
        self.t.op(Opcode::Return, ());
        self.t
    }

    /// Runs statements; what they define is gone after them.
    pub fn block(&mut self, stmts: &[Stmt], threads: &ThreadGroup) {
        let bases = self.bases.clone();
        for stmt in stmts {
            self.statement(stmt, threads);
        }
        self.bases = bases;
    }

    fn statement(&mut self, stmt: &Stmt, threads: &ThreadGroup) {
        self.annotate(stmt);
        let lanes = match threads.sync {
            Sync::Block => LaneMapping::BLOCK,
            Sync::Warp(_) => LaneMapping::TILE,
            Sync::Columns(_) => LaneMapping::NONE,
            Sync::Never => LaneMapping::LOOPS,
        };
        let mut effects = Effects::of(self.aliases, std::slice::from_ref(stmt), lanes);
        match stmt {
            Stmt::Contract(_) | Stmt::Attend(_) | Stmt::AttendBackward(_) => {
                effects = effects.with(STAGE)
            }
            Stmt::Reduce(_) if matches!(threads.sync, Sync::Block | Sync::Columns(_)) => {
                effects = effects.with(PARTIALS)
            }
            _ => {}
        }
        if !matches!(stmt, Stmt::Loop { kind, .. } if !kind.is_vector()) {
            self.wait_for(&effects, threads);
        }
        match stmt {
            Stmt::Let { value, dtype, inst } => {
                let reg = self.inst(*dtype, inst);
                self.values.insert(*value, (*dtype, reg));
            }
            Stmt::Store { to, value } => {
                let (dtype, reg) = self.values[value];
                let address = self.address(to);
                self.store(dtype, &address, reg, threads.leader);
            }
            Stmt::Loop {
                var, extent, body, ..
            } => self.loop_(stmt, (*var, extent, body), threads),
            Stmt::Reduce(reduce) => self.reduce(reduce, threads),
            Stmt::Contract(contract) => self.contract(contract),
            Stmt::Attend(attend) => self.attend(attend),
            Stmt::AttendBackward(backward) => self.attend_backward(backward),
        }
        self.pending.include(&effects);
    }

    /// The statement in Kernel IR, of loops the head.
    pub fn annotate(&mut self, stmt: &Stmt) {
        let text = stmt.to_string();
        self.t.comment(text.lines().next().unwrap_or_default());
    }

    pub fn inst(&mut self, dtype: DType, inst: &Inst) -> Reg {
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

    /// Waits if a statement needs what others of the thread group have done, or may overwrite it.
    pub fn wait_for(&mut self, effects: &Effects, threads: &ThreadGroup) {
        if threads.width > 1 && self.pending.conflicts(effects) {
            self.wait(threads);
        }
    }

    pub fn wait(&mut self, threads: &ThreadGroup) {
        match threads.sync {
            Sync::Block | Sync::Columns(_) => self.t.barrier(),
            Sync::Warp(mask) => {
                self.t.op(Opcode::WarpBarrier, mask);
            }
            Sync::Never => return,
        }
        self.pending = Effects::default();
    }
}
