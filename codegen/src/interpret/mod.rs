//! The reference interpreter of Kernel IR: obvious and slow, the oracle of every backend.

mod attend;
mod attend_backward;
mod contract;
mod elementwise;
#[cfg(test)]
mod tests;

use crate::kernel::{Affine, Array, Combine, Element, Extent, Inst, Kernel, Place, Reduce};
use crate::kernel::{Stmt, Value, Var};
use bsq_ir::DType;
use std::collections::HashMap;

/// Runs work items `begin..end` of a kernel. `buffers` holds the bytes of each of its buffers, in
/// their order, little-endian.
///
/// # Panics
/// If a buffer has not its array's size, or a run-time offset leaves its array.
pub fn interpret(kernel: &Kernel, buffers: &mut [&mut [u8]], begin: usize, end: usize) {
    assert_eq!(buffers.len(), kernel.buffers.len(), "one slice per buffer");
    for (index, (buffer, array)) in buffers.iter().zip(&kernel.buffers).enumerate() {
        let bytes = array.elements * array.dtype.size();
        assert_eq!(buffer.len(), bytes, "bytes of buffer {index}");
    }
    for item in begin..end {
        let mut run = Item {
            buffers,
            scratch: kernel.scratch.iter().map(uninitialised).collect(),
            vars: HashMap::new(),
            values: HashMap::new(),
        };
        let mut rest = item;
        for axis in kernel.grid.iter().rev() {
            run.vars.insert(axis.var, (rest % axis.extent) as i64);
            rest /= axis.extent;
        }
        run.block(&kernel.body);
    }
}

/// Scratch starts as bytes that no computation gives by chance.
fn uninitialised(array: &Array) -> Vec<u8> {
    vec![0xa5; array.elements * array.dtype.size()]
}

/// One running work item. A value is kept as the bits of its element, zero-extended.
struct Item<'r, 'b> {
    buffers: &'r mut [&'b mut [u8]],
    scratch: Vec<Vec<u8>>,
    vars: HashMap<Var, i64>,
    values: HashMap<Value, (DType, u64)>,
}

impl Item<'_, '_> {
    fn block(&mut self, body: &[Stmt]) {
        for stmt in body {
            self.statement(stmt);
        }
    }

    fn statement(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let { value, dtype, inst } => {
                let bits = self.inst(*dtype, inst);
                self.values.insert(*value, (*dtype, bits));
            }
            Stmt::Store { to, value } => {
                let (dtype, bits) = self.values[value];
                let at = self.offset(to);
                let size = dtype.size();
                self.bytes(to.place)[at * size..][..size]
                    .copy_from_slice(&bits.to_le_bytes()[..size]);
            }
            Stmt::Loop {
                var, extent, body, ..
            } => {
                for index in 0..self.extent(extent) {
                    self.vars.insert(*var, index as i64);
                    self.block(body);
                }
            }
            Stmt::Reduce(reduce) => self.reduce(reduce),
            Stmt::Contract(contract) => self.contract(contract),
            Stmt::Attend(attend) => self.attend(attend),
            Stmt::AttendBackward(backward) => self.attend_backward(backward),
        }
    }

    fn inst(&mut self, dtype: DType, inst: &Inst) -> u64 {
        match inst {
            Inst::Constant(bits) => *bits,
            Inst::Index(at) if dtype == DType::I32 => u64::from(self.affine(at) as u32),
            Inst::Index(at) => self.affine(at) as u64,
            Inst::Load(from) => self.load(from, dtype),
            Inst::Map(op, operands) => {
                let operands: Vec<_> = operands.iter().map(|value| self.values[value]).collect();
                elementwise::apply(op, &operands)
            }
        }
    }

    fn reduce(&mut self, reduce: &Reduce) {
        let extent = self.extent(&reduce.extent);
        let mut terms = vec![Vec::with_capacity(extent); reduce.results.len()];
        for index in 0..extent {
            self.vars.insert(reduce.var, index as i64);
            self.block(&reduce.body);
            for (terms, result) in terms.iter_mut().zip(&reduce.results) {
                terms.push(self.values[&result.term].1);
            }
        }
        for (terms, result) in terms.iter().zip(&reduce.results) {
            let bits = match (result.op, result.dtype) {
                (Combine::Sum, DType::F32) => {
                    let terms: Vec<f32> = terms.iter().map(|&t| f32::from_bits(t as u32)).collect();
                    bsq_ir::order::sum(&terms).to_bits().into()
                }
                (op, dtype) => combine(op, dtype, terms),
            };
            self.values.insert(result.value, (result.dtype, bits));
        }
    }

    fn load(&mut self, from: &Element, dtype: DType) -> u64 {
        let at = self.offset(from);
        let size = dtype.size();
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&self.bytes(from.place)[at * size..][..size]);
        u64::from_le_bytes(bytes)
    }

    /// Offset in elements; checked when it is used.
    fn offset(&self, element: &Element) -> usize {
        let dynamic = element.dynamic.map_or(0, |value| self.values[&value].1);
        (self.affine(&element.at) + dynamic as i64) as usize
    }

    fn affine(&self, at: &Affine) -> i64 {
        at.evaluate(|var| self.vars[&var])
    }

    fn extent(&self, extent: &Extent) -> usize {
        extent.evaluate(|var| self.vars[&var])
    }

    fn bytes(&mut self, place: Place) -> &mut [u8] {
        match place {
            Place::Buffer(index) => self.buffers[index as usize],
            Place::Scratch(index) => &mut self.scratch[index as usize],
        }
    }
}

/// A reduction whose result does not depend on the order.
fn combine(op: Combine, dtype: DType, terms: &[u64]) -> u64 {
    use bsq_ir::Op;
    let neutral = op.neutral(dtype);
    let op = match op {
        Combine::Sum => Op::Add,
        Combine::Max => Op::Max,
        Combine::Min => Op::Min,
    };
    terms.iter().fold(neutral, |sum, &term| {
        elementwise::apply(&op, &[(dtype, sum), (dtype, term)])
    })
}
