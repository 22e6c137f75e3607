//! How the two operands of a block contraction are stored, and what arithmetic that means.

use bsq_ir::DType;

/// Storage of A and B, and the arithmetic of [`Contract`](super::Contract).
///
/// | format | A | panels of B | a column's own value | C |
/// |---|---|---|---|---|
/// | `F32` | f32 | f32 `[k][16]` | | f32 |
/// | `Bf16Weights` | f32 | bf16 `[k][16]`, widened | | f32 |
/// | `U8Weights` | f32 | u8 `[k][16]`, widened to `(b - 128) * scale` | f32 scale | f32 |
/// | `Bf16` | bf16 | bf16 `[k / 2][16][2]` | | f32 |
/// | `F16` | f16 | f16 `[k / 2][16][2]` | | f32 |
/// | `Int8` | u8 | `[k / 4][16][4]`, bytes read as signed | i32 start of the sums | i32 |
///
/// The first three and `F16` add in ascending `k` with one fused multiply-add per term: the bits
/// of the same contraction on widened operands. `Bf16` takes terms in pairs, of each pair the
/// second one first, with one fused multiply-add per term; a subnormal operand, sum or result may
/// count as zero. `Int8` is exact integer arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    F32,
    Bf16Weights,
    U8Weights,
    Bf16,
    F16,
    Int8,
}

impl Format {
    pub const ALL: [Format; 6] = [
        Format::F32,
        Format::Bf16Weights,
        Format::U8Weights,
        Format::Bf16,
        Format::F16,
        Format::Int8,
    ];

    /// Neighbouring terms that lie side by side in a panel, for each column. Above 1, the terms
    /// of a row of A are side by side too, and both are padded with zeros (of A or of B) to a
    /// multiple of it.
    pub const fn terms(self) -> usize {
        match self {
            Format::F32 | Format::Bf16Weights | Format::U8Weights => 1,
            Format::Bf16 | Format::F16 => 2,
            Format::Int8 => 4,
        }
    }

    /// Element type of A.
    pub const fn a(self) -> DType {
        match self {
            Format::F32 | Format::Bf16Weights | Format::U8Weights => DType::F32,
            Format::Bf16 => DType::BF16,
            Format::F16 => DType::F16,
            Format::Int8 => DType::U8,
        }
    }

    /// Element type of B.
    pub const fn b(self) -> DType {
        match self {
            Format::F32 => DType::F32,
            Format::Bf16Weights | Format::Bf16 => DType::BF16,
            Format::F16 => DType::F16,
            Format::U8Weights | Format::Int8 => DType::U8,
        }
    }

    /// Element type of C.
    pub const fn c(self) -> DType {
        match self {
            Format::Int8 => DType::I32,
            _ => DType::F32,
        }
    }

    /// Element type of the per-column value, if there is one.
    pub const fn columns(self) -> Option<DType> {
        match self {
            Format::U8Weights => Some(DType::F32),
            Format::Int8 => Some(DType::I32),
            _ => None,
        }
    }

    /// Of the terms that lie side by side, the one that is added as the `number`th.
    pub const fn term(self, number: usize) -> usize {
        match self {
            Format::F16 => number,
            _ => self.terms() - 1 - number,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Format::F32 => "f32",
            Format::Bf16Weights => "bf16 weights",
            Format::U8Weights => "u8 weights",
            Format::Bf16 => "bf16",
            Format::F16 => "f16",
            Format::Int8 => "int8",
        }
    }
}
