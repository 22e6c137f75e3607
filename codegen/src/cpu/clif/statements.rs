//! Statements: definitions, stores and loops.

use super::emit::{Count, Emitter, Repr, args};
use super::lanes::{GROUP, GROUPS, VectorLoop, is_packed};
use crate::kernel::{Affine, Extent, Inst, Stmt, Value, Var};
use bsq_ir::DType;
use cranelift_codegen::ir::{self, InstBuilder, condcodes::IntCC, types};
use std::collections::HashSet;

/// A loop from `start` up to `end` in steps.
pub(super) struct LoopRange {
    pub start: ir::Value,
    pub end: ir::Value,
    pub step: i64,
    /// It is known to run at least once.
    pub runs: bool,
}

impl Emitter<'_, '_> {
    pub fn block(&mut self, body: &[Stmt]) {
        let mut rest = body;
        while let [stmt, others @ ..] = rest {
            rest = others;
            if let [Stmt::Reduce(reduce), after @ ..] = others
                && let Some(joined) = self.joined(stmt, reduce)
            {
                self.reduce(&joined);
                rest = after;
                continue;
            }
            match stmt {
                Stmt::Let { value, dtype, inst } => {
                    let repr = self.inst(*dtype, inst);
                    self.define(*value, *dtype, repr);
                }
                Stmt::Store { to, value } => {
                    let (dtype, repr) = self.value(*value);
                    self.store(to, dtype, repr);
                }
                Stmt::Loop {
                    var,
                    extent,
                    kind,
                    body,
                } => {
                    let vector = kind.is_vector() && self.lanes.is_none() && !shapes(*var, body);
                    match vector {
                        true => self.vector_loop(*var, extent, body),
                        false => self.scalar_loop(*var, extent, body),
                    }
                }
                Stmt::Reduce(reduce) => self.reduce(reduce),
                Stmt::Contract(contract) => self.contract(contract),
                Stmt::Attend(_) | Stmt::AttendBackward(_) => {
                    unreachable!("lowered for targets that ask for it")
                }
            }
        }
    }

    fn inst(&mut self, dtype: DType, inst: &Inst) -> Repr {
        match inst {
            Inst::Constant(bits) => Repr::Uniform(self.constant(dtype, *bits)),
            Inst::Index(at) => self.index_value(dtype, at),
            Inst::Load(from) => self.load(from),
            Inst::Map(op, operands) => {
                let operands: Vec<_> = operands.iter().map(|&value| self.value(value)).collect();
                self.map(op, dtype, operands)
            }
        }
    }

    /// An index expression in every lane.
    fn index_value(&mut self, dtype: DType, at: &Affine) -> Repr {
        let wide = self.affine(at);
        let first = match dtype {
            DType::I32 => self.b.ins().ireduce(types::I32, wide),
            _ => wide,
        };
        let stride = self.lanes.map_or(0, |l| at.coefficient(l.var));
        let Some(lanes) = self.lanes.filter(|_| stride != 0) else {
            return Repr::Uniform(first);
        };
        let step = |lane: usize| lane as i64 * stride;
        if dtype == DType::I64 {
            let lanes = 0..GROUP * lanes.groups;
            let lanes = lanes.map(|lane| self.b.ins().iadd_imm_s(first, step(lane)));
            return Repr::Varying(lanes.collect());
        }
        let first = self.b.ins().splat(types::I32X4, first);
        let groups = (0..lanes.groups).map(|group| {
            let steps = [0, 1, 2, 3].map(|lane| step(group * GROUP + lane) as u32);
            let steps = self.lanes_of(types::I32X4, steps);
            self.b.ins().iadd(first, steps)
        });
        Repr::Varying(groups.collect())
    }

    fn scalar_loop(&mut self, var: Var, extent: &Extent, body: &[Stmt]) {
        let count = self.extent(extent);
        let start = self.index(0);
        match count {
            Count::Static(0) => {}
            Count::Static(1) => self.iteration(var, start, body),
            _ => {
                let end = self.count(count);
                let range = LoopRange {
                    start,
                    end,
                    step: 1,
                    runs: !extent.may_be_empty(),
                };
                self.repeat(range, |emitter, index| emitter.iteration(var, index, body));
            }
        }
    }

    pub fn iteration(&mut self, var: Var, index: ir::Value, body: &[Stmt]) {
        self.enter(var, index, body);
        self.block(body);
        self.leave(var);
    }

    /// Sixteen iterations at once, then four at once, then one by one.
    fn vector_loop(&mut self, var: Var, extent: &Extent, body: &[Stmt]) {
        let count = self.extent(extent);
        let total = self.count(count);
        let divisor = extent.divisor();
        let mut done = (self.index(0), 0);
        let mut steps = &[GROUP * GROUPS, GROUP, 1][..];
        if let Some(end) = self.simd_loop(var, count, extent, body) {
            done = end;
            steps = &steps[1..];
            if divisor.is_multiple_of(GROUP * GROUPS) {
                return;
            }
        }
        self.splat_uses(body);
        for &step in steps {
            let (end, runs) = match count {
                Count::Static(count) => {
                    let end = count / step * step;
                    if end == done.1 {
                        continue;
                    }
                    done.1 = end;
                    (self.index(end as i64), true)
                }
                Count::Dynamic(_) if step == 1 => (total, false),
                Count::Dynamic(_) => (self.b.ins().band_imm_s(total, -(step as i64)), false),
            };
            let groups = step / GROUP;
            self.lanes = (groups > 0).then_some(VectorLoop { var, groups });
            let range = LoopRange {
                start: done.0,
                end,
                step: step as i64,
                runs,
            };
            self.repeat(range, |emitter, index| emitter.iteration(var, index, body));
            self.lanes = None;
            done.0 = end;
            if divisor.is_multiple_of(step) {
                break;
            }
        }
        self.splats.clear();
    }

    /// Spreads values that a vector loop reads from outside over its lanes before it starts.
    pub fn splat_uses(&mut self, body: &[Stmt]) {
        let mut uses = Vec::new();
        let mut inner = HashSet::new();
        visit_values(body, &mut |value| uses.push(value), &mut |value| {
            inner.insert(value);
        });
        for value in uses.into_iter().filter(|value| !inner.contains(value)) {
            if let (dtype, Repr::Uniform(element)) = self.value(value)
                && is_packed(dtype)
                && !self.is_constant(element)
                && !self.splats.contains_key(&element)
            {
                let splat = self.splat_element(dtype, element);
                self.splats.insert(element, splat);
            }
        }
    }

    pub fn repeat(&mut self, range: LoopRange, body: impl FnOnce(&mut Self, ir::Value)) {
        self.fold(range, &[], |emitter, index, _| {
            body(emitter, index);
            Vec::new()
        });
    }

    /// A loop that carries values from one iteration to the next; what they are after the last.
    pub fn fold(
        &mut self,
        range: LoopRange,
        carried: &[ir::Value],
        body: impl FnOnce(&mut Self, ir::Value, &[ir::Value]) -> Vec<ir::Value>,
    ) -> Vec<ir::Value> {
        let again = self.b.create_block();
        let exit = self.b.create_block();
        self.b.append_block_param(again, types::I64);
        for &value in carried {
            let ty = self.b.func.dfg.value_type(value);
            self.b.append_block_param(again, ty);
            self.b.append_block_param(exit, ty);
        }
        let first = [&[range.start], carried].concat();
        if range.runs {
            self.b.ins().jump(again, &args(&first));
        } else {
            let any = self
                .b
                .ins()
                .icmp(IntCC::SignedLessThan, range.start, range.end);
            self.b
                .ins()
                .brif(any, again, &args(&first), exit, &args(carried));
        }
        self.b.switch_to_block(again);
        let params = self.b.block_params(again).to_vec();
        let carried = body(self, params[0], &params[1..]);
        let next = self.b.ins().iadd_imm_s(params[0], range.step);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, range.end);
        let following = [&[next], carried.as_slice()].concat();
        self.b
            .ins()
            .brif(more, again, &args(&following), exit, &args(&carried));
        self.b.switch_to_block(exit);
        self.b.block_params(exit).to_vec()
    }
}

/// Every value that a block reads for its lanes, and every one that it defines.
fn visit_values(body: &[Stmt], read: &mut impl FnMut(Value), define: &mut impl FnMut(Value)) {
    for stmt in body {
        match stmt {
            Stmt::Let { value, inst, .. } => {
                if let Inst::Map(_, operands) = inst {
                    operands.iter().for_each(|&operand| read(operand));
                }
                define(*value);
            }
            Stmt::Store { value, .. } => read(*value),
            Stmt::Loop { body, .. } => visit_values(body, read, define),
            Stmt::Reduce(reduce) => {
                visit_values(&reduce.body, read, define);
                for result in &reduce.results {
                    read(result.term);
                    define(result.value);
                }
            }
            Stmt::Contract(_) | Stmt::Attend(_) | Stmt::AttendBackward(_) => {}
        }
    }
}

/// True if the number of iterations of a loop in `body` depends on `var`, so that lanes along
/// `var` would not stay together.
pub(super) fn shapes(var: Var, body: &[Stmt]) -> bool {
    let depends = |extent: &Extent| extent.indices().any(|at| at.coefficient(var) != 0);
    body.iter().any(|stmt| match stmt {
        Stmt::Loop { extent, body, .. } => depends(extent) || shapes(var, body),
        Stmt::Reduce(reduce) => depends(&reduce.extent) || shapes(var, &reduce.body),
        Stmt::Contract(_) | Stmt::Attend(_) | Stmt::AttendBackward(_) => true,
        Stmt::Let { .. } | Stmt::Store { .. } => false,
    })
}
