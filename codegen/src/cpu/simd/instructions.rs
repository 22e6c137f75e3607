//! The x86-64 instructions of SIMD loops: one row each.

use super::code::{Binary, Predicate, Unary};
use bsq_ir::math::Shift;

/// How an instruction is encoded; nearly all are the same in VEX and in EVEX form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoding {
    pub map: Map,
    pub prefix: Prefix,
    pub opcode: u8,
    /// The W bit.
    pub wide: bool,
}

/// The opcode map.
#[derive(Clone, Copy, Debug)]
pub(super) enum Map {
    M0F = 1,
    M0F38 = 2,
    M0F3A = 3,
}

/// The mandatory prefix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Prefix {
    None = 0,
    P66 = 1,
    PF3 = 2,
}

use Map::*;
use Prefix::*;

const fn row(map: Map, prefix: Prefix, opcode: u8) -> Encoding {
    Encoding {
        map,
        prefix,
        opcode,
        wide: false,
    }
}

pub(super) const MOVE: Encoding = row(M0F, None, 0x10);
pub(super) const MOVE_TO_MEMORY: Encoding = row(M0F, None, 0x11);
pub(super) const BROADCAST: Encoding = row(M0F38, P66, 0x18);
pub(super) const FMA_213: Encoding = row(M0F38, P66, 0xa8);
pub(super) const FMA_231: Encoding = row(M0F38, P66, 0xb8);
pub(super) const COMPARE: Encoding = row(M0F, None, 0xc2);
pub(super) const COMPARE_EQUAL_INT: Encoding = row(M0F, P66, 0x76);
pub(super) const COMPARE_GREATER_INT: Encoding = row(M0F, P66, 0x66);
pub(super) const FLOOR: Encoding = row(M0F3A, P66, 0x08);
pub(super) const SHIFT_BY_CONSTANT: Encoding = row(M0F, P66, 0x72);
/// 16-bit elements to 32 bits.
pub(super) const WIDEN_WORDS: Encoding = row(M0F38, P66, 0x33);
/// 8-bit elements to 32 bits.
pub(super) const WIDEN_BYTES: Encoding = row(M0F38, P66, 0x31);
/// AVX-512: 32-bit lanes to 16 bits, to memory.
pub(super) const NARROW_TO_WORDS: Encoding = row(M0F38, PF3, 0x33);
/// AVX-512: 32-bit lanes to 8 bits, to memory.
pub(super) const NARROW_TO_BYTES: Encoding = row(M0F38, PF3, 0x31);
/// AVX-512: a mask register to lanes of all or no bits.
pub(super) const MASK_TO_LANES: Encoding = row(M0F38, PF3, 0x38);
/// AVX-512: any function of three operands, bit by bit.
pub(super) const TERNARY_LOGIC: Encoding = row(M0F3A, P66, 0x25);
/// AVX-512: a general register to all lanes.
pub(super) const BROADCAST_FROM_GENERAL: Encoding = row(M0F38, P66, 0x7c);
/// 32-bit elements at 32-bit indices; a mask says which.
pub(super) const GATHER: Encoding = row(M0F38, P66, 0x90);
/// AVX-512: of two masks, where they are equal. In VEX form, on 256 bits.
pub(super) const MASKS_EQUAL: Encoding = row(M0F, None, 0x46);
/// AVX2: the sign of each lane chooses.
pub(super) const BLEND: Encoding = row(M0F3A, P66, 0x4a);
/// AVX2: a general register to the first lane.
pub(super) const MOVE_FROM_GENERAL: Encoding = row(M0F, P66, 0x6e);
/// AVX2: the first lane to all lanes.
pub(super) const BROADCAST_INT: Encoding = row(M0F38, P66, 0x58);
/// AVX2: 32-bit lanes to 16 bits within each half of the register.
pub(super) const PACK_WORDS: Encoding = row(M0F38, P66, 0x2b);
/// AVX2: 16-bit elements to 8 bits.
pub(super) const PACK_BYTES: Encoding = row(M0F, P66, 0x67);
/// AVX2: the first 64 bits to memory.
pub(super) const QUAD_TO_MEMORY: Encoding = row(M0F, P66, 0xd6);
/// AVX2: 64-bit elements by a constant.
pub(super) const PERMUTE: Encoding = Encoding {
    wide: true,
    ..row(M0F3A, P66, 0x00)
};

impl Binary {
    pub fn encoding(self) -> Encoding {
        use Binary::*;
        match self {
            Add => row(M0F, None, 0x58),
            Mul => row(M0F, None, 0x59),
            Sub => row(M0F, None, 0x5c),
            Min => row(M0F, None, 0x5d),
            Div => row(M0F, None, 0x5e),
            Max => row(M0F, None, 0x5f),
            And => row(M0F, P66, 0xdb),
            Or => row(M0F, P66, 0xeb),
            Xor => row(M0F, P66, 0xef),
            AddInt => row(M0F, P66, 0xfe),
            SubInt => row(M0F, P66, 0xfa),
            MulInt => row(M0F38, P66, 0x40),
            MinSigned => row(M0F38, P66, 0x39),
            MinUnsigned => row(M0F38, P66, 0x3b),
            MaxSigned => row(M0F38, P66, 0x3d),
            MaxUnsigned => row(M0F38, P66, 0x3f),
            ShiftRightLogical => row(M0F38, P66, 0x45),
            ShiftRightArithmetic => row(M0F38, P66, 0x46),
            ShiftLeft => row(M0F38, P66, 0x47),
            TimesPower => row(M0F38, P66, 0x2c),
        }
    }
}

impl Unary {
    /// With the constant that follows, if there is one.
    pub fn encoding(self) -> (Encoding, Option<u8>) {
        match self {
            Unary::Sqrt => (row(M0F, None, 0x51), Option::None),
            Unary::FromSigned => (row(M0F, None, 0x5b), Option::None),
            Unary::Truncate => (row(M0F, PF3, 0x5b), Option::None),
            // Downwards, without raising "inexact".
            Unary::Floor => (FLOOR, Some(0b1001)),
        }
    }
}

/// The extension of [`SHIFT_BY_CONSTANT`].
pub(super) fn extension(shift: Shift) -> u8 {
    match shift {
        Shift::RightLogical => 2,
        Shift::RightArithmetic => 4,
        Shift::Left => 6,
    }
}

impl Predicate {
    /// With the constant of [`COMPARE`]; comparisons of integers have none.
    pub fn encoding(self) -> (Encoding, Option<u8>) {
        match self {
            Predicate::Equal => (COMPARE, Some(0x00)),
            Predicate::Less => (COMPARE, Some(0x11)),
            Predicate::LessEqual => (COMPARE, Some(0x12)),
            Predicate::Unordered => (COMPARE, Some(0x03)),
            Predicate::NotEqual => (COMPARE, Some(0x04)),
            Predicate::EqualInt => (COMPARE_EQUAL_INT, Option::None),
            Predicate::GreaterInt => (COMPARE_GREATER_INT, Option::None),
        }
    }
}
