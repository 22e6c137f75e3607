//! Elementwise ops as machine operations, with the meaning of the reference evaluator.
//!
//! Most are written once for a scalar and a packed register alike. An op that has no packed form
//! for its types is done lane by lane.

mod fused;
mod written;

use super::emit::{Emitter, Repr};
use super::lanes::{GROUP, is_packed};
use bsq_ir::math::{self, Shift};
use bsq_ir::{DType, Op};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, InstructionData};
use written::{Row, Written};

impl Emitter<'_, '_> {
    /// The value of an elementwise op, of type `dtype`.
    pub fn map(&mut self, op: &Op, dtype: DType, operands: Vec<(DType, Repr)>) -> Repr {
        let types = (operands[0].0, dtype);
        let uniform: Option<Vec<ir::Value>> = operands
            .iter()
            .map(|(_, repr)| match repr {
                Repr::Uniform(value) => Some(*value),
                Repr::Varying(_) => None,
            })
            .collect();
        if let Some(operands) = uniform {
            return Repr::Uniform(self.apply(op, types, &operands));
        }
        let packed = is_packed(dtype) && operands.iter().all(|&(dtype, _)| is_packed(dtype));
        // No machine shifts each lane of a packed register by its own amount.
        let packed = packed && !matches!(op, Op::ShiftLeft | Op::ShiftRight);
        let columns: Vec<Vec<ir::Value>> = operands
            .into_iter()
            .map(|(dtype, repr)| match packed {
                true => self.spread(dtype, repr),
                false => self.elements(dtype, repr),
            })
            .collect();
        let at_once = if is_function(op) { GROUP } else { 1 };
        let registers = columns[0].len();
        let mut results = Vec::with_capacity(registers);
        for first in (0..registers).step_by(at_once) {
            let count = at_once.min(registers - first);
            let row = |column: &Vec<ir::Value>| {
                let mut row = [column[first]; GROUP];
                row[..count].copy_from_slice(&column[first..first + count]);
                row
            };
            let rows: Vec<Row> = columns.iter().map(row).collect();
            results.extend_from_slice(&self.written(op, types, &rows, count)[..count]);
        }
        match packed {
            true => Repr::Varying(results),
            false => self.varying(dtype, results),
        }
    }

    /// One op on scalars or on packed registers; the types are those of the first operand and of
    /// the result.
    pub fn apply(&mut self, op: &Op, types: (DType, DType), x: &[ir::Value]) -> ir::Value {
        let rows: Vec<Row> = x.iter().map(|&x| [x; GROUP]).collect();
        self.written(op, types, &rows, 1)[0]
    }

    /// One op on a few registers alike. Each operation is written for all of them before the next,
    /// so that they share a constant while it is in a register.
    fn written(&mut self, op: &Op, types: (DType, DType), x: &[Row], count: usize) -> Row {
        let vector = self.is_vector(x[0][0]);
        let lanes = &mut Written {
            emitter: self,
            vector,
            count,
        };
        math::elementwise(lanes, op, types, x)
    }

    /// A constant from its zero-extended bits.
    pub fn constant(&mut self, dtype: DType, bits: u64) -> ir::Value {
        match dtype {
            DType::F32 => self.b.ins().f32const(f32::from_bits(bits as u32)),
            _ => {
                let ty = super::lanes::scalar_type(dtype);
                self.b.ins().iconst(ty, bits as i64)
            }
        }
    }

    /// A register of four constants of 32 bits.
    pub fn lanes_of(&mut self, ty: ir::Type, lanes: [u32; 4]) -> ir::Value {
        let bytes = lanes.iter().flat_map(|lane| lane.to_le_bytes());
        let constant = self.b.func.dfg.constants.insert(bytes.collect());
        self.b.ins().vconst(ty, constant)
    }

    /// True for what a constant instruction gives.
    pub fn is_constant(&self, x: ir::Value) -> bool {
        let dfg = &self.b.func.dfg;
        let definition = dfg.value_def(x).inst().map(|inst| dfg.insts[inst]);
        matches!(
            definition,
            Some(InstructionData::UnaryIeee32 { .. } | InstructionData::UnaryImm { .. })
        )
    }

    /// A scalar of 32 bits in every lane of a register.
    pub fn splat(&mut self, ty: ir::Type, scalar: ir::Value) -> ir::Value {
        let dfg = &self.b.func.dfg;
        let definition = dfg.value_def(scalar).inst().map(|inst| dfg.insts[inst]);
        match definition {
            // A constant is loaded where it is used: cheaper than a register kept for it.
            Some(InstructionData::UnaryIeee32 { imm, .. }) => self.lanes_of(ty, [imm.bits(); 4]),
            Some(InstructionData::UnaryImm { imm, .. }) => {
                self.lanes_of(ty, [imm.bits() as u32; 4])
            }
            _ => self.b.ins().splat(ty, scalar),
        }
    }

    pub(super) fn is_vector(&self, x: ir::Value) -> bool {
        self.b.func.dfg.value_type(x).is_vector()
    }

    /// Scalars only. Amounts are unsigned; from the width on, all bits are shifted out.
    fn shift_by(&mut self, op: Shift, x: ir::Value, amount: ir::Value) -> ir::Value {
        let ty = self.b.func.dfg.value_type(x);
        let width = self.b.ins().iconst(ty, i64::from(ty.bits()));
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, amount, width);
        if op == Shift::RightArithmetic {
            let last = self.b.ins().iadd_imm_s(width, -1);
            let amount = self.b.ins().select(inside, amount, last);
            return self.shifted(op, x, amount);
        }
        let shifted = self.shifted(op, x, amount);
        let zero = self.b.ins().iconst(ty, 0);
        self.b.ins().select(inside, shifted, zero)
    }

    /// By an amount below the width.
    fn shifted(&mut self, op: Shift, x: ir::Value, amount: ir::Value) -> ir::Value {
        match op {
            Shift::Left => self.b.ins().ishl(x, amount),
            Shift::RightLogical => self.b.ins().ushr(x, amount),
            Shift::RightArithmetic => self.b.ins().sshr(x, amount),
        }
    }

    /// `condition ? x : y`; the condition is a byte or a mask.
    fn choose(&mut self, condition: ir::Value, x: ir::Value, y: ir::Value) -> ir::Value {
        if !self.is_vector(x) {
            return self.b.ins().select(condition, x, y);
        }
        let ty = self.b.func.dfg.value_type(x);
        let mask = self.recast(ty, condition);
        self.b.ins().bitselect(mask, x, y)
    }

    /// The same bits as another type.
    pub fn recast(&mut self, ty: ir::Type, x: ir::Value) -> ir::Value {
        if self.b.func.dfg.value_type(x) == ty {
            return x;
        }
        let order = ir::MemFlagsData::new().with_endianness(ir::Endianness::Little);
        self.b.ins().bitcast(ty, order, x)
    }
}

/// True for the ops of [`bsq_ir::math`].
fn is_function(op: &Op) -> bool {
    matches!(
        op,
        Op::Exp | Op::Log | Op::Tanh | Op::Erf | Op::Sin | Op::Cos
    )
}
