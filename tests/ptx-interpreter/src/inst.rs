//! Decoded instructions: what the executor runs.

use super::lanes::{Compare, Map1, Map2, Map3};
use super::types::{Space, Type};

/// A register of a warp, or a constant behind the registers; the same value in [`super::lanes::Lanes`].
pub type Reg = u32;
/// A predicate register of a warp.
pub type PredReg = u32;

/// `@p` or `@!p`.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    pub predicate: PredReg,
    pub negated: bool,
}

/// An instruction with what is needed to report it.
#[derive(Debug, Clone)]
pub struct Inst {
    pub guard: Option<Guard>,
    pub op: Op,
    pub line: u32,
    /// Index into [`super::module::Kernel::opcodes`].
    pub opcode: u32,
}

/// `[base + offset]`; without a base the offset is the address.
#[derive(Debug, Clone, Copy)]
pub struct Address {
    pub space: Space,
    pub base: Option<Reg>,
    pub offset: i64,
    /// The base has 32 bits: the sum wraps there.
    pub narrow: bool,
}

/// One to four registers of a vector access.
#[derive(Debug, Clone, Copy)]
pub struct Registers {
    /// `None` is `_`: the element is not wanted.
    pub list: [Option<Reg>; 4],
    pub count: u32,
}

/// How a loaded element fills a wider register.
#[derive(Debug, Clone, Copy)]
pub struct Element {
    pub ty: Type,
    /// Sign bits are copied up to this width.
    pub register_bits: u32,
}

/// Special registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    Tid(usize),
    Ntid(usize),
    Ctaid(usize),
    Nctaid(usize),
    LaneId,
    WarpId,
    LaneMaskLt,
    LaneMaskLe,
    LaneMaskEq,
    LaneMaskGt,
    LaneMaskGe,
}

/// How two predicates are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logic {
    And,
    Or,
    Xor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    All,
    Any,
    Uni,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomic {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
    Exchange,
    CompareSwap,
    Increment,
    Decrement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approx {
    Exp2,
    Log2,
    Reciprocal,
    ReciprocalSqrt,
    Sqrt,
    Tanh,
    Sin,
    Cos,
    Divide,
}

/// The shapes of `mma.sync`, and the types of A and B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MmaShape {
    M16N8K16 { bf16: bool },
    M16N8K8 { bf16: bool },
    M16N8K8Tf32,
    M16N8K4Tf32,
    M16N8K32 { a_signed: bool, b_signed: bool },
    M16N8K16Int { a_signed: bool, b_signed: bool },
}

/// Registers of `mma.sync`; shapes use a prefix of each array.
#[derive(Debug, Clone)]
pub struct Mma {
    pub shape: MmaShape,
    pub d: [Reg; 4],
    pub a: Vec<Reg>,
    pub b: Vec<Reg>,
    pub c: [Reg; 4],
    pub saturate: bool,
}

/// A conversion that no lane function of its own does.
#[derive(Debug, Clone, Copy)]
pub struct Cvt {
    pub to: Type,
    pub from: Type,
    pub rounding: super::round::Rounding,
    /// Round to a whole number.
    pub integral: bool,
    pub saturate: bool,
    pub flush: bool,
    /// Sign bits are copied up to this width.
    pub register_bits: u32,
}

#[derive(Debug, Clone)]
pub enum Op {
    Map1 {
        f: Map1,
        dst: Reg,
        a: Reg,
    },
    Map2 {
        f: Map2,
        dst: Reg,
        a: Reg,
        b: Reg,
    },
    Map3 {
        f: Map3,
        dst: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    /// mad: the product, then the sum.
    MulAdd {
        product: Map2,
        sum: Map2,
        dst: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    BitInsert {
        dst: Reg,
        a: Reg,
        b: Reg,
        start: Reg,
        length: Reg,
        bits: u32,
    },
    Lop3 {
        dst: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
        table: u8,
    },
    Approx {
        op: Approx,
        dst: Reg,
        a: Reg,
        b: Reg,
        flush: bool,
    },
    Convert {
        cvt: Cvt,
        dst: Reg,
        a: Reg,
    },
    /// bf16x2 or f16x2 of two f32: a is the high half.
    ConvertPair {
        to: Type,
        rounding: super::round::Rounding,
        relu: bool,
        dst: Reg,
        a: Reg,
        b: Reg,
    },
    ReadSpecial {
        special: Special,
        dst: Reg,
    },
    Pack {
        dst: Reg,
        parts: Vec<Reg>,
        bits: u32,
    },
    Unpack {
        parts: Vec<Option<Reg>>,
        src: Reg,
        bits: u32,
    },
    Compare {
        f: Compare,
        dst: PredReg,
        complement: Option<PredReg>,
        a: Reg,
        b: Reg,
        join: Option<(Logic, Guard)>,
    },
    Select {
        dst: Reg,
        a: Reg,
        b: Reg,
        p: PredReg,
    },
    PredMove {
        dst: PredReg,
        a: Guard,
    },
    PredConst {
        dst: PredReg,
        value: bool,
    },
    PredLogic {
        logic: Logic,
        dst: PredReg,
        a: Guard,
        b: Guard,
    },
    Load {
        /// .nc: through a cache that does not see writes.
        read_only: bool,
        registers: Registers,
        element: Element,
        address: Address,
    },
    Store {
        registers: Registers,
        ty: Type,
        address: Address,
    },
    Atomic {
        op: Atomic,
        ty: Type,
        dst: Option<Reg>,
        address: Address,
        b: Reg,
        c: Option<Reg>,
    },
    CopyAsync {
        dst: Address,
        src: Address,
        bytes: u32,
        src_bytes: Option<Reg>,
    },
    CopyCommit,
    /// `None` is wait_all.
    CopyWait {
        pending: Option<u32>,
    },
    LdMatrix {
        dst: Vec<Reg>,
        address: Address,
        transposed: bool,
    },
    Mma(Box<Mma>),
    Shuffle {
        mode: Shuffle,
        dst: Reg,
        valid: Option<PredReg>,
        a: Reg,
        b: Reg,
        c: Reg,
        mask: Reg,
    },
    Vote {
        mode: Vote,
        dst: PredReg,
        a: Guard,
        mask: Reg,
    },
    Ballot {
        dst: Reg,
        a: Guard,
        mask: Reg,
    },
    ActiveMask {
        dst: Reg,
    },
    Reduce {
        op: Atomic,
        ty: Type,
        dst: Reg,
        a: Reg,
        mask: Reg,
    },
    Barrier {
        id: Reg,
        count: Option<Reg>,
        arrive: bool,
    },
    WarpSync {
        mask: Reg,
    },
    Fence,
    Branch {
        target: u32,
        uniform: bool,
    },
    Exit,
}
