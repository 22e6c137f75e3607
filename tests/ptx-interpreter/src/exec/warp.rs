//! The state of a warp: registers by lane, active lanes, and where they will meet again.

use super::{Result, trap};
use crate::cfg::NOWHERE;
use crate::error::FaultKind;
use crate::inst::{Guard, PredReg, Reg};
use crate::lanes::Lanes;
use crate::module::Kernel;
use crate::parse::CONSTANT;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ready,
    /// At the barrier of this number.
    Waiting(u32),
    Done,
}

/// Lanes that wait for others, or for their turn.
#[derive(Debug, Clone, Copy)]
struct Path {
    pc: u32,
    lanes: u32,
    /// Where this path ends: the lanes go on with those below.
    meets: u32,
}

pub struct Warp<'a> {
    pub index: usize,
    pub kernel: &'a Kernel,
    constants: &'a [Lanes],
    registers: Vec<Lanes>,
    written: Vec<u32>,
    predicates: Vec<u32>,
    predicates_written: Vec<u32>,
    pub pc: u32,
    /// Lanes that run now.
    pub active: u32,
    meets: u32,
    paths: Vec<Path>,
    /// Lanes that have not left the kernel.
    pub live: u32,
    pub state: State,
    pub executed: u64,
}

impl<'a> Warp<'a> {
    pub fn new(index: usize, kernel: &'a Kernel, constants: &'a [Lanes]) -> Warp<'a> {
        Warp {
            index,
            kernel,
            constants,
            registers: vec![[0; 32]; kernel.registers.len()],
            written: vec![0; kernel.registers.len()],
            predicates: vec![0; kernel.predicates.len()],
            predicates_written: vec![0; kernel.predicates.len()],
            pc: 0,
            active: 0,
            meets: NOWHERE,
            paths: Vec::new(),
            live: 0,
            state: State::Done,
            executed: 0,
        }
    }

    /// Starts over with these lanes.
    pub fn start(&mut self, lanes: u32) {
        self.written.fill(0);
        self.predicates_written.fill(0);
        self.paths.clear();
        (self.pc, self.meets, self.executed) = (0, NOWHERE, 0);
        (self.active, self.live, self.state) = (lanes, lanes, State::Ready);
    }

    // Registers.

    /// The values of a register or constant that these lanes read.
    #[inline]
    pub fn read(&self, register: Reg, lanes: u32) -> Result<&Lanes> {
        if register & CONSTANT != 0 {
            return Ok(&self.constants[(register & !CONSTANT) as usize]);
        }
        let missing = lanes & !self.written[register as usize];
        if missing != 0 {
            let register = self.kernel.registers[register as usize].clone();
            return trap(
                missing.trailing_zeros(),
                FaultKind::UninitialisedRegister { register },
            );
        }
        Ok(&self.registers[register as usize])
    }

    #[inline]
    pub fn write(&mut self, register: Reg, lanes: u32, values: &Lanes) {
        let place = &mut self.registers[register as usize];
        if lanes == u32::MAX {
            *place = *values;
        } else {
            for lane in 0..32 {
                if lanes >> lane & 1 == 1 {
                    place[lane] = values[lane];
                }
            }
        }
        self.written[register as usize] |= lanes;
    }

    pub fn write_lane(&mut self, register: Reg, lane: u32, value: u64) {
        self.registers[register as usize][lane as usize] = value;
        self.written[register as usize] |= 1 << lane;
    }

    /// The lanes, of these, for which a predicate holds.
    #[inline]
    pub fn predicate(&self, guard: Guard, lanes: u32) -> Result<u32> {
        let index = guard.predicate as usize;
        let missing = lanes & !self.predicates_written[index];
        if missing != 0 {
            let register = self.kernel.predicates[index].clone();
            return trap(
                missing.trailing_zeros(),
                FaultKind::UninitialisedRegister { register },
            );
        }
        let value = self.predicates[index];
        Ok(lanes & if guard.negated { !value } else { value })
    }

    pub fn write_predicate(&mut self, register: PredReg, lanes: u32, values: u32) {
        let place = &mut self.predicates[register as usize];
        *place = *place & !lanes | values & lanes;
        self.predicates_written[register as usize] |= lanes;
    }

    // Control flow.

    /// Ends paths whose lanes have arrived where they meet the others.
    #[inline]
    pub fn meet(&mut self) {
        while self.pc == self.meets || self.active == 0 {
            let Some(path) = self.paths.pop() else {
                if self.active == 0 {
                    self.state = State::Done;
                }
                return;
            };
            (self.pc, self.active, self.meets) = (path.pc, path.lanes & self.live, path.meets);
        }
    }

    /// Some of the active lanes go to `target`, the others to the next instruction.
    pub fn branch(&mut self, taken: u32, target: u32, meets: u32, target_first: bool) {
        let rest = self.active & !taken;
        if rest == 0 {
            self.pc = target;
            return;
        }
        let next = self.pc + 1;
        if taken == 0 {
            self.pc = next;
            return;
        }
        // Without a place of their own the sides meet where the path around them ends. A path that
        // ends at the same place already holds all lanes for it.
        if meets != NOWHERE && meets != self.meets {
            self.paths.push(Path {
                pc: meets,
                lanes: self.active,
                meets: self.meets,
            });
            self.meets = meets;
        }
        let sides = [(target, taken), (next, rest)];
        let (first, second) = if target_first {
            (sides[0], sides[1])
        } else {
            (sides[1], sides[0])
        };
        self.paths.push(Path {
            pc: second.0,
            lanes: second.1,
            meets: self.meets,
        });
        (self.pc, self.active) = first;
    }

    /// Lanes leave the kernel.
    pub fn exit(&mut self, lanes: u32) {
        self.live &= !lanes;
        self.active &= !lanes;
        self.pc += 1;
        if self.live == 0 {
            self.paths.clear();
            self.state = State::Done;
        }
    }
}
