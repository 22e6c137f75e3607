//! Values of a vector loop: how the elements of its lanes lie in registers.
//!
//! A vector loop runs `4 * groups` iterations at once, one per lane. A value that differs between
//! them is kept, by element type, in one of two ways:
//!
//! - packed: one 128-bit register for each four lanes. `f32`, `i32` and `u32` as they are; `bool`
//!   as a mask of all or no bits; `f16` and `bf16` as their bits zero-extended to 32;
//! - apart: a scalar for each lane (`i64`, `u64`, `u8`). What has no packed form is done lane by
//!   lane, so every kernel can be compiled as a vector loop.

use super::emit::{Emitter, Repr};
use crate::kernel::Var;
use bsq_ir::DType;
use cranelift_codegen::ir::{self, InstBuilder, types};

/// The lanes of the vector loop being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct VectorLoop {
    /// Lane `i` has the variable's value plus `i`.
    pub var: Var,
    /// Groups of four lanes.
    pub groups: usize,
}

/// Groups that the main part of a vector loop runs at once: independent work hides the latency of
/// long functions, and their constants are loaded once for all groups.
pub(super) const GROUPS: usize = 4;
/// Lanes in a group.
pub(super) const GROUP: usize = 4;

/// True for types whose lanes share a register.
pub(super) fn is_packed(dtype: DType) -> bool {
    !matches!(dtype, DType::I64 | DType::U64 | DType::U8)
}

/// The register type of one element.
pub(super) fn scalar_type(dtype: DType) -> ir::Type {
    match dtype {
        DType::F32 => types::F32,
        DType::I32 | DType::U32 => types::I32,
        DType::I64 | DType::U64 => types::I64,
        DType::F16 | DType::BF16 => types::I16,
        DType::U8 | DType::Bool => types::I8,
    }
}

/// The register type of a varying value.
pub(super) fn register_type(dtype: DType) -> ir::Type {
    match dtype {
        DType::F32 => types::F32X4,
        _ if is_packed(dtype) => types::I32X4,
        _ => scalar_type(dtype),
    }
}

impl Emitter<'_, '_> {
    /// The registers of a value, spread over all lanes if it is uniform.
    pub fn spread(&mut self, dtype: DType, repr: Repr) -> Vec<ir::Value> {
        let value = match repr {
            Repr::Varying(registers) => return registers,
            Repr::Uniform(value) => value,
        };
        let groups = self.lanes.expect("inside a vector loop").groups;
        if !is_packed(dtype) {
            return vec![value; groups * GROUP];
        }
        if let Some(&splat) = self.splats.get(&value) {
            return vec![splat; groups];
        }
        vec![self.splat_element(dtype, value); groups]
    }

    /// An element in every lane of a packed register.
    pub fn splat_element(&mut self, dtype: DType, element: ir::Value) -> ir::Value {
        let lane = self.lane_bits(dtype, element);
        self.splat(register_type(dtype), lane)
    }

    /// The element of each lane.
    pub fn elements(&mut self, dtype: DType, repr: Repr) -> Vec<ir::Value> {
        let registers = self.spread(dtype, repr);
        if !is_packed(dtype) {
            return registers;
        }
        let mut elements = Vec::with_capacity(registers.len() * GROUP);
        for register in registers {
            for lane in 0..GROUP {
                elements.push(self.element(dtype, register, lane));
            }
        }
        elements
    }

    /// The element in a lane of a packed register.
    pub fn element(&mut self, dtype: DType, register: ir::Value, lane: usize) -> ir::Value {
        let bits = self.b.ins().extractlane(register, lane as u8);
        match dtype {
            DType::Bool => {
                let byte = self.b.ins().ireduce(types::I8, bits);
                self.b.ins().band_imm_s(byte, 1)
            }
            DType::F16 | DType::BF16 => self.b.ins().ireduce(types::I16, bits),
            _ => bits,
        }
    }

    /// A varying value from the element of each lane.
    pub fn varying(&mut self, dtype: DType, elements: Vec<ir::Value>) -> Repr {
        if !is_packed(dtype) {
            return Repr::Varying(elements);
        }
        let mut registers = Vec::with_capacity(elements.len() / GROUP);
        for group in elements.chunks(GROUP) {
            let lane = self.lane_bits(dtype, group[0]);
            let ty = register_type(dtype);
            let mut register = self.b.ins().scalar_to_vector(ty, lane);
            for (index, &element) in group.iter().enumerate().skip(1) {
                let lane = self.lane_bits(dtype, element);
                register = self.b.ins().insertlane(register, lane, index as u8);
            }
            registers.push(register);
        }
        Repr::Varying(registers)
    }

    /// An element as it stands in a lane of a packed register.
    fn lane_bits(&mut self, dtype: DType, element: ir::Value) -> ir::Value {
        match dtype {
            DType::Bool => {
                let wide = self.b.ins().uextend(types::I32, element);
                self.b.ins().ineg(wide)
            }
            DType::F16 | DType::BF16 => self.b.ins().uextend(types::I32, element),
            _ => element,
        }
    }
}
