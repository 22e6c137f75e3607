//! A SIMD loop as a function: its frame, and the instructions of each line.

use super::assembler::{Address, Assembler, General, Memory, Operand, RAX, RDI, RSI, RSP, Width};
use super::code::{Access, Binary, Code, Inst, Invariant, Line, Name, Predicate};
use super::instructions as x86;
use super::registers::{Registers, Spill, pinned};
use super::{LANES_BYTES, Layout};
use bsq_ir::order::LANES;

/// Registers for the addresses of streams; those from the seventh on belong to the caller.
const BASES: [General; 12] = [
    General(1),
    General(2),
    General(8),
    General(9),
    General(10),
    General(11),
    General(3),
    General(5),
    General(12),
    General(13),
    General(14),
    General(15),
];
const FREE_BASES: usize = 6;

/// The mask register of an instruction that needs one.
const MASK: u8 = 1;

/// The most streams that a loop can have.
pub(super) const STREAMS: usize = BASES.len();

// Opcodes and extensions of general instructions.
const COMPARE: u8 = 0x39;
const XOR: u8 = 0x31;
const ADD_CONSTANT: u8 = 0;
const SUBTRACT_CONSTANT: u8 = 5;

/// A function as [`SimdLoop`](super::SimdLoop) describes it: its bytes with the constants behind
/// them, and how many bytes are code.
pub(super) fn assemble(code: &Code, layout: &Layout, width: Width) -> (Vec<u8>, usize) {
    // Registers that the body leaves free hold invariants: found by writing it twice.
    let carried = pinned(code, 0);
    let trial = Writer::new(code, layout, width, &carried).body_registers();
    let spare = usize::from(width.registers()).saturating_sub(trial);
    let kept = pinned(code, spare);
    Writer::new(code, layout, width, &kept).function(&kept)
}

struct Writer<'c> {
    code: &'c Code,
    layout: &'c Layout,
    a: Assembler,
    registers: Registers,
    invariants: Vec<Option<Invariant>>,
    position: usize,
}

impl<'c> Writer<'c> {
    fn new(code: &'c Code, layout: &'c Layout, width: Width, pinned: &[Name]) -> Self {
        let mut invariants = vec![None; code.names as usize];
        for &(name, invariant) in &code.invariants {
            invariants[name.0 as usize] = Some(invariant);
        }
        Writer {
            code,
            layout,
            a: Assembler::new(width),
            registers: Registers::new(code, width.registers(), pinned),
            invariants,
            position: 0,
        }
    }

    /// How many registers the body uses.
    fn body_registers(mut self) -> usize {
        self.body();
        self.registers.touched
    }

    fn function(mut self, pinned: &[Name]) -> (Vec<u8>, usize) {
        // The size of the frame is known after the body has been written once.
        let mut trial = Writer::new(self.code, self.layout, self.a.width, pinned);
        trial.body();
        let frame = trial.registers.slots * LANES_BYTES;
        let used = &BASES[..self.code.streams];
        let saved = used.get(FREE_BASES..).unwrap_or(&[]);
        for &register in saved {
            self.a.push(register);
        }
        if frame > 0 {
            let frame = frame as i32;
            self.a.general_constant(SUBTRACT_CONSTANT, RSP, frame);
        }
        for (stream, &base) in used.iter().enumerate() {
            let offset = self.layout.stream(stream) as i32;
            self.a.load(base, RDI, offset);
        }
        for (register, &name) in pinned.iter().enumerate() {
            let invariant = match self.invariants[name.0 as usize] {
                Some(invariant) => invariant,
                None => Invariant::Constant(self.initial(name)),
            };
            self.broadcast(register as u8, invariant);
        }
        self.a.general(XOR, RAX, RAX);
        let top = self.a.position();
        self.body();
        self.a.general_constant(ADD_CONSTANT, RAX, LANES as i32);
        self.a.general(COMPARE, RSI, RAX);
        self.a.jump_if_below(top);
        for (index, carried) in self.code.carried.iter().enumerate() {
            let register = self.registers.location(carried.name).register;
            let at = Address::Base {
                base: RDI,
                offset: self.layout.carried(index, self.a.width) as i32,
            };
            self.store(register.expect("pinned"), at);
        }
        if frame > 0 {
            self.a.general_constant(ADD_CONSTANT, RSP, frame as i32);
        }
        for &register in saved.iter().rev() {
            self.a.pop(register);
        }
        self.a.finish_vectors();
        self.a.ret();
        self.a.finish()
    }

    fn initial(&self, name: Name) -> u32 {
        let found = self
            .code
            .carried
            .iter()
            .find(|carried| carried.name == name);
        found
            .expect("pinned names are invariant or carried")
            .initial
    }

    fn body(&mut self) {
        for position in 0..self.code.lines.len() {
            self.position = position;
            self.line(self.code.lines[position]);
            self.registers.advance(position);
        }
    }

    fn line(&mut self, line: Line) {
        match (line.inst, line.to) {
            (Inst::Binary { op, x, y }, Some(to)) => {
                let swapped = op.commutes() && self.registers.location(x).register.is_none();
                let (x, y) = if swapped { (y, x) } else { (x, y) };
                let (first, last) = (self.register(x), self.operand(y));
                let to = self.result(to, &line);
                self.a.vector(op.encoding(), to, first, last, None);
            }
            (Inst::Unary { op, x }, Some(to)) => {
                let last = self.operand(x);
                let to = self.result(to, &line);
                let (encoding, constant) = op.encoding();
                self.a.vector(encoding, to, 0, last, constant);
            }
            (Inst::Fma { x, y, z }, Some(to)) => self.fma(x, y, z, to, &line),
            (Inst::Shift { op, x, amount }, Some(to)) => {
                let x = self.register(x);
                let to = self.result(to, &line);
                let last = Operand::Register(x);
                let encoding = x86::SHIFT_BY_CONSTANT;
                self.a
                    .vector(encoding, x86::extension(op), to, last, Some(amount));
            }
            (Inst::Compare { is, x, y }, Some(to)) => {
                let (first, last) = (self.register(x), self.operand(y));
                let to = self.result(to, &line);
                self.compare(is, first, last, to);
            }
            (Inst::Select { mask, x, y }, Some(to)) => self.select(mask, x, y, to, &line),
            (Inst::Load(at), Some(to)) => {
                let to = self.result(to, &line);
                self.load(at, to);
            }
            (Inst::Gather { at, index }, Some(to)) => {
                let index = self.register(index);
                // While the index has its register: it must be another.
                let to = self.take(to);
                self.gather(at, index, to);
                self.registers.release(line.inst.operands(), self.position);
            }
            (Inst::Iteration { first }, Some(to)) => {
                let to = self.result(to, &line);
                self.iteration(first, to);
            }
            (Inst::Store(at, value), None) => self.store_lanes(at, value),
            (inst, to) => unreachable!("{inst:?} to {to:?}"),
        }
    }

    /// The operand in a register.
    fn register(&mut self, name: Name) -> u8 {
        let place = self.registers.location(name);
        if let Some(register) = place.register {
            self.registers.lock(register);
            return register;
        }
        let register = self.take(name);
        match (place.slot, self.invariants[name.0 as usize]) {
            (Some(slot), _) => {
                let last = self.memory(slot_address(slot), false);
                self.a.vector(x86::MOVE, register, 0, last, None);
            }
            (None, Some(invariant)) => self.broadcast(register, invariant),
            (None, None) => unreachable!("a name is read before it is defined"),
        }
        register
    }

    /// The operand in a register, or in memory if it is there.
    fn operand(&mut self, name: Name) -> Operand {
        let place = self.registers.location(name);
        if place.register.is_none() {
            if let Some(slot) = place.slot {
                return self.memory(slot_address(slot), false);
            }
            match (self.invariants[name.0 as usize], self.a.width) {
                (Some(invariant), Width::Zmm) => {
                    let at = self.element(invariant);
                    return self.memory(at, true);
                }
                (Some(Invariant::Constant(bits)), Width::Ymm) => {
                    let at = self.a.constant(vec![bits; self.a.width.lanes()]);
                    return self.memory(at, false);
                }
                _ => {}
            }
        }
        Operand::Register(self.register(name))
    }

    fn memory(&self, at: Address, broadcast: bool) -> Operand {
        Operand::Memory(Memory { at, broadcast })
    }

    fn element(&mut self, invariant: Invariant) -> Address {
        match invariant {
            Invariant::Constant(bits) => self.a.constant(vec![bits]),
            Invariant::Uniform(slot) => Address::Base {
                base: RDI,
                offset: self.layout.uniform(slot) as i32,
            },
        }
    }

    fn broadcast(&mut self, register: u8, invariant: Invariant) {
        let at = self.element(invariant);
        let last = self.memory(at, false);
        self.a.vector(x86::BROADCAST, register, 0, last, None);
    }

    /// The register of a result; operands that are not needed again may give theirs.
    fn result(&mut self, to: Name, line: &Line) -> u8 {
        if self.registers.is_pinned(to) {
            let register = self.registers.location(to).register;
            return register.expect("pinned names have a register");
        }
        self.registers.release(line.inst.operands(), self.position);
        self.take(to)
    }

    fn take(&mut self, name: Name) -> u8 {
        let (register, spill) = self.registers.take(name);
        if let Some(Spill { register, slot }) = spill {
            self.store(register, slot_address(slot));
        }
        register
    }

    fn store(&mut self, register: u8, at: Address) {
        let last = self.memory(at, false);
        self.a.vector(x86::MOVE_TO_MEMORY, register, 0, last, None);
    }

    /// A register that holds `name` and may be overwritten with `to`.
    fn overwritten(&mut self, name: Name, to: Name) -> u8 {
        let from = self.register(name);
        if self.registers.dies(name, self.position) {
            self.registers.release(std::iter::once(name), self.position);
            self.registers.give(to, from);
            return from;
        }
        self.copied(from, to)
    }

    /// A new register with what `from` holds.
    fn copied(&mut self, from: u8, to: Name) -> u8 {
        let to = self.take(to);
        self.a
            .vector(x86::MOVE, to, 0, Operand::Register(from), None);
        to
    }

    fn fma(&mut self, x: Name, y: Name, z: Name, to: Name, line: &Line) {
        let in_register = |name: Name| self.registers.location(name).register.is_some();
        let ends = |name: Name| in_register(name) && self.registers.dies(name, self.position);
        if ends(z) && z != x && z != y {
            let (x, y) = if in_register(x) { (x, y) } else { (y, x) };
            let (second, last) = (self.register(x), self.operand(y));
            let to = self.overwritten(z, to);
            self.a.vector(x86::FMA_231, to, second, last, None);
        } else {
            // x y + z over x: the other factor in a register, z anywhere.
            let swap = (ends(y) && !ends(x)) || (!in_register(x) && in_register(y));
            let (x, y) = if swap { (y, x) } else { (x, y) };
            let (second, last) = (self.register(y), self.operand(z));
            let alone = x != y && x != z;
            let to = match alone {
                true => self.overwritten(x, to),
                false => {
                    let from = self.register(x);
                    self.copied(from, to)
                }
            };
            self.a.vector(x86::FMA_213, to, second, last, None);
        }
        self.registers.release(line.inst.operands(), self.position);
    }

    fn gather(&mut self, at: Access, index: u8, to: u8) {
        let base = BASES[at.stream];
        let mask = match self.a.width {
            Width::Ymm => {
                let mask = Width::SCRATCH;
                let all = Operand::Register(mask);
                self.a.vector(x86::COMPARE_EQUAL_INT, mask, mask, all, None);
                mask
            }
            Width::Zmm => {
                let all = Operand::Register(MASK);
                self.a.vex(x86::MASKS_EQUAL, true, MASK, MASK, all, None);
                MASK
            }
        };
        self.a.gather(to, (base, index), at.offset, mask);
    }

    fn compare(&mut self, is: Predicate, first: u8, last: Operand, to: u8) {
        let (encoding, constant) = is.encoding();
        match self.a.width {
            Width::Ymm => self.a.vector(encoding, to, first, last, constant),
            Width::Zmm => {
                self.a.vector(encoding, MASK, first, last, constant);
                let mask = Operand::Register(MASK);
                self.a.vector(x86::MASK_TO_LANES, to, 0, mask, None);
            }
        }
    }

    fn select(&mut self, mask: Name, x: Name, y: Name, to: Name, line: &Line) {
        match self.a.width {
            Width::Ymm => {
                let (mask, y, x) = (self.register(mask), self.register(y), self.operand(x));
                let to = self.result(to, line);
                self.a.vector(x86::BLEND, to, y, x, Some(mask << 4));
            }
            Width::Zmm => {
                /// The first operand chooses between the second and the third.
                const CHOOSE: u8 = 0xca;
                let (x, y) = (self.register(x), self.operand(y));
                let to = self.overwritten(mask, to);
                self.a.vector(x86::TERNARY_LOGIC, to, x, y, Some(CHOOSE));
                self.registers.release(line.inst.operands(), self.position);
            }
        }
    }

    fn stream(&self, at: Access) -> Operand {
        let address = Address::Indexed {
            base: BASES[at.stream],
            scale: at.dtype.size() as u8,
            offset: at.offset,
        };
        self.memory(address, false)
    }

    fn load(&mut self, at: Access, to: u8) {
        let encoding = match at.dtype.size() {
            4 => x86::MOVE,
            2 => x86::WIDEN_WORDS,
            _ => x86::WIDEN_BYTES,
        };
        let last = self.stream(at);
        self.a.vector(encoding, to, 0, last, None);
    }

    fn store_lanes(&mut self, at: Access, value: Name) {
        let from = self.register(value);
        let last = self.stream(at);
        match (at.dtype.size(), self.a.width) {
            (4, _) => self.a.vector(x86::MOVE_TO_MEMORY, from, 0, last, None),
            (2, Width::Zmm) => self.a.vector(x86::NARROW_TO_WORDS, from, 0, last, None),
            (1, Width::Zmm) => self.a.vector(x86::NARROW_TO_BYTES, from, 0, last, None),
            (size @ 1..=2, Width::Ymm) => {
                /// The first and the third quarter side by side.
                const QUARTERS: u8 = 0b1101_1000;
                let (words, to) = (Operand::Register(from), Width::SCRATCH);
                self.a.vector(x86::PACK_WORDS, to, from, words, None);
                let packed = Operand::Register(to);
                self.a.vector(x86::PERMUTE, to, 0, packed, Some(QUARTERS));
                if size == 2 {
                    self.a.vex(x86::MOVE_TO_MEMORY, false, to, 0, last, None);
                } else {
                    self.a.vex(x86::PACK_BYTES, false, to, to, packed, None);
                    self.a.vex(x86::QUAD_TO_MEMORY, false, to, 0, last, None);
                }
            }
            (size, width) => unreachable!("a store of {size} bytes in {width:?}"),
        }
        self.registers
            .release(std::iter::once(value), self.position);
    }

    fn iteration(&mut self, first: u32, to: u8) {
        let lanes = (0..self.a.width.lanes() as u32).map(|lane| first + lane);
        let lanes = self.a.constant(lanes.collect());
        let counter = Operand::Register(RAX.0);
        match self.a.width {
            Width::Zmm => self
                .a
                .vector(x86::BROADCAST_FROM_GENERAL, to, 0, counter, None),
            Width::Ymm => {
                self.a
                    .vex(x86::MOVE_FROM_GENERAL, false, to, 0, counter, None);
                let low = Operand::Register(to);
                self.a.vector(x86::BROADCAST_INT, to, 0, low, None);
            }
        }
        let lanes = self.memory(lanes, false);
        self.a
            .vector(Binary::AddInt.encoding(), to, to, lanes, None);
    }
}

fn slot_address(slot: usize) -> Address {
    Address::Base {
        base: RSP,
        offset: (slot * LANES_BYTES) as i32,
    }
}
