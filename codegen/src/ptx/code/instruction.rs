//! One instruction: what it does, to what, and when.

use super::operand::{Label, Operand, Reg, Space};
use crate::kernel::Format;
use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

/// What an instruction does.
#[derive(Clone, Debug, PartialEq)]
pub enum Opcode {
    /// What nothing but the assembler needs to know more of: arithmetic, moves, conversions.
    Named(Cow<'static, str>),
    /// Loads so many neighbours of a type.
    Load(Space, usize, &'static str),
    Store(Space, usize, &'static str),
    /// Four words of a fragment from shared memory, by all lanes of a warp.
    LoadMatrix,
    /// From global memory to shared memory, at most so many bytes: in order with others that are
    /// committed together, while the thread goes on.
    Copy(i64),
    /// A product of fragments on the tensor cores; `f32` is taken as tf32.
    MultiplyFragments(Format),
    /// Waits for all threads of the block, or for lanes of the warp.
    BlockBarrier,
    WarpBarrier,
    Branch,
    Return,
}

/// A multiply-add, rounded once.
pub const FMA: &str = "fma.rn.f32";

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// The predicate that must hold for it to run.
    guard: Option<Reg>,
    pub opcode: Opcode,
    /// The register that it defines, or a list of them.
    result: Option<Operand>,
    operands: Vec<Operand>,
}

impl Instruction {
    pub(super) fn new(opcode: Opcode, result: Option<Operand>, operands: Vec<Operand>) -> Self {
        Instruction {
            guard: None,
            opcode,
            result,
            operands,
        }
    }

    /// Runs only where the condition holds, if there is one.
    pub fn when(&mut self, condition: impl Into<Option<Reg>>) {
        self.guard = condition.into();
    }

    /// It may leave its results as they were.
    pub fn is_guarded(&self) -> bool {
        self.guard.is_some()
    }

    pub fn defined(&self) -> impl Iterator<Item = Reg> {
        self.result.iter().flat_map(Operand::registers)
    }

    pub fn used(&self) -> impl Iterator<Item = Reg> {
        let operands = self.operands.iter().flat_map(Operand::registers);
        self.guard.into_iter().chain(operands)
    }

    /// Where it may branch to.
    pub fn label(&self) -> Option<Label> {
        match self.operands[..] {
            [Operand::Label(label)] => Some(label),
            _ => None,
        }
    }

    /// True if the instruction behind it may run after it.
    pub fn falls_through(&self) -> bool {
        self.is_guarded() || !matches!(self.opcode, Opcode::Branch | Opcode::Return)
    }
}

impl Opcode {
    /// True for what the assembler may drop: a copy of a register, or a constant.
    pub fn is_move(&self) -> bool {
        matches!(self, Opcode::Named(name) if name.starts_with("mov."))
    }
}

impl From<&'static str> for Opcode {
    fn from(name: &'static str) -> Opcode {
        Opcode::Named(name.into())
    }
}

impl From<String> for Opcode {
    fn from(name: String) -> Opcode {
        Opcode::Named(name.into())
    }
}

impl Display for Opcode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let vector = |count: &usize| match count {
            1 => "",
            2 => ".v2",
            _ => ".v4",
        };
        let name = match self {
            Opcode::Named(name) => name,
            Opcode::Load(space, count, ty) => {
                let load = match space {
                    Space::Global => "ld.global",
                    Space::ReadOnly => "ld.global.nc",
                    Space::Shared => "ld.shared",
                };
                return write!(f, "{load}{}.{ty}", vector(count));
            }
            Opcode::Store(space, count, ty) => {
                let store = match space {
                    Space::Global | Space::ReadOnly => "st.global",
                    Space::Shared => "st.shared",
                };
                return write!(f, "{store}{}.{ty}", vector(count));
            }
            Opcode::LoadMatrix => "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
            // Past the first-level cache only whole words of 16 bytes can go.
            Opcode::Copy(16) => "cp.async.cg.shared.global",
            Opcode::Copy(_) => "cp.async.ca.shared.global",
            Opcode::MultiplyFragments(format) => match format {
                Format::F32 => "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
                Format::Int8 => "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32",
                Format::F16 => "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
                _ => "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
            },
            Opcode::BlockBarrier => "bar.sync",
            Opcode::WarpBarrier => "bar.warp.sync",
            Opcode::Branch => "bra",
            Opcode::Return => "ret",
        };
        f.write_str(name)
    }
}

/// Without the semicolon.
impl Display for Instruction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(condition) = self.guard {
            write!(f, "@{condition} ")?;
        }
        write!(f, "{}", self.opcode)?;
        for (at, operand) in self.result.iter().chain(&self.operands).enumerate() {
            let before = if at == 0 { " " } else { ", " };
            write!(f, "{before}{operand}")?;
        }
        Ok(())
    }
}
