//! Reductions in the fixed order of [`bsq_ir::order`].
//!
//! Every reduction, also one whose order does not matter, has 16 partial results by index mod 16,
//! for each chunk of 2048 indices; chunks are combined by the same rule, level by level. Where
//! lanes run along the reduced variable, four registers of four lanes *are* the 16 partial
//! results. Otherwise they are an array on the stack, whose elements may be registers of lanes.

use super::emit::{ACCESS, Count, Emitter, Repr};
use super::lanes::{GROUP, VectorLoop, is_packed, register_type, scalar_type};
use super::min_max::is_min_max;
use super::statements::{LoopRange, shapes};
use crate::kernel::{Combine, Reduce, Reduction};
use bsq_ir::order::{CHUNK, LANES};
use bsq_ir::{DType, Op};
use cranelift_codegen::ir::{self, InstBuilder, StackSlotData, StackSlotKind, types};

/// The 16 partial results of one reduction, in memory.
struct Partials {
    dtype: DType,
    op: Combine,
    address: ir::Value,
    /// Registers of each partial result.
    registers: usize,
    ty: ir::Type,
}

impl Partials {
    /// Bytes of a partial result.
    fn bytes(&self) -> i64 {
        self.registers as i64 * i64::from(self.ty.bytes())
    }
}

impl Emitter<'_, '_> {
    pub fn reduce(&mut self, reduce: &Reduce) {
        // The chunks of the last level fit in one.
        let mut level = 0;
        let mut span = CHUNK;
        while span < reduce.extent.largest() {
            level += 1;
            span = span.saturating_mul(CHUNK);
        }
        let first = self.index(0);
        let count = self.extent(&reduce.extent);
        let results = self.level(reduce, level, first, count);
        for (result, registers) in reduce.results.iter().zip(results) {
            let repr = match self.lanes {
                Some(_) => Repr::Varying(registers),
                None => Repr::Uniform(registers[0]),
            };
            self.define(result.value, result.dtype, repr);
        }
    }

    /// Reduces `count` indices from `first` on, at most `2048^(level + 1)`.
    fn level(
        &mut self,
        reduce: &Reduce,
        level: u32,
        first: ir::Value,
        count: Count,
    ) -> Vec<Vec<ir::Value>> {
        if level == 0 {
            return self.chunk(reduce, first, count);
        }
        let span = CHUNK.pow(level);
        let partials = self.partials(&reduce.results);
        let start = self.index(0);
        let end = self.count(count);
        let whole = matches!(count, Count::Static(count) if count % span == 0);
        let range = LoopRange {
            start,
            end,
            step: span as i64,
            runs: !reduce.extent.may_be_empty(),
        };
        self.repeat(range, |emitter, offset| {
            let first = emitter.b.ins().iadd(first, offset);
            let count = if whole {
                Count::Static(span)
            } else {
                let rest = emitter.b.ins().isub(end, offset);
                let span = emitter.index(span as i64);
                Count::Dynamic(emitter.lesser(rest, span))
            };
            let results = emitter.level(reduce, level - 1, first, count);
            let chunk = emitter.b.ins().ushr_imm_s(offset, i64::from(span.ilog2()));
            emitter.include(&partials, chunk, results);
        });
        self.join_partials(&partials)
    }

    /// Reduces at most 2048 indices.
    fn chunk(&mut self, reduce: &Reduce, first: ir::Value, count: Count) -> Vec<Vec<ir::Value>> {
        let along = reduce.vector && self.lanes.is_none() && !shapes(reduce.var, &reduce.body);
        let end = self.count(count);
        let may_be_empty = reduce.extent.may_be_empty();
        let (main, tail) = match count {
            _ if !along => (None, true),
            Count::Static(count) if count < LANES => (None, true),
            Count::Static(count) => {
                let main = self.index((count / LANES * LANES) as i64);
                (Some((main, true)), count % LANES != 0)
            }
            Count::Dynamic(count) => {
                let main = self.b.ins().band_imm_s(count, -(LANES as i64));
                (
                    Some((main, false)),
                    !reduce.extent.divisor().is_multiple_of(LANES),
                )
            }
        };
        let registers = main.map(|(main, runs)| self.along(reduce, first, main, runs));
        if let (Some(registers), false) = (&registers, tail) {
            let joined = reduce.results.iter().zip(registers);
            let joined = joined.map(|(result, lanes)| vec![self.join_lanes(result, lanes)]);
            return joined.collect();
        }
        let partials = match &registers {
            None => self.partials(&reduce.results),
            Some(registers) => self.spilled(&reduce.results, registers),
        };
        let start = match main {
            Some((main, _)) => main,
            None => self.index(0),
        };
        let range = LoopRange {
            start,
            end,
            step: 1,
            runs: main.is_none() && !matches!(count, Count::Static(0)) && !may_be_empty,
        };
        self.repeat(range, |emitter, index| {
            let var = emitter.b.ins().iadd(first, index);
            let terms = emitter.terms(reduce, var);
            emitter.include(&partials, index, terms);
        });
        self.join_partials(&partials)
    }

    /// Sixteen indices at once, up to `end` from `first` on: the partial results in registers.
    fn along(
        &mut self,
        reduce: &Reduce,
        first: ir::Value,
        end: ir::Value,
        runs: bool,
    ) -> Vec<Vec<ir::Value>> {
        if let Some(registers) = self.simd_reduction(reduce, first, end, runs) {
            return registers;
        }
        self.lanes = Some(VectorLoop {
            var: reduce.var,
            groups: LANES / GROUP,
        });
        self.splat_uses(&reduce.body);
        let mut neutral = Vec::new();
        for result in &reduce.results {
            let element = self.neutral(result.op, result.dtype);
            neutral.extend(self.spread(result.dtype, Repr::Uniform(element)));
            if is_min_max(result) {
                neutral.extend([self.lanes_of(types::I32X4, [0; 4]); LANES / GROUP]);
            }
        }
        let range = LoopRange {
            start: self.index(0),
            end,
            step: LANES as i64,
            runs,
        };
        let flat = self.fold(range, &neutral, |emitter, index, carried| {
            let var = emitter.b.ins().iadd(first, index);
            let terms = emitter.terms(reduce, var);
            let mut rest = carried;
            let mut next = Vec::new();
            for (result, terms) in reduce.results.iter().zip(terms) {
                let (sums, masks) = split(&mut rest, result);
                for (&sum, &term) in sums.iter().zip(&terms) {
                    next.push(match is_min_max(result) {
                        true => emitter.min_max(result.op, sum, term),
                        false => emitter.combine(result.op, result.dtype, sum, term),
                    });
                }
                for (&mask, &term) in masks.iter().zip(&terms) {
                    next.push(emitter.note_nan(mask, term));
                }
            }
            next
        });
        self.lanes = None;
        self.splats.clear();
        let mut rest = flat.as_slice();
        let mut results = Vec::new();
        for result in &reduce.results {
            let (sums, masks) = split(&mut rest, result);
            results.push(match is_min_max(result) {
                true => {
                    let lanes = sums.iter().zip(masks);
                    let lanes = lanes.map(|(&best, &mask)| self.with_nan(best, mask));
                    lanes.collect()
                }
                false => sums.to_vec(),
            });
        }
        results
    }

    /// Runs the body for one index, or for the lanes that start there: the registers of each term.
    fn terms(&mut self, reduce: &Reduce, var: ir::Value) -> Vec<Vec<ir::Value>> {
        self.iteration(reduce.var, var, &reduce.body);
        let mut terms = Vec::new();
        for result in &reduce.results {
            let (dtype, repr) = self.value(result.term);
            terms.push(match (repr, self.lanes) {
                (repr, Some(_)) => self.spread(dtype, repr),
                (Repr::Uniform(term), None) => vec![term],
                (Repr::Varying(_), None) => unreachable!("lanes outside a vector loop"),
            });
        }
        terms
    }

    /// Neutral partial results.
    fn partials(&mut self, results: &[Reduction]) -> Vec<Partials> {
        let mut partials = Vec::new();
        for result in results {
            let element = self.neutral(result.op, result.dtype);
            let registers = match self.lanes {
                Some(_) => self.spread(result.dtype, Repr::Uniform(element)),
                None => vec![element],
            };
            let array = self.array(result, self.lanes.is_some(), registers.len());
            let bytes = array.ty.bytes();
            let all = registers.iter().cycle().take(LANES * registers.len());
            for (index, &register) in all.enumerate() {
                let offset = index as i32 * bytes as i32;
                let address = array.address;
                self.b.ins().store(ACCESS, register, address, offset);
            }
            partials.push(array);
        }
        partials
    }

    /// Partial results that have been in registers so far.
    fn spilled(&mut self, results: &[Reduction], registers: &[Vec<ir::Value>]) -> Vec<Partials> {
        let mut partials = Vec::new();
        for (result, registers) in results.iter().zip(registers) {
            let array = self.array(result, false, 1);
            let mut offset = 0;
            for &register in registers {
                let address = array.address;
                self.b.ins().store(ACCESS, register, address, offset);
                offset += self.b.func.dfg.value_type(register).bytes() as i32;
            }
            partials.push(array);
        }
        partials
    }

    fn array(&mut self, result: &Reduction, lanes: bool, registers: usize) -> Partials {
        let ty = match lanes {
            true => register_type(result.dtype),
            false => scalar_type(result.dtype),
        };
        let bytes = (LANES * registers) as u32 * ty.bytes();
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 4);
        let slot = self.b.create_sized_stack_slot(data);
        Partials {
            dtype: result.dtype,
            op: result.op,
            address: self.b.ins().stack_addr(types::I64, slot, 0),
            registers,
            ty,
        }
    }

    /// Combines the terms of an index with its partial results.
    fn include(&mut self, partials: &[Partials], index: ir::Value, terms: Vec<Vec<ir::Value>>) {
        let lane = self.b.ins().band_imm_s(index, LANES as i64 - 1);
        for (array, terms) in partials.iter().zip(terms) {
            let offset = self.scaled(lane, array.bytes());
            let address = self.b.ins().iadd(array.address, offset);
            for (register, term) in terms.into_iter().enumerate() {
                let offset = (register as u32 * array.ty.bytes()) as i32;
                let flags = ACCESS;
                let sum = self.b.ins().load(array.ty, flags, address, offset);
                let sum = self.combine(array.op, array.dtype, sum, term);
                self.b.ins().store(flags, sum, address, offset);
            }
        }
    }

    fn join_partials(&mut self, partials: &[Partials]) -> Vec<Vec<ir::Value>> {
        let mut results = Vec::new();
        for array in partials {
            let mut result = Vec::new();
            for register in 0..array.registers {
                let mut lanes = Vec::new();
                for lane in 0..LANES {
                    let offset =
                        lane as i64 * array.bytes() + register as i64 * i64::from(array.ty.bytes());
                    let flags = ACCESS;
                    let address = array.address;
                    lanes.push(self.b.ins().load(array.ty, flags, address, offset as i32));
                }
                result.push(self.tree(array.op, array.dtype, lanes));
            }
            results.push(result);
        }
        results
    }

    /// Halves the partial results until one is left.
    fn tree(&mut self, op: Combine, dtype: DType, mut lanes: Vec<ir::Value>) -> ir::Value {
        while lanes.len() > 1 {
            let upper = lanes.split_off(lanes.len() / 2);
            for (lower, upper) in lanes.iter_mut().zip(upper) {
                *lower = self.combine(op, dtype, *lower, upper);
            }
        }
        lanes[0]
    }

    /// The same tree over partial results in the lanes of registers.
    fn join_lanes(&mut self, result: &Reduction, registers: &[ir::Value]) -> ir::Value {
        let (op, dtype) = (result.op, result.dtype);
        let joined = self.tree(op, dtype, registers.to_vec());
        if !is_packed(dtype) {
            return joined;
        }
        let lanes = (0..GROUP as u8).map(|lane| self.b.ins().extractlane(joined, lane));
        let lanes = lanes.collect();
        self.tree(op, dtype, lanes)
    }

    fn combine(&mut self, op: Combine, dtype: DType, x: ir::Value, y: ir::Value) -> ir::Value {
        let op = match op {
            Combine::Sum => Op::Add,
            Combine::Max => Op::Max,
            Combine::Min => Op::Min,
        };
        self.apply(&op, (dtype, dtype), &[x, y])
    }

    fn neutral(&mut self, op: Combine, dtype: DType) -> ir::Value {
        self.constant(dtype, op.neutral(dtype))
    }
}

/// The registers that a result carries from one iteration to the next, taken off the front: its
/// partial results, and for a minimum or maximum where a NaN has been.
fn split<'v>(rest: &mut &'v [ir::Value], result: &Reduction) -> (&'v [ir::Value], &'v [ir::Value]) {
    let count = match is_packed(result.dtype) {
        true => LANES / GROUP,
        false => LANES,
    };
    let (sums, others) = rest.split_at(count);
    let (masks, others) = others.split_at(if is_min_max(result) { count } else { 0 });
    *rest = others;
    (sums, masks)
}
