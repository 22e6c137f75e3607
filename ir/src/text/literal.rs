//! Elements of constants as words that give back the same bits.

use crate::dtype::DType;
use half::{bf16, f16};

/// One element from its little-endian bytes.
///
/// # Panics
/// If the number of bytes is not that of one element.
pub(super) fn print_element(dtype: DType, bytes: &[u8]) -> String {
    const SIZED: &str = "an element has its type's size";
    macro_rules! element {
        ($number:ty) => {
            <$number>::from_le_bytes(bytes.try_into().expect(SIZED))
        };
    }
    macro_rules! print_half {
        ($half:ty) => {{
            let value = element!($half);
            match value.is_nan() && value.to_bits() != <$half>::NAN.to_bits() {
                true => format!("{:#06x}", value.to_bits()),
                false if value.is_nan() => "nan".to_string(),
                false => print_f32(value.to_f32()),
            }
        }};
    }
    match dtype {
        DType::F32 => print_f32(element!(f32)),
        DType::F16 => print_half!(f16),
        DType::BF16 => print_half!(bf16),
        DType::I32 => element!(i32).to_string(),
        DType::I64 => element!(i64).to_string(),
        DType::U8 => element!(u8).to_string(),
        DType::U32 => element!(u32).to_string(),
        DType::U64 => element!(u64).to_string(),
        DType::Bool => match bytes {
            [0] => "false".to_string(),
            [1] => "true".to_string(),
            other => format!("{other:?}"),
        },
    }
}

/// The little-endian bytes of the element that a word stands for; `None` if it is not one.
pub(super) fn parse_element(dtype: DType, word: &str) -> Option<Vec<u8>> {
    macro_rules! number {
        ($number:ty) => {
            word.parse::<$number>().ok()?.to_le_bytes().to_vec()
        };
    }
    macro_rules! half {
        ($half:ty) => {{
            let value = match parse_bits(word) {
                Some(bits) => <$half>::from_bits(u16::try_from(bits).ok()?),
                None if word == "nan" => <$half>::NAN,
                None => {
                    let value = <$half>::from_f64(parse_decimal(word)?);
                    (value.is_finite() || word.ends_with("inf")).then_some(value)?
                }
            };
            value.to_le_bytes().to_vec()
        }};
    }
    Some(match dtype {
        DType::F32 => parse_f32(word)?.to_le_bytes().to_vec(),
        DType::F16 => half!(f16),
        DType::BF16 => half!(bf16),
        DType::I32 => number!(i32),
        DType::I64 => number!(i64),
        DType::U8 => number!(u8),
        DType::U32 => number!(u32),
        DType::U64 => number!(u64),
        DType::Bool => match word {
            "false" => vec![0],
            "true" => vec![1],
            _ => return None,
        },
    })
}

/// The shortest decimal that gives back the same bits; `inf`, `-inf`, `nan`, or a NaN's bits.
pub(super) fn print_f32(value: f32) -> String {
    match value.is_nan() {
        true if value.to_bits() == f32::NAN.to_bits() => "nan".to_string(),
        true => format!("{:#010x}", value.to_bits()),
        false => format!("{value:?}"),
    }
}

/// The inverse of [`print_f32`]; `None` if the word is no number or is out of range.
pub(super) fn parse_f32(word: &str) -> Option<f32> {
    if let Some(bits) = parse_bits(word) {
        return Some(f32::from_bits(bits));
    }
    if word == "nan" {
        return Some(f32::NAN);
    }
    let value: f32 = word.parse().ok()?;
    let honest = value.is_finite() || matches!(word, "inf" | "-inf");
    honest.then_some(value)
}

fn parse_bits(word: &str) -> Option<u32> {
    u32::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// A decimal, `inf` or `-inf`.
fn parse_decimal(word: &str) -> Option<f64> {
    let value: f64 = word.parse().ok()?;
    let honest = value.is_finite() || matches!(word, "inf" | "-inf");
    honest.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_survive(dtype in 0..DType::ALL.len(), bits: [u8; 8]) {
            let dtype = DType::ALL[dtype];
            let mut bytes = bits[..dtype.size()].to_vec();
            if dtype == DType::Bool {
                bytes[0] &= 1;
            }
            let word = print_element(dtype, &bytes);
            prop_assert_eq!(parse_element(dtype, &word), Some(bytes), "{}", word);
        }
    }

    #[test]
    fn odd_floats_have_names() {
        let word = |value: f32| print_element(DType::F32, &value.to_le_bytes());
        assert_eq!(word(-0.0), "-0.0");
        assert_eq!(word(1e-45), "1e-45");
        assert_eq!(word(f32::NEG_INFINITY), "-inf");
        assert_eq!(word(f32::NAN), "nan");
        assert_eq!(word(-f32::NAN), "0xffc00000");
    }

    #[test]
    fn what_does_not_fit_is_no_element() {
        for (dtype, word) in [
            (DType::F32, "1e39"),
            (DType::F16, "70000.0"),
            (DType::F16, "0x12345"),
            (DType::U8, "256"),
            (DType::U32, "-1"),
            (DType::Bool, "1"),
            (DType::I32, "1.0"),
            (DType::F32, "infinity"),
        ] {
            assert_eq!(parse_element(dtype, word), None, "{dtype} {word}");
        }
    }
}
