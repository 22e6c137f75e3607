//! Block contractions: a call of the family's microkernel.

use super::emit::{ACCESS, Emitter};
use crate::cpu::microkernel::{ContractArgs, GatheredArgs, LEVELS, Level};
use crate::kernel::{Contract, Element, Groups};
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, StackSlotData, StackSlotKind, types};
use std::mem::offset_of;

/// Groups, inside of which indices step by `stride`, as levels.
fn levels(stride: i64, groups: &[Groups]) -> [Level; LEVELS] {
    assert!(groups.len() < LEVELS, "what the policy says of targets");
    let mut levels = [Level::last(0); LEVELS];
    let (mut inner, mut stride) = (1, stride);
    for (level, group) in levels.iter_mut().zip(groups) {
        let count = group.terms / inner;
        let own = std::mem::replace(&mut stride, group.stride) as isize;
        *level = Level { count, stride: own };
        inner = group.terms;
    }
    levels[groups.len()] = Level::last(stride as isize);
    levels
}

impl Emitter<'_, '_> {
    pub fn contract(&mut self, c: &Contract) {
        let gathered = !(c.a_groups.is_empty() && c.a_row_groups.is_empty());
        let bytes = match gathered {
            true => size_of::<GatheredArgs>() as u32,
            false => size_of::<ContractArgs>() as u32,
        };
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
        if gathered {
            // Terms that are taken together count as one.
            let together = c.format.terms();
            let step = c.a_k_stride * together as i64;
            let groups = c.a_groups.iter().map(|group| Groups {
                terms: group.terms / together,
                ..*group
            });
            let groups: Vec<Groups> = groups.collect();
            let rows = levels(c.a_row_stride, &c.a_row_groups);
            let terms = levels(step, &groups);
            for (start, levels) in [
                (offset_of!(GatheredArgs, rows), rows),
                (offset_of!(GatheredArgs, terms), terms),
            ] {
                for (number, level) in levels.into_iter().enumerate() {
                    let at = start + number * size_of::<Level>();
                    let count = self.index(level.count as i64);
                    let stride = self.index(level.stride as i64);
                    let places = [
                        (offset_of!(Level, count), count),
                        (offset_of!(Level, stride), stride),
                    ];
                    for (offset, value) in places {
                        let at = (at + offset) as i32;
                        self.b.ins().store(ACCESS, value, record, at);
                    }
                }
            }
        }
        let microkernel = match gathered {
            true => self.family.gathered(c.format) as usize,
            false => self.family.contract(c.format) as usize,
        };
        let mut signature = ir::Signature::new(self.b.func.signature.call_conv);
        signature.params.push(AbiParam::new(types::I64));
        let signature = self.b.import_signature(signature);
        let microkernel = self.index(microkernel as i64);
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
