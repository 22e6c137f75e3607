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
    /// As many as `count`.
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
}

/// How two predicates are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logic {
    And,
    Or,
    Xor,
}

/// The shapes of `mma.sync`, and the types of A and B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MmaShape {
    M16N8K16 {
        bf16: bool,
    },
    M16N8K8Tf32,
    /// Bytes; those of B are signed.
    M16N8K32 {
        a_signed: bool,
    },
}

/// Registers of `mma.sync`.
#[derive(Debug, Clone)]
pub struct Mma {
    pub shape: MmaShape,
    pub d: [Reg; 4],
    pub a: [Reg; 4],
    pub b: [Reg; 2],
    pub c: [Reg; 4],
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
    /// ex2.approx.ftz
    Exp2 {
        dst: Reg,
        a: Reg,
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
        a: Reg,
        b: Reg,
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
    CopyAsync {
        dst: Address,
        src: Address,
        bytes: u32,
        src_bytes: Option<Reg>,
    },
    CopyCommit,
    /// Until at most so many groups are under way.
    CopyWait {
        pending: u32,
    },
    LdMatrix {
        dst: [Reg; 4],
        address: Address,
        transposed: bool,
    },
    Mma(Box<Mma>),
    /// Each lane reads the lane whose number differs from its own by the bits of `by`.
    Shuffle {
        dst: Reg,
        a: Reg,
        by: Reg,
        clamp: Reg,
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
    Branch {
        target: u32,
        uniform: bool,
    },
    Exit,
}
