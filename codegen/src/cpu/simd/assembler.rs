//! Bytes of vector instructions: VEX (AVX2) and EVEX (AVX-512) encodings, and the few general
//! instructions that a loop needs.
//!
//! Displacements always have 32 bits, so that EVEX's compressed form of 8 bits never occurs.

use super::instructions::{Encoding, GATHER};
use std::collections::HashMap;

/// The vectors of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// 256 bits: eight lanes, 16 registers.
    Ymm,
    /// 512 bits: sixteen lanes, 32 registers.
    Zmm,
}

impl Width {
    pub fn lanes(self) -> usize {
        match self {
            Width::Ymm => 8,
            Width::Zmm => 16,
        }
    }

    /// Registers that values may have.
    pub fn registers(self) -> u8 {
        match self {
            Width::Ymm => Width::SCRATCH,
            Width::Zmm => 32,
        }
    }

    /// With 256 bits, a register that is free within an instruction.
    pub const SCRATCH: u8 = 15;
}

/// A general register by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct General(pub u8);

pub(super) const RAX: General = General(0);
pub(super) const RSP: General = General(4);
pub(super) const RSI: General = General(6);
pub(super) const RDI: General = General(7);

/// The last operand of an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    Register(u8),
    Memory(Memory),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub at: Address,
    /// AVX-512: one 32-bit element for all lanes.
    pub broadcast: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Address {
    Base {
        base: General,
        offset: i32,
    },
    /// `base + rax * scale + offset`.
    Indexed {
        base: General,
        scale: u8,
        offset: i32,
    },
    /// A constant behind the code.
    Pool(usize),
}

/// Code that is being written.
pub(super) struct Assembler {
    pub width: Width,
    bytes: Vec<u8>,
    /// Constants, by their lanes.
    pool: Vec<Vec<u32>>,
    places: HashMap<Vec<u32>, usize>,
    /// Displacements that will point at a constant: where they are, where their instruction
    /// ends, which constant.
    fixups: Vec<(usize, usize, usize)>,
}

impl Assembler {
    pub fn new(width: Width) -> Self {
        Assembler {
            width,
            bytes: Vec::new(),
            pool: Vec::new(),
            places: HashMap::new(),
            fixups: Vec::new(),
        }
    }

    /// A constant of one element for all lanes, or of one for each.
    pub fn constant(&mut self, lanes: Vec<u32>) -> Address {
        let next = self.pool.len();
        let place = *self.places.entry(lanes.clone()).or_insert(next);
        if place == next {
            self.pool.push(lanes);
        }
        Address::Pool(place)
    }

    pub fn position(&self) -> usize {
        self.bytes.len()
    }

    /// An instruction on full vectors: `register` and `second` as the encoding has them.
    pub fn vector(
        &mut self,
        encoding: Encoding,
        register: u8,
        second: u8,
        last: Operand,
        constant: Option<u8>,
    ) {
        match self.width {
            Width::Ymm => self.vex(encoding, true, register, second, last, constant),
            Width::Zmm => self.evex(encoding, register, second, last, constant),
        }
    }

    /// A VEX instruction on 256 or on 128 bits.
    pub fn vex(
        &mut self,
        encoding: Encoding,
        full: bool,
        register: u8,
        second: u8,
        last: Operand,
        constant: Option<u8>,
    ) {
        let (index, base) = extensions(last);
        self.bytes.push(0xc4);
        let inverted = |bit: u8, at: u8| (!bit & 1) << at;
        self.bytes.push(
            inverted(register >> 3, 7)
                | inverted(index, 6)
                | inverted(base, 5)
                | encoding.map as u8,
        );
        self.bytes.push(
            u8::from(encoding.wide) << 7
                | (!second & 15) << 3
                | u8::from(full) << 2
                | encoding.prefix as u8,
        );
        self.bytes.push(encoding.opcode);
        self.tail(register, last, constant);
    }

    fn evex(
        &mut self,
        encoding: Encoding,
        register: u8,
        second: u8,
        last: Operand,
        constant: Option<u8>,
    ) {
        let (index, base) = extensions(last);
        let inverted = |bit: u8, at: u8| (!bit & 1) << at;
        let broadcast = matches!(last, Operand::Memory(memory) if memory.broadcast);
        self.bytes.push(0x62);
        self.bytes.push(
            inverted(register >> 3, 7)
                | inverted(index, 6)
                | inverted(base, 5)
                | inverted(register >> 4, 4)
                | encoding.map as u8,
        );
        self.bytes.push(
            u8::from(encoding.wide) << 7 | (!second & 15) << 3 | 0b100 | encoding.prefix as u8,
        );
        // 512 bits, no mask register.
        self.bytes
            .push(0b10 << 5 | u8::from(broadcast) << 4 | inverted(second >> 4, 3));
        self.bytes.push(encoding.opcode);
        self.tail(register, last, constant);
    }

    /// Gathers elements of 32 bits at `base + 4 index + offset` where `mask` says so, and clears it. The
    /// registers differ; the mask is a mask register with AVX-512, a vector with AVX2.
    pub fn gather(&mut self, to: u8, (base, index): (General, u8), offset: i32, mask: u8) {
        const WITH_INDEX: u8 = 4;
        const SCALE: u8 = 2;
        let encoding = GATHER;
        let inverted = |bit: u8, at: u8| (!bit & 1) << at;
        let extensions = inverted(to >> 3, 7) | inverted(index >> 3, 6) | inverted(base.0 >> 3, 5);
        match self.width {
            Width::Ymm => {
                let mask = (!mask & 15) << 3;
                self.bytes.extend([
                    0xc4,
                    extensions | encoding.map as u8,
                    mask | 0b100 | encoding.prefix as u8,
                ]);
            }
            Width::Zmm => self.bytes.extend([
                0x62,
                extensions | inverted(to >> 4, 4) | encoding.map as u8,
                15 << 3 | 0b100 | encoding.prefix as u8,
                0b10 << 5 | inverted(index >> 4, 3) | mask,
            ]),
        }
        self.bytes.extend([
            encoding.opcode,
            0b10 << 6 | (to & 7) << 3 | WITH_INDEX,
            SCALE << 6 | (index & 7) << 3 | base.0 & 7,
        ]);
        self.bytes.extend(offset.to_le_bytes());
    }

    /// The operand's bytes, and the constant behind it.
    fn tail(&mut self, register: u8, last: Operand, constant: Option<u8>) {
        let register = (register & 7) << 3;
        match last {
            Operand::Register(last) => self.bytes.push(0b11 << 6 | register | last & 7),
            Operand::Memory(memory) => self.address(register, memory.at, constant.is_some()),
        }
        self.bytes.extend(constant);
    }

    fn address(&mut self, register: u8, at: Address, constant: bool) {
        const WITH_INDEX: u8 = 4;
        const NO_INDEX: u8 = 4 << 3;
        let offset = match at {
            Address::Base { base, offset } => {
                self.bytes.push(0b10 << 6 | register | WITH_INDEX);
                self.bytes.push(NO_INDEX | base.0 & 7);
                offset
            }
            Address::Indexed {
                base,
                scale,
                offset,
            } => {
                let scale = scale.trailing_zeros() as u8;
                self.bytes.push(0b10 << 6 | register | WITH_INDEX);
                self.bytes.push(scale << 6 | RAX.0 << 3 | base.0 & 7);
                offset
            }
            Address::Pool(place) => {
                self.bytes.push(register | 0b101);
                let at = self.bytes.len();
                let end = at + 4 + usize::from(constant);
                self.fixups.push((at, end, place));
                0
            }
        };
        self.bytes.extend(offset.to_le_bytes());
    }

    /// A general instruction of 64 bits on two registers: `to` is in the `rm` field.
    pub fn general(&mut self, opcode: u8, from: General, to: General) {
        let rex = 0x48 | (from.0 >> 3) << 2 | to.0 >> 3;
        self.bytes
            .extend([rex, opcode, 0b11 << 6 | (from.0 & 7) << 3 | to.0 & 7]);
    }

    /// A general instruction of 64 bits on a register and a constant.
    pub fn general_constant(&mut self, extension: u8, to: General, constant: i32) {
        let rex = 0x48 | to.0 >> 3;
        self.bytes
            .extend([rex, 0x81, 0b11 << 6 | extension << 3 | to.0 & 7]);
        self.bytes.extend(constant.to_le_bytes());
    }

    /// Loads a general register.
    pub fn load(&mut self, to: General, base: General, offset: i32) {
        let rex = 0x48 | (to.0 >> 3) << 2 | base.0 >> 3;
        self.bytes.extend([rex, 0x8b]);
        self.address((to.0 & 7) << 3, Address::Base { base, offset }, false);
    }

    pub fn push(&mut self, register: General) {
        self.short(0x50, register);
    }

    pub fn pop(&mut self, register: General) {
        self.short(0x58, register);
    }

    fn short(&mut self, opcode: u8, register: General) {
        if register.0 >= 8 {
            self.bytes.push(0x41);
        }
        self.bytes.push(opcode | register.0 & 7);
    }

    /// Jumps back to `target` if the last comparison found less, unsigned.
    pub fn jump_if_below(&mut self, target: usize) {
        self.bytes.extend([0x0f, 0x82]);
        let distance = target as i64 - (self.bytes.len() as i64 + 4);
        self.bytes.extend((distance as i32).to_le_bytes());
    }

    /// Leaves the upper halves of vector registers clean, and returns.
    pub fn finish_vectors(&mut self) {
        self.bytes.extend([0xc5, 0xf8, 0x77]);
    }

    pub fn ret(&mut self) {
        self.bytes.push(0xc3);
    }

    /// The code with its constants behind it, and the bytes of the code alone. It may be placed at
    /// any address.
    pub fn finish(mut self) -> (Vec<u8>, usize) {
        const ALIGNMENT: usize = 64;
        let code = self.bytes.len();
        let mut offsets = Vec::new();
        for lanes in &self.pool {
            if lanes.len() > 1 {
                let aligned = self.bytes.len().next_multiple_of(ALIGNMENT);
                self.bytes.resize(aligned, 0);
            }
            let aligned = self.bytes.len().next_multiple_of(4);
            self.bytes.resize(aligned, 0);
            offsets.push(self.bytes.len());
            self.bytes
                .extend(lanes.iter().flat_map(|lane| lane.to_le_bytes()));
        }
        for (at, end, place) in self.fixups {
            let distance = (offsets[place] - end) as i32;
            self.bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        (self.bytes, code)
    }
}

/// The high bits of an operand's registers: those of the index (or bit 4 of a vector register)
/// and of the base.
fn extensions(operand: Operand) -> (u8, u8) {
    match operand {
        Operand::Register(register) => (register >> 4, register >> 3),
        Operand::Memory(memory) => match memory.at {
            Address::Base { base, .. } | Address::Indexed { base, .. } => (0, base.0 >> 3),
            Address::Pool(_) => (0, 0),
        },
    }
}
