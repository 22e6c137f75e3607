//! Block contractions: a call of the family's microkernel.

use super::emit::{ACCESS, Emitter};
use crate::cpu::microkernel::ContractArgs;
use crate::kernel::{Contract, Element};
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, StackSlotData, StackSlotKind, types};
use std::mem::offset_of;

impl Emitter<'_, '_> {
    pub fn contract(&mut self, c: &Contract) {
        assert!(
            c.a_groups.is_none(),
            "groups are for targets that like them"
        );
        let bytes = size_of::<ContractArgs>() as u32;
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 4);
        let slot = self.b.create_sized_stack_slot(data);
        let record = self.b.ins().stack_addr(types::I64, slot, 0);
        let [a, b, to] = [&c.a, &c.b, &c.c].map(|element| self.pointer(element));
        let extents = [&c.m, &c.n, &c.k].map(|extent| {
            let count = self.extent(extent);
            self.count(count)
        });
        let strides = [
            c.a_row_stride,
            c.a_k_stride,
            c.b_panel_stride,
            c.c_row_stride,
        ];
        let [a_row_stride, a_k_stride, b_panel_stride, c_row_stride] =
            strides.map(|stride| self.index(stride));
        let [m, n, k] = extents;
        let accumulate = self.index(c.accumulate.into());
        let columns = match &c.columns {
            Some(columns) => self.pointer(columns),
            None => self.index(0),
        };
        let fields = [
            (offset_of!(ContractArgs, a), a),
            (offset_of!(ContractArgs, a_row_stride), a_row_stride),
            (offset_of!(ContractArgs, a_k_stride), a_k_stride),
            (offset_of!(ContractArgs, b), b),
            (offset_of!(ContractArgs, b_panel_stride), b_panel_stride),
            (offset_of!(ContractArgs, columns), columns),
            (offset_of!(ContractArgs, c), to),
            (offset_of!(ContractArgs, c_row_stride), c_row_stride),
            (offset_of!(ContractArgs, m), m),
            (offset_of!(ContractArgs, n), n),
            (offset_of!(ContractArgs, k), k),
            (offset_of!(ContractArgs, accumulate), accumulate),
        ];
        for (offset, value) in fields {
            self.b.ins().store(ACCESS, value, record, offset as i32);
        }
        let mut signature = ir::Signature::new(self.b.func.signature.call_conv);
        signature.params.push(AbiParam::new(types::I64));
        let signature = self.b.import_signature(signature);
        let microkernel = self.index(self.family.contract(c.format) as usize as i64);
        self.b
            .ins()
            .call_indirect(signature, microkernel, &[record]);
    }

    fn pointer(&mut self, element: &Element) -> ir::Value {
        let size = self.kernel.array(element.place).dtype.size() as i64;
        let mut address = self.address(element.place, &element.at);
        if let Some(position) = element.dynamic {
            let position = match self.value(position).1 {
                super::emit::Repr::Uniform(position) => position,
                super::emit::Repr::Varying(_) => unreachable!("no contraction in vector loops"),
            };
            let bytes = self.scaled(position, size);
            address = self.b.ins().iadd(address, bytes);
        }
        match element.at.constant {
            0 => address,
            constant => self.b.ins().iadd_imm_s(address, constant * size),
        }
    }
}
