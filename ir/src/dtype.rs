//! Element types of tensors.

use std::fmt;
use std::str::FromStr;

/// The type of one tensor element.
///
/// `F16` and `BF16` are storage formats: they are moved and cast, arithmetic happens in `F32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    F32,
    F16,
    BF16,
    I32,
    I64,
    U8,
    U32,
    U64,
    Bool,
}

impl DType {
    /// Every element type, in declaration order.
    pub const ALL: [DType; 9] = [
        DType::F32,
        DType::F16,
        DType::BF16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U32,
        DType::U64,
        DType::Bool,
    ];

    /// Bytes of one element in memory; a `Bool` is one byte, 0 or 1.
    pub const fn size(self) -> usize {
        match self {
            DType::U8 | DType::Bool => 1,
            DType::F16 | DType::BF16 => 2,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::I64 | DType::U64 => 8,
        }
    }

    /// The name used in the text form: `f32`, `bool`, ...
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::U8 => "u8",
            DType::U32 => "u32",
            DType::U64 => "u64",
            DType::Bool => "bool",
        }
    }

    /// True for every floating-point format, storage formats included.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F16 | DType::BF16)
    }

    /// True for signed and unsigned integers (not `Bool`).
    pub const fn is_integer(self) -> bool {
        matches!(
            self,
            DType::I32 | DType::I64 | DType::U8 | DType::U32 | DType::U64
        )
    }

    /// Whether an element can be this number: integers exactly, floats rounded, but not from a
    /// finite number to infinity.
    pub fn holds(self, value: f64) -> bool {
        let whole = |low: f64, high: f64| value.fract() == 0.0 && (low..high).contains(&value);
        let float = |rounded: f64| rounded.is_finite() || !value.is_finite();
        match self {
            DType::F32 => float(f64::from(value as f32)),
            DType::F16 => float(half::f16::from_f64(value).to_f64()),
            DType::BF16 => float(half::bf16::from_f64(value).to_f64()),
            DType::I32 => whole(-(2f64.powi(31)), 2f64.powi(31)),
            DType::I64 => whole(-(2f64.powi(63)), 2f64.powi(63)),
            DType::U8 => whole(0.0, 2f64.powi(8)),
            DType::U32 => whole(0.0, 2f64.powi(32)),
            DType::U64 => whole(0.0, 2f64.powi(64)),
            DType::Bool => value == 0.0 || value == 1.0,
        }
    }

    /// How many indices from 0 an element can hold.
    pub const fn indices(self) -> u64 {
        match self {
            DType::F32 | DType::F16 | DType::BF16 => u64::MAX,
            DType::I32 => 1 << 31,
            DType::I64 => 1 << 63,
            DType::U8 => 1 << 8,
            DType::U32 => 1 << 32,
            DType::U64 => u64::MAX,
            DType::Bool => 2,
        }
    }

    /// True where arithmetic is defined: `F32` and the integers.
    pub const fn is_arithmetic(self) -> bool {
        matches!(self, DType::F32) || self.is_integer()
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DType {
    type Err = UnknownDType;

    fn from_str(text: &str) -> Result<Self, UnknownDType> {
        DType::ALL
            .into_iter()
            .find(|dtype| dtype.name() == text)
            .ok_or_else(|| UnknownDType(text.to_string()))
    }
}

/// The error of parsing an element type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown element type `{0}` (known: f32 f16 bf16 i32 i64 u8 u32 u64 bool)")]
pub struct UnknownDType(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_held_or_not() {
        for (dtype, held, not) in [
            (
                DType::F32,
                &[0.1, 1e-50, f64::NAN, f64::INFINITY, 3.4e38][..],
                &[1e39, -3.5e38][..],
            ),
            (DType::F16, &[65504.0, f64::NEG_INFINITY], &[70000.0]),
            (DType::BF16, &[3.3e38], &[3.4e38 * 1.01]),
            (
                DType::I32,
                &[-2147483648.0, 2147483647.0, -0.0],
                &[0.5, 2147483648.0, f64::NAN],
            ),
            (
                DType::I64,
                &[-9.223_372_036_854_776e18],
                &[9.223_372_036_854_776e18, f64::INFINITY],
            ),
            (DType::U8, &[0.0, 255.0], &[-1.0, 256.0]),
            (DType::U32, &[4294967295.0], &[4294967296.0]),
            (
                DType::U64,
                &[1.844_674_407_370_955e19],
                &[1.8446744073709552e19, -0.5],
            ),
            (DType::Bool, &[0.0, 1.0], &[2.0, 0.5, f64::NAN, -1.0]),
        ] {
            assert!(held.iter().all(|&value| dtype.holds(value)), "{dtype}");
            assert!(!not.iter().any(|&value| dtype.holds(value)), "{dtype}");
        }
    }

    #[test]
    fn names_parse_back() {
        for dtype in DType::ALL {
            assert_eq!(dtype.name().parse(), Ok(dtype));
        }
        assert!("f64".parse::<DType>().is_err());
    }
}
