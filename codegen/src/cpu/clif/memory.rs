//! Loads and stores.

use super::emit::{ACCESS, Emitter, Repr};
use super::lanes::{GROUP, is_packed, scalar_type};
use crate::cpu::microkernel::Family;
use crate::kernel::{AccessPattern, Element};
use bsq_ir::DType;
use cranelift_codegen::ir::{self, InstBuilder, condcodes::IntCC, types};

/// Where the lanes of an access are.
enum LaneAddresses {
    /// All at one address.
    Same(ir::Value, i64),
    /// One after the other.
    Contiguous(ir::Value, i64),
    /// An address for each lane.
    Each(Vec<(ir::Value, i64)>),
}

impl Emitter<'_, '_> {
    pub fn load(&mut self, from: &Element) -> Repr {
        let dtype = self.kernel.array(from.place).dtype;
        match self.lane_addresses(from) {
            LaneAddresses::Same(address, offset) => {
                Repr::Uniform(self.load_scalar(dtype, address, offset))
            }
            LaneAddresses::Contiguous(address, offset) if is_packed(dtype) => {
                let groups = self.groups();
                let bytes = (GROUP * dtype.size()) as i64;
                let loads = (0..groups as i64)
                    .map(|group| self.load_packed(dtype, address, offset + group * bytes));
                Repr::Varying(loads.collect())
            }
            LaneAddresses::Contiguous(address, offset) => {
                let lanes = self.neighbours(dtype, address, offset);
                self.load_lanes(dtype, lanes)
            }
            LaneAddresses::Each(lanes) => self.load_lanes(dtype, lanes),
        }
    }

    pub fn store(&mut self, to: &Element, dtype: DType, value: Repr) {
        let addresses = self.lane_addresses(to);
        if let (LaneAddresses::Same(address, offset), Repr::Uniform(value)) = (&addresses, &value) {
            return self.store_scalar(*value, *address, *offset);
        }
        match addresses {
            LaneAddresses::Contiguous(address, offset) if is_packed(dtype) => {
                let bytes = (GROUP * dtype.size()) as i64;
                let registers = self.spread(dtype, value);
                for (group, register) in registers.into_iter().enumerate() {
                    self.store_packed(dtype, register, address, offset + group as i64 * bytes);
                }
            }
            LaneAddresses::Contiguous(address, offset) => {
                let lanes = self.neighbours(dtype, address, offset);
                self.store_lanes(dtype, value, lanes);
            }
            LaneAddresses::Same(address, offset) => {
                let lanes = vec![(address, offset); GROUP * self.groups()];
                self.store_lanes(dtype, value, lanes);
            }
            LaneAddresses::Each(lanes) => self.store_lanes(dtype, value, lanes),
        }
    }

    fn groups(&self) -> usize {
        self.lanes.expect("inside a vector loop").groups
    }

    fn lane_addresses(&mut self, element: &Element) -> LaneAddresses {
        let size = self.kernel.array(element.place).dtype.size() as i64;
        let mut address = self.address(element.place, &element.at);
        let offset = element.at.constant * size;
        let pattern = match self.lanes {
            None => AccessPattern::Same,
            Some(lanes) => element.at.pattern(lanes.var),
        };
        let dynamic = element.dynamic.map(|value| self.value(value).1);
        if let Some(Repr::Varying(positions)) = dynamic {
            let stride = pattern.stride();
            let lanes = positions.into_iter().enumerate().map(|(lane, position)| {
                let bytes = self.scaled(position, size);
                let address = self.b.ins().iadd(address, bytes);
                (address, offset + lane as i64 * stride * size)
            });
            return LaneAddresses::Each(lanes.collect());
        }
        if let Some(Repr::Uniform(position)) = dynamic {
            let bytes = self.scaled(position, size);
            address = self.b.ins().iadd(address, bytes);
        }
        match pattern {
            AccessPattern::Same => LaneAddresses::Same(address, offset),
            AccessPattern::Contiguous => LaneAddresses::Contiguous(address, offset),
            AccessPattern::Strided(stride) => {
                let lanes = 0..(GROUP * self.groups()) as i64;
                let lanes = lanes.map(|lane| (address, offset + lane * stride * size));
                LaneAddresses::Each(lanes.collect())
            }
        }
    }

    fn neighbours(&self, dtype: DType, address: ir::Value, offset: i64) -> Vec<(ir::Value, i64)> {
        let lanes = 0..GROUP * self.groups();
        let lanes = lanes.map(|lane| (address, offset + (lane * dtype.size()) as i64));
        lanes.collect()
    }

    fn load_lanes(&mut self, dtype: DType, lanes: Vec<(ir::Value, i64)>) -> Repr {
        let load = |&(address, offset): &(ir::Value, i64)| self.load_scalar(dtype, address, offset);
        let elements = lanes.iter().map(load).collect();
        self.varying(dtype, elements)
    }

    fn store_lanes(&mut self, dtype: DType, value: Repr, lanes: Vec<(ir::Value, i64)>) {
        let elements = self.elements(dtype, value);
        for (element, (address, offset)) in elements.into_iter().zip(lanes) {
            self.store_scalar(element, address, offset);
        }
    }

    fn load_scalar(&mut self, dtype: DType, address: ir::Value, offset: i64) -> ir::Value {
        self.load_at(scalar_type(dtype), address, offset)
    }

    fn store_scalar(&mut self, value: ir::Value, address: ir::Value, offset: i64) {
        let (address, offset) = self.near(address, offset);
        self.b.ins().store(ACCESS, value, address, offset);
    }

    fn load_at(&mut self, ty: ir::Type, address: ir::Value, offset: i64) -> ir::Value {
        let (address, offset) = self.near(address, offset);
        self.b.ins().load(ty, ACCESS, address, offset)
    }

    /// An address and an offset that fits an instruction.
    fn near(&mut self, address: ir::Value, offset: i64) -> (ir::Value, i32) {
        match i32::try_from(offset) {
            Ok(offset) => (address, offset),
            Err(_) => (self.b.ins().iadd_imm_s(address, offset), 0),
        }
    }

    fn load_packed(&mut self, dtype: DType, address: ir::Value, offset: i64) -> ir::Value {
        match dtype {
            // Without AVX a comparison takes its operand from memory only where that is aligned, but
            // Cranelift does not ask: what it cannot see is a load, it does not merge.
            DType::F32 if self.family == Family::Portable => {
                let bits = self.load_at(types::I32X4, address, offset);
                self.recast(types::F32X4, bits)
            }
            DType::F32 => self.load_at(types::F32X4, address, offset),
            DType::F16 | DType::BF16 => {
                let (address, offset) = self.near(address, offset);
                self.b.ins().uload16x4(ACCESS, address, offset)
            }
            DType::Bool => {
                let bytes = self.load_at(types::I32, address, offset);
                let bytes = self.b.ins().scalar_to_vector(types::I32X4, bytes);
                let bytes = self.recast(types::I8X16, bytes);
                let words = self.b.ins().uwiden_low(bytes);
                let lanes = self.b.ins().uwiden_low(words);
                let zero = self.b.ins().iconst(types::I32, 0);
                let zero = self.b.ins().splat(types::I32X4, zero);
                self.b.ins().icmp(IntCC::NotEqual, lanes, zero)
            }
            _ => self.load_at(types::I32X4, address, offset),
        }
    }

    fn store_packed(&mut self, dtype: DType, register: ir::Value, address: ir::Value, offset: i64) {
        let narrowed = match dtype {
            DType::F16 | DType::BF16 => {
                let words = self.b.ins().unarrow(register, register);
                let words = self.recast(types::I64X2, words);
                self.b.ins().extractlane(words, 0)
            }
            DType::Bool => {
                let words = self.b.ins().snarrow(register, register);
                let bytes = self.b.ins().snarrow(words, words);
                let lanes = self.recast(types::I32X4, bytes);
                let mask = self.b.ins().extractlane(lanes, 0);
                self.b.ins().band_imm_s(mask, 0x0101_0101)
            }
            _ => register,
        };
        self.store_scalar(narrowed, address, offset);
    }
}
