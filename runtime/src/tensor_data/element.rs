//! The Rust types of tensor elements, their numbers, and views of bytes as slices of them.

use bsq_ir::DType;
use half::{bf16, f16};

use super::TensorError;
use std::fmt;

/// A Rust type that can be an element of a [`HostTensor`](super::HostTensor): `f32`,
/// [`f16`](half::f16), [`bf16`](half::bf16), `i32`, `i64`, `u8`, `u32`, `u64` and `bool`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no element of a tensor",
    label = "elements are f32, f16, bf16, i32, i64, u8, u32, u64 and bool",
    note = "f64 numbers become f32 by `HostTensor::from_f64`, and come back by `HostTensor::to_f64`",
    note = "other integers: convert them to one of these types before, and a usize to i64 or u64"
)]
pub trait Element: sealed::Plain {
    /// The element type that it stands for.
    const DTYPE: DType;
}

pub(super) mod sealed {
    /// # Safety
    /// The type has no padding and its size is that of its element type. Any bytes are a value of
    /// it, except that a `bool` is the byte 0 or 1.
    pub unsafe trait Plain: Copy + Send + Sync + 'static {
        fn number(self) -> super::Number;

        /// The element that is this number, if there is one.
        fn of_number(number: super::Number) -> Option<Self>;
    }
}

/// What an element stands for, without loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Number::Integer(number) => number as f64,
            Number::Float(number) => number,
        }
    }

    fn to_integer(self) -> Option<i128> {
        match self {
            Number::Integer(number) => Some(number),
            // What is beyond an i128 saturates, and fits no element either.
            Number::Float(number) => (number.fract() == 0.0).then_some(number as i128),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Integer(number) => write!(f, "{number}"),
            Number::Float(number) => write!(f, "{number:?}"),
        }
    }
}

macro_rules! elements {
    ($($type:ty => $dtype:ident, $number:expr, $of_number:expr;)*) => {$(
        // SAFETY: a number of a fixed width, or `bool`.
        unsafe impl sealed::Plain for $type {
            fn number(self) -> Number {
                let number: fn($type) -> Number = $number;
                number(self)
            }

            fn of_number(number: Number) -> Option<Self> {
                let of_number: fn(Number) -> Option<$type> = $of_number;
                of_number(number)
            }
        }
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        }
        const _: () = assert!(size_of::<$type>() == DType::$dtype.size());
    )*};
}

macro_rules! integers {
    ($($type:ty => $dtype:ident,)*) => {elements! {$(
        $type => $dtype,
            |x| Number::Integer(x.into()),
            |number| <$type>::try_from(number.to_integer()?).ok();
    )*}};
}

/// The float of a number that rounding to it does not change; NaN is NaN.
fn unchanged<T: Copy>(number: Number, round: fn(f64) -> T, widen: fn(T) -> f64) -> Option<T> {
    let value = number.to_f64();
    let exact = match number {
        Number::Integer(integer) => value as i128 == integer,
        Number::Float(_) => true,
    };
    let rounded = round(value);
    let back = widen(rounded);
    (exact && (back == value || value.is_nan())).then_some(rounded)
}

integers! {
    i32 => I32,
    i64 => I64,
    u8 => U8,
    u32 => U32,
    u64 => U64,
}

elements! {
    f32 => F32, |x| Number::Float(x.into()), |number| unchanged(number, |x| x as f32, f64::from);
    f16 => F16, |x| Number::Float(x.into()), |number| unchanged(number, f16::from_f64, f64::from);
    bf16 => BF16, |x| Number::Float(x.into()), |number| unchanged(number, bf16::from_f64, f64::from);
    bool => Bool, |x| Number::Integer(x.into()), |number| match number.to_integer()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    };
}

/// The memory of a slice.
pub(super) fn bytes_of<T: Element>(elements: &[T]) -> &[u8] {
    // SAFETY: the type has no padding, so all of its bytes are initialised.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

/// Aligned bytes as elements.
pub(super) fn view<T: Element>(bytes: &[u8]) -> Result<&[T], TensorError> {
    check::<T>(bytes)?;
    let count = bytes.len() / size_of::<T>();
    // SAFETY: `check` has seen that the address is aligned and the bytes are values of the type.
    Ok(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), count) })
}

/// Aligned bytes as elements, for writing.
pub(super) fn view_mut<T: Element>(bytes: &mut [u8]) -> Result<&mut [T], TensorError> {
    check::<T>(bytes)?;
    let count = bytes.len() / size_of::<T>();
    // SAFETY: as in `view`; the borrow is exclusive, and any element is valid bytes.
    Ok(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), count) })
}

fn check<T: Element>(bytes: &[u8]) -> Result<(), TensorError> {
    assert!(bytes.as_ptr().addr().is_multiple_of(align_of::<T>()));
    match T::DTYPE {
        DType::Bool => check_bools(bytes),
        _ => Ok(()),
    }
}

/// That each byte is 0 or 1.
pub(super) fn check_bools(bytes: &[u8]) -> Result<(), TensorError> {
    match bytes.iter().position(|&byte| byte > 1) {
        None => Ok(()),
        Some(index) => Err(TensorError::NotBool {
            index,
            value: bytes[index],
        }),
    }
}
