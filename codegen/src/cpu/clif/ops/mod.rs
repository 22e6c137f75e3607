//! Elementwise ops as machine operations, with the meaning of the reference evaluator.
//!
//! Most are written once for a scalar and a packed register alike. An op that has no packed form
//! for its types is done lane by lane.

mod arithmetic;
mod cast;
mod fused;
mod half;
mod math;

use super::emit::{Emitter, Repr};
use super::lanes::{GROUP, is_packed};
use bsq_ir::{DType, Op};
use cranelift_codegen::ir::{self, InstBuilder, InstructionData, types};

impl Emitter<'_, '_> {
    /// The value of an elementwise op, of type `dtype`.
    pub fn map(&mut self, op: &Op, dtype: DType, operands: Vec<(DType, Repr)>) -> Repr {
        let types: Vec<DType> = operands.iter().map(|operand| operand.0).collect();
        let uniform: Option<Vec<ir::Value>> = operands
            .iter()
            .map(|(_, repr)| match repr {
                Repr::Uniform(value) => Some(*value),
                Repr::Varying(_) => None,
            })
            .collect();
        if let Some(operands) = uniform {
            return Repr::Uniform(self.apply(op, &types, dtype, &operands));
        }
        let packed = is_packed(dtype) && types.iter().all(|&dtype| is_packed(dtype));
        let lanewise = matches!(op, Op::ShiftLeft | Op::ShiftRight);
        let columns: Vec<Vec<ir::Value>> = operands
            .into_iter()
            .map(|(dtype, repr)| match packed && !lanewise {
                true => self.spread(dtype, repr),
                false => self.elements(dtype, repr),
            })
            .collect();
        if is_function(op) {
            let registers = columns[0].chunks(GROUP);
            let results = registers.map(|registers| self.function(op, registers));
            return Repr::Varying(results.collect::<Vec<_>>().concat());
        }
        let mut results = Vec::with_capacity(columns[0].len());
        for row in 0..columns[0].len() {
            let operands: Vec<ir::Value> = columns.iter().map(|column| column[row]).collect();
            results.push(self.apply(op, &types, dtype, &operands));
        }
        match packed && !lanewise {
            true => Repr::Varying(results),
            false => self.varying(dtype, results),
        }
    }

    /// One op on scalars or on packed registers.
    fn apply(&mut self, op: &Op, from: &[DType], to: DType, x: &[ir::Value]) -> ir::Value {
        match op {
            Op::StopGradient => x[0],
            Op::Cast(_) => self.cast(from[0], to, x[0]),
            Op::Select => self.choose(x[0], x[1], x[2]),
            _ if is_function(op) => self.function(op, x)[0],
            _ => self.arithmetic(op, from[0], x),
        }
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

    /// An `f32` in the form of `like`.
    fn f32_like(&mut self, like: ir::Value, value: f32) -> ir::Value {
        let scalar = self.b.ins().f32const(value);
        match self.is_vector(like) {
            true => self.splat(types::F32X4, scalar),
            false => scalar,
        }
    }

    /// An integer in the form of `like`, which is of an integer type.
    fn int_like(&mut self, like: ir::Value, value: i64) -> ir::Value {
        let ty = self.b.func.dfg.value_type(like);
        let lane = ty.lane_type();
        // An immediate is given without the bits above its type.
        let bits = match lane.bits() {
            64 => value,
            bits => value & ((1 << bits) - 1),
        };
        let scalar = self.b.ins().iconst(lane, bits);
        match ty.is_vector() {
            true => self.splat(ty, scalar),
            false => scalar,
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

    /// The bits of `f32` as 32-bit integers.
    fn float_bits(&mut self, x: ir::Value) -> ir::Value {
        let ty = match self.is_vector(x) {
            true => types::I32X4,
            false => types::I32,
        };
        self.recast(ty, x)
    }

    /// 32-bit integers as the bits of `f32`.
    fn bits_float(&mut self, x: ir::Value) -> ir::Value {
        let ty = match self.is_vector(x) {
            true => types::F32X4,
            false => types::F32,
        };
        self.recast(ty, x)
    }
}

/// True for the ops of [`bsq_ir::math`].
fn is_function(op: &Op) -> bool {
    matches!(
        op,
        Op::Exp | Op::Log | Op::Tanh | Op::Erf | Op::Sin | Op::Cos
    )
}
