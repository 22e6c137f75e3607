//! The Rust types of tensor elements, and views of bytes as slices of them.

use bsq_ir::DType;
use half::{bf16, f16};

use super::TensorError;

/// A Rust type that can be an element of a [`HostTensor`](super::HostTensor): `f32`,
/// [`f16`](half::f16), [`bf16`](half::bf16), `i32`, `i64`, `u8`, `u32`, `u64` and `bool`.
pub trait Element: sealed::Plain {
    /// The element type that it stands for.
    const DTYPE: DType;
}

mod sealed {
    /// # Safety
    /// The type has no padding and its size is that of its element type. Any bytes are a value of
    /// it, except that a `bool` is the byte 0 or 1.
    pub unsafe trait Plain: Copy + Send + Sync + 'static {}
}

macro_rules! elements {
    ($($type:ty => $dtype:ident,)*) => {$(
        // SAFETY: a number of a fixed width, or `bool`.
        unsafe impl sealed::Plain for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        }
        const _: () = assert!(size_of::<$type>() == DType::$dtype.size());
    )*};
}

elements! {
    f32 => F32,
    f16 => F16,
    bf16 => BF16,
    i32 => I32,
    i64 => I64,
    u8 => U8,
    u32 => U32,
    u64 => U64,
    bool => Bool,
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
