//! Addresses, loads and stores.

use super::code::{Address, Class, Reg, Space};
use super::emit::{Emitter, Index};
use super::plan::{MOST_BYTES, ScratchAt};
use crate::kernel::{Affine, Element, Place};
use bsq_ir::DType;

/// The registers that hold elements of a type. Bytes are zero-extended.
pub fn class(dtype: DType) -> Class {
    match dtype {
        DType::F32 => Class::F32,
        DType::F16 | DType::BF16 => Class::B16,
        DType::I32 | DType::U32 | DType::U8 => Class::B32,
        DType::I64 | DType::U64 => Class::B64,
        DType::Bool => Class::Predicate,
    }
}

impl Emitter<'_> {
    pub fn space(&self, place: Place) -> Space {
        match place {
            Place::Buffer(_) if !self.aliases.is_written(place) => Space::ReadOnly,
            Place::Buffer(_) => Space::Global,
            Place::Scratch(index) => match self.geometry.scratch[index as usize] {
                ScratchAt::Shared(_) => Space::Shared,
                ScratchAt::Workspace(_) => Space::Global,
            },
        }
    }

    /// Where an array starts.
    pub fn start(&self, place: Place) -> Address {
        let space = self.space(place);
        let (base, offset) = match place {
            Place::Buffer(index) => (self.buffers[index as usize], 0),
            Place::Scratch(index) => match self.geometry.scratch[index as usize] {
                ScratchAt::Shared(offset) => (self.shared.expect("scratch is shared"), offset),
                ScratchAt::Workspace(offset) => {
                    (self.workspace.expect("scratch is in the workspace"), offset)
                }
            },
        };
        Address {
            space,
            base,
            offset: offset as i64,
        }
    }

    pub fn address(&mut self, element: &Element) -> Address {
        let size = self.kernel.array(element.place).dtype.size() as i64;
        let key = (element.place, element.at.terms.clone(), element.dynamic);
        let base = match self.bases.get(&key) {
            Some(&base) => base,
            None => {
                let base = self.base(element, size);
                self.bases.insert(key, base);
                base
            }
        };
        base.plus(element.at.constant * size)
    }

    /// The address but for the constant.
    fn base(&mut self, element: &Element, size: i64) -> Address {
        let start = self.start(element.place);
        let moving = Affine {
            constant: 0,
            terms: element.at.terms.clone(),
        };
        let (low, high) = self.ranges.at(&moving);
        let wide = start.space != Space::Shared
            && (low * size < i64::from(i32::MIN) || high * size > i64::from(i32::MAX));
        let class = if wide { Class::B64 } else { Class::B32 };
        let mut at = start;
        if let Some(terms) = self.linear(&moving.terms, class) {
            at.base = self.scaled(&at, terms, size);
        }
        if let Some(dynamic) = element.dynamic {
            let (_, offset) = self.values[&dynamic];
            at.base = match at.space {
                Space::Shared => {
                    let offset = self.t.def(Class::B32, "cvt.u32.u64", offset);
                    self.scaled(&at, offset, size)
                }
                _ => self.scaled(&at, offset, size),
            };
        }
        at
    }

    /// `base + elements * size`.
    pub fn scaled(&mut self, at: &Address, elements: Reg, size: i64) -> Reg {
        let (class, mad) = match (at.space, elements.class) {
            (Space::Shared, _) => (Class::B32, "mad.lo.s32"),
            (_, Class::B64) => (Class::B64, "mad.lo.s64"),
            _ => (Class::B64, "mad.wide.s32"),
        };
        self.t.def(class, mad, (elements, size, at.base))
    }

    pub fn load(&mut self, dtype: DType, from: &Address) -> Reg {
        self.load_neighbours(dtype, from, 1)[0]
    }

    /// Loads neighbours, 1, 2 or 4, the first of which lies where an access of all may start.
    pub fn load_neighbours(&mut self, dtype: DType, from: &Address, count: usize) -> Vec<Reg> {
        let (class, ty) = match dtype {
            DType::Bool | DType::U8 => (Class::B32, "u8"),
            _ => (class(dtype), memory_type(dtype)),
        };
        let row: Vec<Reg> = (0..count).map(|_| self.t.reg(class)).collect();
        for (part, bytes) in accesses(dtype, &row) {
            self.t.load(part, ty, from.plus(bytes));
        }
        match dtype {
            DType::Bool => (row.iter())
                .map(|byte| self.t.def(Class::Predicate, "setp.ne.u32", (byte, 0)))
                .collect(),
            _ => row,
        }
    }

    /// Stores where `leader` holds.
    pub fn store(&mut self, dtype: DType, to: &Address, value: Reg, leader: Option<Reg>) {
        self.store_neighbours(dtype, to, &[value], leader);
    }

    /// Stores neighbours as [`load_neighbours`](Self::load_neighbours) loads them, where `leader` holds.
    pub fn store_neighbours(
        &mut self,
        dtype: DType,
        to: &Address,
        values: &[Reg],
        leader: Option<Reg>,
    ) {
        let byte = |value: &Reg| self.t.def(Class::B32, "selp.u32", (1, 0, value));
        let row: Vec<Reg> = match dtype {
            DType::Bool => values.iter().map(byte).collect(),
            _ => values.to_vec(),
        };
        let ty = memory_type(dtype);
        for (part, bytes) in accesses(dtype, &row) {
            self.t.store(to.plus(bytes), ty, part).when(leader);
        }
    }

    pub fn constant(&mut self, dtype: DType, bits: u64) -> Reg {
        match dtype {
            DType::F32 => self
                .t
                .def(Class::F32, "mov.f32", f32::from_bits(bits as u32)),
            DType::Bool => {
                let byte = self.t.def(Class::B32, "mov.b32", bits as i64);
                self.t.def(Class::Predicate, "setp.ne.u32", (byte, 0))
            }
            DType::F16 | DType::BF16 => self.t.def(Class::B16, "mov.b16", bits as i64),
            DType::I64 | DType::U64 => self.t.def(Class::B64, "mov.b64", bits as i64),
            _ => self.t.def(Class::B32, "mov.b32", bits as u32 as i32),
        }
    }

    /// Loads an `f32` where a condition holds, if there is one; elsewhere it is the default.
    pub fn load_or(
        &mut self,
        default: f32,
        from: Address,
        condition: impl Into<Option<Reg>>,
    ) -> Reg {
        let value = self.t.def(Class::F32, "mov.f32", default);
        self.t.load(&[value], "f32", from).when(condition);
        value
    }

    /// An index as a register.
    pub fn index_reg(&mut self, index: Index) -> Reg {
        match index {
            Index::Reg(reg) => reg,
            Index::Constant(value) => self.t.def(Class::B32, "mov.b32", value),
        }
    }
}

/// A row as accesses of at most [`MOST_BYTES`] bytes, each with its distance from the first in bytes.
fn accesses(dtype: DType, row: &[Reg]) -> impl Iterator<Item = (&[Reg], i64)> {
    let most = MOST_BYTES / dtype.size();
    let parts = row.chunks(most).enumerate();
    parts.map(|(number, part)| (part, (number * MOST_BYTES) as i64))
}

fn memory_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::U8 | DType::Bool => "b8",
        DType::F16 | DType::BF16 => "b16",
        DType::I32 | DType::U32 => "b32",
        DType::I64 | DType::U64 => "b64",
    }
}
