//! A tensor's elements, row-major.

use super::Precision;
use crate::dtype::DType;
use crate::shape::{Shape, Type};
use half::{bf16, f16};
use std::fmt;

/// The elements of a tensor by element type.
#[derive(Clone, Debug)]
pub enum Data {
    F32(Vec<f32>),
    /// A float tensor of any element type, evaluated in [`Precision::F64`].
    F64(Vec<f64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    Bool(Vec<bool>),
}

/// Evaluates `$body` with `$x` the vector of elements, whatever their type.
macro_rules! each_type {
    ($data:expr, $x:ident => $body:expr) => {
        match $data {
            Data::F32($x) => $body,
            Data::F64($x) => $body,
            Data::F16($x) => $body,
            Data::BF16($x) => $body,
            Data::I32($x) => $body,
            Data::I64($x) => $body,
            Data::U8($x) => $body,
            Data::U32($x) => $body,
            Data::U64($x) => $body,
            Data::Bool($x) => $body,
        }
    };
}
pub(super) use each_type;

/// Evaluates `$body` with the vectors of two operands of one number type.
macro_rules! each_number_pair {
    ($op:expr, $data:expr, ($x:ident, $y:ident) => $body:expr) => {
        match $data {
            (Data::F32($x), Data::F32($y)) => $body,
            (Data::F64($x), Data::F64($y)) => $body,
            (Data::I32($x), Data::I32($y)) => $body,
            (Data::I64($x), Data::I64($y)) => $body,
            (Data::U8($x), Data::U8($y)) => $body,
            (Data::U32($x), Data::U32($y)) => $body,
            (Data::U64($x), Data::U64($y)) => $body,
            _ => unreachable!("{} does not take these element types", $op.name()),
        }
    };
}
pub(super) use each_number_pair;

macro_rules! data_from {
    ($($variant:ident $type:ty;)*) => {
        $(impl From<Vec<$type>> for Data {
            fn from(elements: Vec<$type>) -> Data {
                Data::$variant(elements)
            }
        })*
    };
}

data_from! {
    F32 f32; F64 f64; F16 f16; BF16 bf16;
    I32 i32; I64 i64; U8 u8; U32 u32; U64 u64; Bool bool;
}

impl Data {
    pub fn len(&self) -> usize {
        each_type!(self, x => x.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A tensor: a type and its elements.
///
/// Two values are equal if their types are and their elements have equal bits, where every NaN
/// equals every NaN; `+0` and `-0` differ.
#[derive(Clone)]
pub struct Value {
    ty: Type,
    data: Data,
}

impl Value {
    /// Elements of `shape`, row-major. `f64` elements stand for a tensor of `f32`.
    ///
    /// ```
    /// # use bsq_ir::eval::Value;
    /// let matrix = Value::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]);
    /// assert_eq!(matrix.ty().to_string(), "f32[2,2]");
    /// ```
    ///
    /// # Panics
    /// If there are not as many elements as the shape has.
    #[track_caller]
    pub fn new(shape: impl Into<Shape>, data: impl Into<Data>) -> Value {
        let data = data.into();
        let dtype = match data {
            Data::F32(_) | Data::F64(_) => DType::F32,
            Data::F16(_) => DType::F16,
            Data::BF16(_) => DType::BF16,
            Data::I32(_) => DType::I32,
            Data::I64(_) => DType::I64,
            Data::U8(_) => DType::U8,
            Data::U32(_) => DType::U32,
            Data::U64(_) => DType::U64,
            Data::Bool(_) => DType::Bool,
        };
        Value::typed(Type::new(dtype, shape), data)
    }

    /// A tensor of rank 0.
    pub fn scalar<T>(element: T) -> Value
    where
        Vec<T>: Into<Data>,
    {
        Value::new(Shape::scalar(), vec![element])
    }

    #[track_caller]
    pub(super) fn typed(ty: Type, data: Data) -> Value {
        assert_eq!(data.len(), ty.shape.elements(), "elements of {ty}");
        Value { ty, data }
    }

    /// Elements as in memory: row-major, little-endian.
    ///
    /// # Panics
    /// If the number of bytes is not that of the type.
    #[track_caller]
    pub fn from_bytes(ty: Type, bytes: &[u8]) -> Value {
        assert_eq!(bytes.len(), ty.bytes(), "bytes of {ty}");
        macro_rules! read {
            ($type:ty) => {{
                let (elements, rest) = bytes.as_chunks();
                debug_assert!(rest.is_empty());
                let read = |element: &_| <$type>::from_le_bytes(*element);
                elements.iter().map(read).collect::<Vec<$type>>().into()
            }};
        }
        let data = match ty.dtype {
            DType::F32 => read!(f32),
            DType::F16 => read!(f16),
            DType::BF16 => read!(bf16),
            DType::I32 => read!(i32),
            DType::I64 => read!(i64),
            DType::U8 => read!(u8),
            DType::U32 => read!(u32),
            DType::U64 => read!(u64),
            DType::Bool => Data::Bool(bytes.iter().map(|&byte| byte != 0).collect()),
        };
        Value::typed(ty, data)
    }

    /// Elements as in memory: row-major, little-endian. Values in [`Precision::F64`] are rounded
    /// to their type first.
    pub fn to_bytes(&self) -> Vec<u8> {
        macro_rules! write {
            ($elements:expr) => {
                $elements.iter().flat_map(|x| x.to_le_bytes()).collect()
            };
        }
        match &self.data {
            Data::F64(_) => self.to_precision(Precision::F32).to_bytes(),
            Data::F32(x) => write!(x),
            Data::F16(x) => write!(x),
            Data::BF16(x) => write!(x),
            Data::I32(x) => write!(x),
            Data::I64(x) => write!(x),
            Data::U8(x) => x.clone(),
            Data::U32(x) => write!(x),
            Data::U64(x) => write!(x),
            Data::Bool(x) => x.iter().map(|&x| u8::from(x)).collect(),
        }
    }

    pub fn ty(&self) -> &Type {
        &self.ty
    }

    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    pub fn data(&self) -> &Data {
        &self.data
    }

    pub fn into_data(self) -> Data {
        self.data
    }

    /// The elements of an `f32` tensor.
    ///
    /// # Panics
    /// If the elements have another type or were evaluated in [`Precision::F64`].
    #[track_caller]
    pub fn as_f32(&self) -> &[f32] {
        match &self.data {
            Data::F32(elements) => elements,
            _ => panic!("{} is not f32 in single precision", self.ty),
        }
    }

    /// Every element as the nearest `f64`; `true` is 1.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(x) => x.iter().map(|&x| f64::from(x)).collect(),
            Data::F64(x) => x.clone(),
            Data::F16(x) => x.iter().map(|x| x.to_f64()).collect(),
            Data::BF16(x) => x.iter().map(|x| x.to_f64()).collect(),
            Data::I32(x) => x.iter().map(|&x| f64::from(x)).collect(),
            Data::I64(x) => x.iter().map(|&x| x as f64).collect(),
            Data::U8(x) => x.iter().map(|&x| f64::from(x)).collect(),
            Data::U32(x) => x.iter().map(|&x| f64::from(x)).collect(),
            Data::U64(x) => x.iter().map(|&x| x as f64).collect(),
            Data::Bool(x) => x.iter().map(|&x| f64::from(u8::from(x))).collect(),
        }
    }

    /// The form that evaluation in `precision` works on: floats become `f64`, or are rounded to
    /// their type.
    pub fn to_precision(&self, precision: Precision) -> Value {
        let data = match (precision, &self.data) {
            (Precision::F64, Data::F32(_) | Data::F16(_) | Data::BF16(_)) => {
                Data::F64(self.to_f64())
            }
            (Precision::F32, Data::F64(x)) => match self.ty.dtype {
                DType::F16 => Data::F16(x.iter().map(|&x| f16::from_f64(x)).collect()),
                DType::BF16 => Data::BF16(x.iter().map(|&x| bf16::from_f64(x)).collect()),
                _ => Data::F32(x.iter().map(|&x| x as f32).collect()),
            },
            _ => self.data.clone(),
        };
        Value::typed(self.ty.clone(), data)
    }

    /// The row-major position of the first element whose bits differ, NaN equal to NaN.
    ///
    /// # Panics
    /// If the types differ.
    #[track_caller]
    pub fn first_difference(&self, other: &Value) -> Option<usize> {
        assert_eq!(self.ty, other.ty, "values of different types");
        let (x, y) = (self.element_bits(), other.element_bits());
        x.iter().zip(&y).position(|(x, y)| x != y)
    }

    /// Bits of every element, one pattern for all NaN.
    fn element_bits(&self) -> Vec<u64> {
        match &self.data {
            Data::F32(x) => x
                .iter()
                .map(|x| canonical(x.to_bits(), x.is_nan()))
                .collect(),
            Data::F64(x) => x
                .iter()
                .map(|x| canonical(x.to_bits(), x.is_nan()))
                .collect(),
            Data::F16(x) => x
                .iter()
                .map(|x| canonical(x.to_bits(), x.is_nan()))
                .collect(),
            Data::BF16(x) => x
                .iter()
                .map(|x| canonical(x.to_bits(), x.is_nan()))
                .collect(),
            Data::I32(x) => x.iter().map(|&x| x as u64).collect(),
            Data::I64(x) => x.iter().map(|&x| x as u64).collect(),
            Data::U8(x) => x.iter().map(|&x| x.into()).collect(),
            Data::U32(x) => x.iter().map(|&x| x.into()).collect(),
            Data::U64(x) => x.clone(),
            Data::Bool(x) => x.iter().map(|&x| x.into()).collect(),
        }
    }
}

fn canonical(bits: impl Into<u64>, is_nan: bool) -> u64 {
    if is_nan { u64::MAX } else { bits.into() }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.ty == other.ty && self.first_difference(other).is_none()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        write!(f, "{} ", self.ty)?;
        each_type!(&self.data, x => f.debug_list().entries(x.iter().take(SHOWN)).finish())?;
        if self.data.len() > SHOWN {
            write!(f, " and {} more", self.data.len() - SHOWN)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip() {
        for value in [
            Value::new([2], vec![-0.0f32, 1.5]),
            Value::new([1], vec![f16::from_f32(0.1)]),
            Value::new([1], vec![bf16::from_f32(-3.0)]),
            Value::new([2], vec![-1i32, 7]),
            Value::new([1], vec![i64::MIN]),
            Value::new([3], vec![0u8, 1, 255]),
            Value::scalar(u32::MAX),
            Value::scalar(u64::MAX),
            Value::new([2], vec![true, false]),
        ] {
            let bytes = value.to_bytes();
            assert_eq!(bytes.len(), value.ty().bytes());
            assert_eq!(Value::from_bytes(value.ty().clone(), &bytes), value);
        }
    }

    #[test]
    fn equality_is_of_bits_but_for_nan() {
        let of = |x: f32| Value::scalar(x);
        assert_eq!(of(f32::NAN), of(-f32::NAN));
        assert_ne!(of(0.0), of(-0.0));
        assert_ne!(of(1.0), Value::scalar(1i32));
        assert_ne!(Value::new([1], vec![1u8]), Value::scalar(1u8));
        let (x, y) = (vec![1i32, 2, 3], vec![1i32, 5, 3]);
        assert_eq!(
            Value::new([3], x).first_difference(&Value::new([3], y)),
            Some(1)
        );
    }

    #[test]
    fn precision_changes_floats_only() {
        let third = Value::scalar(1.0f64 / 3.0);
        assert_eq!(third.ty().to_string(), "f32[]");
        assert_eq!(third.to_precision(Precision::F32).as_f32(), [1.0f32 / 3.0]);
        let half = Value::scalar(bf16::from_f32(0.5)).to_precision(Precision::F64);
        assert_eq!((half.dtype(), half.to_f64()), (DType::BF16, vec![0.5]));
        let count = Value::scalar(3i64).to_precision(Precision::F64);
        assert!(matches!(count.data(), Data::I64(_)));
    }
}
