//! Conversion between element types.

use super::{Data, Precision};
use crate::dtype::DType;
use half::{bf16, f16};

/// Elements of another type, as Rust's `as` converts them.
pub(super) fn cast(x: &Data, to: DType, precision: Precision) -> Data {
    match x {
        Data::F32(x) => convert(x.iter().copied(), to, precision),
        Data::F64(x) => convert(x.iter().copied(), to, precision),
        Data::F16(x) => convert(x.iter().map(|x| x.to_f32()), to, precision),
        Data::BF16(x) => convert(x.iter().map(|x| x.to_f32()), to, precision),
        Data::I32(x) => convert(x.iter().copied(), to, precision),
        Data::I64(x) => convert(x.iter().copied(), to, precision),
        Data::U8(x) => convert(x.iter().copied(), to, precision),
        Data::U32(x) => convert(x.iter().copied(), to, precision),
        Data::U64(x) => convert(x.iter().copied(), to, precision),
        Data::Bool(x) => convert(x.iter().map(|&x| u8::from(x)), to, precision),
    }
}

/// A number that converts to every element type.
trait Source: Copy {
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
    fn to_i32(self) -> i32;
    fn to_i64(self) -> i64;
    fn to_u8(self) -> u8;
    fn to_u32(self) -> u32;
    fn to_u64(self) -> u64;
    fn to_bool(self) -> bool;
}

macro_rules! source {
    ($($type:ident)*) => {
        $(impl Source for $type {
            fn to_f32(self) -> f32 {
                self as f32
            }

            fn to_f64(self) -> f64 {
                self as f64
            }

            fn to_i32(self) -> i32 {
                self as i32
            }

            fn to_i64(self) -> i64 {
                self as i64
            }

            fn to_u8(self) -> u8 {
                self as u8
            }

            fn to_u32(self) -> u32 {
                self as u32
            }

            fn to_u64(self) -> u64 {
                self as u64
            }

            fn to_bool(self) -> bool {
                self != (0 as $type)
            }
        })*
    };
}

source!(f32 f64 i32 i64 u8 u32 u64);

fn convert<S: Source>(x: impl Iterator<Item = S>, to: DType, precision: Precision) -> Data {
    if precision == Precision::F64 && to.is_float() {
        return Data::F64(x.map(S::to_f64).collect());
    }
    match to {
        DType::F32 => Data::F32(x.map(S::to_f32).collect()),
        DType::F16 => Data::F16(x.map(|x| f16::from_f32(x.to_f32())).collect()),
        DType::BF16 => Data::BF16(x.map(|x| bf16::from_f32(x.to_f32())).collect()),
        DType::I32 => Data::I32(x.map(S::to_i32).collect()),
        DType::I64 => Data::I64(x.map(S::to_i64).collect()),
        DType::U8 => Data::U8(x.map(S::to_u8).collect()),
        DType::U32 => Data::U32(x.map(S::to_u32).collect()),
        DType::U64 => Data::U64(x.map(S::to_u64).collect()),
        DType::Bool => Data::Bool(x.map(S::to_bool).collect()),
    }
}
