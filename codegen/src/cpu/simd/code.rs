//! Straight-line vector code: what a SIMD loop does for one group of lanes.

use bsq_ir::DType;
use bsq_ir::math::Shift;
use std::fmt;

/// A value of one register: 32 bits for each lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(pub u32);

/// An operation on registers. Masks are lanes of all or no bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Inst {
    Binary {
        op: Binary,
        x: Name,
        y: Name,
    },
    Unary {
        op: Unary,
        x: Name,
    },
    /// `x * y + z`, rounded once.
    Fma {
        x: Name,
        y: Name,
        z: Name,
    },
    Shift {
        op: Shift,
        x: Name,
        amount: u8,
    },
    /// A mask.
    Compare {
        is: Predicate,
        x: Name,
        y: Name,
    },
    Select {
        mask: Name,
        x: Name,
        y: Name,
    },
    /// Elements of a stream, zero-extended to 32 bits.
    Load(Access),
    /// Elements of 32 bits of a stream: lane `i` is `index[i]` elements behind its start and offset.
    Gather {
        at: Access,
        index: Name,
    },
    /// The low bits of each lane to a stream.
    Store(Access, Name),
    /// The iteration of each lane, the first of which is `first`.
    Iteration {
        first: u32,
    },
}

/// Elements side by side: lane `i` of the group is at `base[stream] + (iteration + i) * size +
/// offset` bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Access {
    pub stream: usize,
    pub dtype: DType,
    /// In bytes.
    pub offset: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    /// `x < y ? x : y`.
    Min,
    /// `y < x ? x : y`.
    Max,
    And,
    Or,
    Xor,
    AddInt,
    SubInt,
    MulInt,
    MinSigned,
    MaxSigned,
    MinUnsigned,
    MaxUnsigned,
    /// Amounts of 32 or more leave nothing, or the sign.
    ShiftLeft,
    ShiftRightLogical,
    ShiftRightArithmetic,
    /// AVX-512: `x * 2^floor(y)`, rounded once.
    TimesPower,
}

impl Binary {
    pub fn commutes(self) -> bool {
        use Binary::*;
        matches!(self, Add | Mul | And | Or | Xor | AddInt | MulInt)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Sqrt,
    Floor,
    FromSigned,
    /// `f32` to a signed integer that can hold it.
    Truncate,
}

/// Comparisons; of floats all but `Unordered` and `NotEqual` are false if one is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predicate {
    Equal,
    Less,
    LessEqual,
    NotEqual,
    Unordered,
    EqualInt,
    /// Of signed integers.
    GreaterInt,
}

/// The same in all lanes and in all iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Invariant {
    Constant(u32),
    /// A 32-bit value of the call.
    Uniform(usize),
}

/// One instruction and the name of its result. A name that is carried may be given again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub to: Option<Name>,
    pub inst: Inst,
}

/// A register that lives from one iteration to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    pub name: Name,
    pub initial: u32,
}

/// The body of a SIMD loop.
#[derive(Clone, Debug, Default)]
pub(super) struct Code {
    pub lines: Vec<Line>,
    pub invariants: Vec<(Name, Invariant)>,
    pub carried: Vec<Carried>,
    pub streams: usize,
    pub uniforms: usize,
    pub names: u32,
}

impl Inst {
    /// The registers that it reads.
    pub fn operands(&self) -> impl Iterator<Item = Name> + use<> {
        let operands = match *self {
            Inst::Binary { x, y, .. } | Inst::Compare { x, y, .. } => [Some(x), Some(y), None],
            Inst::Unary { x, .. } | Inst::Shift { x, .. } => [Some(x), None, None],
            Inst::Gather { index, .. } => [Some(index), None, None],
            Inst::Fma { x, y, z } => [Some(x), Some(y), Some(z)],
            Inst::Select { mask, x, y } => [Some(mask), Some(x), Some(y)],
            Inst::Store(_, x) => [Some(x), None, None],
            Inst::Load(_) | Inst::Iteration { .. } => [None; 3],
        };
        operands.into_iter().flatten()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, invariant) in &self.invariants {
            match invariant {
                Invariant::Constant(bits) => {
                    writeln!(f, "  v{} = {:?} ({bits:#x})", name.0, f32::from_bits(*bits))?;
                }
                Invariant::Uniform(slot) => writeln!(f, "  v{} = uniform {slot}", name.0)?,
            }
        }
        for carried in &self.carried {
            writeln!(f, "  v{} starts as {:#x}", carried.name.0, carried.initial)?;
        }
        for line in &self.lines {
            match line.to {
                Some(to) => write!(f, "  v{} = ", to.0)?,
                None => write!(f, "  ")?,
            }
            let operands: Vec<String> = line.inst.operands().map(|x| format!("v{}", x.0)).collect();
            let operands = operands.join(" ");
            match line.inst {
                Inst::Binary { op, .. } => writeln!(f, "{op:?} {operands}")?,
                Inst::Unary { op, .. } => writeln!(f, "{op:?} {operands}")?,
                Inst::Fma { .. } => writeln!(f, "Fma {operands}")?,
                Inst::Shift { op, amount, .. } => writeln!(f, "Shift{op:?} {operands} {amount}")?,
                Inst::Compare { is, .. } => writeln!(f, "{is:?} {operands}")?,
                Inst::Select { .. } => writeln!(f, "Select {operands}")?,
                Inst::Load(at) => writeln!(f, "Load {at}")?,
                Inst::Gather { at, .. } => writeln!(f, "Gather {at} {operands}")?,
                Inst::Store(at, _) => writeln!(f, "Store {at} {operands}")?,
                Inst::Iteration { first } => writeln!(f, "Iteration + {first}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stream {} + {}", self.dtype, self.stream, self.offset)
    }
}
