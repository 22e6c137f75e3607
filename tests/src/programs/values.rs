//! Elements for inputs and parameters: ordinary ones, and those that break careless code.

use super::choices::Choices;
use bsq_ir::eval::Value;
use bsq_ir::{DType, Type};

/// How often an element is a special one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Never: numbers in -2..2, small integers.
    Plain,
    /// NaN, infinities and zeros, one in eight: nothing that overflows by itself.
    NotFinite,
    /// One in eight.
    Some,
    /// One in two.
    Many,
}

/// Zeros, infinities, NaN, subnormal and extreme numbers, and what a cast rounds or saturates.
const F32: [f32; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-45,
    -3e-39,
    1e-20,
    -3e19,
    65504.0,
    65520.0,
    16_777_217.0,
    2_147_483_648.0,
    -2_147_483_904.0,
    9.3e18,
    1.9e19,
    -0.99999994,
    88.8,
];

/// Of `f16` and `bf16` by their bits: signed zeros, ones, infinities, NaN, extremes, subnormals.
const HALF: [u16; 14] = [
    0x0000, 0x8000, 0x3c00, 0x3f80, 0x7c00, 0xfc00, 0x7f80, 0xff80, 0x7e00, 0x7fc0, 0x0001, 0x83ff,
    0x7bff, 0x7f7f,
];

/// Of integers, cut to their width: ends of every type, amounts around the widths.
const INTEGERS: [u64; 20] = [
    0,
    1,
    2,
    7,
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    (1 << 63) - 1,
    1 << 31,
    (1 << 31) - 1,
    u32::MAX as u64,
    1 << 32,
    127,
    128,
    255,
    31,
    32,
    63,
    64,
    16_777_217,
];

/// A tensor of any type.
pub fn value(choices: &mut Choices, ty: &Type, style: Style) -> Value {
    let count = ty.shape.elements();
    let bytes: Vec<u8> = (0..count)
        .flat_map(|_| element(choices, ty.dtype, style))
        .collect();
    Value::from_bytes(ty.clone(), &bytes)
}

/// One element, little-endian.
pub fn element(choices: &mut Choices, dtype: DType, style: Style) -> Vec<u8> {
    let special = match style {
        Style::Plain => false,
        Style::NotFinite | Style::Some => choices.once_in(8),
        Style::Many => choices.once_in(2),
    };
    let small = |choices: &mut Choices| choices.below(9) as u64;
    match dtype {
        DType::F32 if special && style == Style::NotFinite => {
            choices.of(&F32[..8]).to_le_bytes().to_vec()
        }
        DType::F32 if special => choices.of(&F32).to_le_bytes().to_vec(),
        DType::F32 => plain(choices).to_le_bytes().to_vec(),
        DType::F16 if special => choices.of(&HALF).to_le_bytes().to_vec(),
        // Exponents of 2^-3 to 1, either sign.
        DType::F16 => {
            let word = choices.word();
            let bits = (word & 0x83ff) as u16 | ((12 + (word >> 10 & 3)) << 10) as u16;
            bits.to_le_bytes().to_vec()
        }
        DType::BF16 if special => choices.of(&HALF).to_le_bytes().to_vec(),
        DType::BF16 => ((plain(choices).to_bits() >> 16) as u16)
            .to_le_bytes()
            .to_vec(),
        DType::Bool => vec![(choices.word() & 1) as u8],
        _ if special => choices.of(&INTEGERS).to_le_bytes()[..dtype.size()].to_vec(),
        DType::I32 | DType::I64 => {
            let number = small(choices) as i64 - 3;
            number.to_le_bytes()[..dtype.size()].to_vec()
        }
        _ => small(choices).to_le_bytes()[..dtype.size()].to_vec(),
    }
}

/// In -2..2, one in four of them a multiple of 1/2.
fn plain(choices: &mut Choices) -> f32 {
    let word = choices.word();
    match word & 3 {
        0 => (word >> 2 & 7) as f32 / 2.0 - 2.0,
        _ => (word >> 2 & 0x3fff) as f32 / 4096.0 - 2.0,
    }
}
