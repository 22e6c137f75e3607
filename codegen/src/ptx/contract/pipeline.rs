//! The loop over slabs: some are on their way to shared memory while one is multiplied.

use super::super::code::{Address, Class, Reg};
use super::super::emit::{Emitter, Index};
use super::Plan;
use super::stage::Stage;

/// How many terms a stage holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terms {
    Slab,
    Known(i64),
    Counted(Reg),
}

/// What is done with the zeros behind the last term. Adding them makes +0 of a sum of -0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zeros {
    Added,
    LeftOut,
}

/// Adds the terms of a stage that starts at an address.
type Compute<'c> = dyn FnMut(&mut Emitter, &Address, Terms) + 'c;

/// Buffers in turn: the first is computed from, the last is filled next.
struct Pipeline {
    stage: Stage,
    buffers: Vec<Reg>,
}

impl Emitter<'_> {
    /// All terms, slab after slab; the last one is filled up with zeros.
    pub(super) fn slabs(&mut self, plan: &Plan, zeros: Zeros, compute: &mut Compute) {
        let slab = plan.tiling.slab() as i64;
        let pipeline = self.first_slabs(plan);
        let (whole, rest) = match plan.k {
            k if zeros == Zeros::Added => (k, Index::Constant(0)),
            Index::Constant(k) => (Index::Constant(k / slab * slab), Index::Constant(k % slab)),
            Index::Reg(k) => {
                let (_, rest) = self.split(k, slab as usize);
                let whole = self.t.def(Class::B32, "sub.s32", (k, rest));
                (Index::Reg(whole), Index::Reg(rest))
            }
        };
        self.count(Index::Constant(0), whole, slab as u32, |e, k| {
            let k = e.index_reg(k);
            e.slab(plan, &pipeline, Some(k), (Terms::Slab, compute));
            e.rotate(&pipeline);
        });
        match rest {
            Index::Constant(0) => {}
            Index::Constant(rest) => {
                self.slab(plan, &pipeline, None, (Terms::Known(rest), compute))
            }
            Index::Reg(rest) => {
                let none = self.t.def(Class::Predicate, "setp.eq.s32", (rest, 0));
                let skip = self.t.label();
                self.t.branch_if(none, skip);
                self.slab(plan, &pipeline, None, (Terms::Counted(rest), compute));
                self.t.place(skip);
            }
        }
        // The result in the same memory, or the next tile, overwrites what others still read.
        if self.geometry.overlaid || (!plan.is_one_tile() && !plan.ends_in_last_buffer()) {
            self.t.barrier();
        }
    }

    /// Fills all buffers but the last.
    fn first_slabs(&mut self, plan: &Plan) -> Pipeline {
        let stage = Stage::new(self, plan);
        let bytes = plan.tiling.buffer_bytes();
        let buffers: Vec<Reg> = (0..plan.tiling.stages)
            .map(|number| {
                self.t
                    .def(Class::B32, "add.u32", (plan.stage.base, number * bytes))
            })
            .collect();
        let pipeline = Pipeline { stage, buffers };
        for number in 0..plan.tiling.stages - 1 {
            let first = (number * plan.tiling.slab()) as i64;
            let k = self.t.def(Class::B32, "mov.b32", first);
            // The first slab is always there.
            self.fill(plan, &pipeline, (k, number > 0), number);
        }
        pipeline
    }

    /// Starts the copies of the slab at `k`, as one group even if there is none.
    fn fill(&mut self, plan: &Plan, pipeline: &Pipeline, (k, checked): (Reg, bool), buffer: usize) {
        let to = at(plan, pipeline.buffers[buffer]);
        match checked {
            false => pipeline.stage.fill(self, plan, k, &to),
            true => {
                let none = self.t.def(Class::Predicate, "setp.ge.s32", (k, plan.k));
                let skip = self.t.label();
                self.t.branch_if(none, skip);
                pipeline.stage.fill(self, plan, k, &to);
                self.t.place(skip);
            }
        }
        self.t.op("cp.async.commit_group", ());
    }

    /// Waits for the first buffer, fills the last one with what comes after the slab at `k`, and
    /// computes.
    fn slab(
        &mut self,
        plan: &Plan,
        pipeline: &Pipeline,
        k: Option<Reg>,
        (terms, compute): (Terms, &mut Compute),
    ) {
        let ahead = plan.tiling.stages - 1;
        self.t.op("cp.async.wait_group", ahead - 1);
        self.t.barrier();
        if let Some(k) = k {
            let next = self.plus(k, ahead * plan.tiling.slab());
            self.fill(plan, pipeline, (next, true), ahead);
        }
        compute(self, &at(plan, pipeline.buffers[0]), terms);
    }

    fn rotate(&mut self, pipeline: &Pipeline) {
        let first = self.t.def(Class::B32, "mov.b32", pipeline.buffers[0]);
        for pair in pipeline.buffers.windows(2) {
            self.t.set(pair[0], "mov.b32", pair[1]);
        }
        let last = pipeline.buffers[pipeline.buffers.len() - 1];
        self.t.set(last, "mov.b32", first);
    }
}

fn at(plan: &Plan, base: Reg) -> Address {
    Address { base, ..plan.stage }
}
