//! Tensors in host memory: what goes into a program and comes out of it.

use std::fmt;
use std::sync::Arc;

use bsq_ir::DType;
use half::{bf16, f16};

use crate::buffer::{AlignedBuffer, OutOfMemory};

mod convert;
mod element;

pub use element::Element;

/// A dense, row-major tensor in host memory, aligned to a cache line.
///
/// ```
/// use bsq_ir::DType;
/// use bsq_runtime::tensor_data::HostTensor;
///
/// let image = HostTensor::from_slice([2, 3], &[0.5f32, 1.0, -2.0, 0.0, 3.0, 4.0])?;
/// assert_eq!(image.dtype(), DType::F32);
/// assert_eq!(image.as_slice::<f32>()?[2], -2.0);
/// let half = image.to_dtype(DType::BF16)?;
/// assert_eq!(half.bytes().len(), 12);
/// # Ok::<(), bsq_runtime::tensor_data::TensorError>(())
/// ```
///
/// Two tensors are equal when type, shape and every bit agree, so a NaN equals itself and `-0.0`
/// differs from `0.0`.
///
/// Clones share their bytes until one of them is written to, which copies them.
#[derive(Clone)]
pub struct HostTensor {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Arc<AlignedBuffer>,
}

/// What can be wrong with the data of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The number of elements, or the bytes they take, does not fit in the address space.
    #[error("a tensor of shape {shape:?} is too large for this machine's address space")]
    TooLarge {
        /// The shape.
        shape: Vec<usize>,
    },
    /// The data do not fill the shape.
    #[error("shape {shape:?} has {expected} {unit}, but {found} were given")]
    Length {
        /// The shape.
        shape: Vec<usize>,
        /// What is counted: `elements` or `bytes`.
        unit: &'static str,
        /// How many the shape has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// One element is asked for and there are none or several.
    #[error("a tensor of shape {shape:?} has {count} elements where one is expected")]
    NotOne {
        /// The shape.
        shape: Vec<usize>,
        /// How many elements it has.
        count: usize,
    },
    /// The tensor is asked for as another type.
    #[error("the tensor holds {dtype}, not {requested}")]
    Type {
        /// What it holds.
        dtype: DType,
        /// What was asked for.
        requested: DType,
    },
    /// There is no conversion between the two types.
    #[error(
        "cannot convert a tensor of {from} to {to}: only f32, f16 and bf16 convert into each other; `HostTensor::to_exact` keeps the numbers that both types have"
    )]
    Conversion {
        /// What the tensor holds.
        from: DType,
        /// What was asked for.
        to: DType,
    },
    /// A number has no equal in another type.
    #[error("element {index} is {value}, which is no {to}")]
    NoEqual {
        /// Row-major index of the first such element.
        index: usize,
        /// The number.
        value: String,
        /// What was asked for.
        to: DType,
    },
    /// A byte of a boolean tensor is neither 0 nor 1.
    #[error("element {index} of a bool tensor is the byte {value}: only 0 and 1 are allowed")]
    NotBool {
        /// Row-major index of the first such element.
        index: usize,
        /// Its byte.
        value: u8,
    },
    /// The system has too little memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

impl HostTensor {
    /// A tensor of zeros (false for `Bool`).
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] or [`TensorError::OutOfMemory`].
    pub fn zeros(dtype: DType, shape: impl Into<Vec<usize>>) -> Result<Self, TensorError> {
        let shape = shape.into();
        let bytes = AlignedBuffer::zeroed(byte_count(dtype.size(), &shape)?)?;
        Ok(HostTensor {
            dtype,
            shape,
            bytes: Arc::new(bytes),
        })
    }

    /// A tensor with the given elements in row-major order.
    ///
    /// # Errors
    /// [`TensorError::Length`] when their number is not that of the shape.
    pub fn from_slice<T: Element>(
        shape: impl Into<Vec<usize>>,
        elements: &[T],
    ) -> Result<Self, TensorError> {
        let shape = shape.into();
        check_length(&shape, 1, "elements", elements.len())?;
        Ok(HostTensor {
            dtype: T::DTYPE,
            shape,
            bytes: Arc::new(AlignedBuffer::copy_of(element::bytes_of(elements))?),
        })
    }

    /// A tensor of no axes.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`].
    pub fn scalar<T: Element>(value: T) -> Result<Self, TensorError> {
        Self::from_slice([], &[value])
    }

    /// A tensor from the bytes of its elements, in the byte order of this machine.
    ///
    /// # Errors
    /// [`TensorError::Length`] when their number is not that of the shape, and
    /// [`TensorError::NotBool`] when a `Bool` is neither 0 nor 1.
    pub fn from_bytes(
        dtype: DType,
        shape: impl Into<Vec<usize>>,
        bytes: &[u8],
    ) -> Result<Self, TensorError> {
        let shape = shape.into();
        check_length(&shape, dtype.size(), "bytes", bytes.len())?;
        if dtype == DType::Bool {
            element::check_bools(bytes)?;
        }
        Ok(HostTensor {
            dtype,
            shape,
            bytes: Arc::new(AlignedBuffer::copy_of(bytes)?),
        })
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extent of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn element_count(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// The elements' bytes, in row-major order and this machine's byte order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The elements' bytes, for writing. In a `Bool` tensor only 0 and 1 may be written.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`] if the bytes are shared and cannot be copied.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], TensorError> {
        Ok(self.unshared()?)
    }

    /// The bytes, of this tensor alone.
    fn unshared(&mut self) -> Result<&mut AlignedBuffer, OutOfMemory> {
        if Arc::get_mut(&mut self.bytes).is_none() {
            self.bytes = Arc::new(AlignedBuffer::copy_of(&self.bytes)?);
        }
        Ok(Arc::get_mut(&mut self.bytes).expect("nothing else has this buffer"))
    }

    /// Copies the bytes if other tensors share them: they are about to be written to by address.
    /// Whether they have moved.
    pub(crate) fn unshare(&mut self) -> Result<bool, OutOfMemory> {
        let before = self.address();
        self.unshared()?;
        Ok(self.address() != before)
    }

    /// The first byte, for launches; see [`AlignedBuffer::address`].
    pub(crate) fn address(&self) -> *mut u8 {
        self.bytes.address()
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// [`TensorError::Type`] when the tensor holds another type.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], TensorError> {
        self.expect_dtype(T::DTYPE)?;
        element::view(&self.bytes)
    }

    /// The elements in row-major order, for writing.
    ///
    /// # Errors
    /// [`TensorError::Type`] when the tensor holds another type.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T], TensorError> {
        self.expect_dtype(T::DTYPE)?;
        element::view_mut(self.unshared()?)
    }

    /// The value of a tensor that has exactly one element, such as a loss.
    ///
    /// # Errors
    /// [`TensorError::Type`] or [`TensorError::NotOne`].
    pub fn item<T: Element>(&self) -> Result<T, TensorError> {
        match self.as_slice()? {
            [value] => Ok(*value),
            elements => Err(TensorError::NotOne {
                shape: self.shape.clone(),
                count: elements.len(),
            }),
        }
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the shape has another number of elements.
    pub fn reshape(mut self, shape: impl Into<Vec<usize>>) -> Result<Self, TensorError> {
        let shape = shape.into();
        check_length(&shape, 1, "elements", self.element_count())?;
        self.shape = shape;
        Ok(self)
    }

    /// Row-major index of the first element that is infinite or not a number; `None` when there is
    /// none, and for every type but the floating-point formats.
    pub fn first_non_finite(&self) -> Option<usize> {
        match self.dtype {
            DType::F32 => self.position(|x: f32| !x.is_finite()),
            DType::F16 => self.position(|x: f16| !x.is_finite()),
            DType::BF16 => self.position(|x: bf16| !x.is_finite()),
            _ => None,
        }
    }

    fn position<T: Element>(&self, wanted: impl Fn(T) -> bool) -> Option<usize> {
        let elements = self.as_slice::<T>().ok()?;
        elements.iter().position(|&x| wanted(x))
    }

    fn expect_dtype(&self, requested: DType) -> Result<(), TensorError> {
        match self.dtype == requested {
            true => Ok(()),
            false => Err(TensorError::Type {
                dtype: self.dtype,
                requested,
            }),
        }
    }
}

impl PartialEq for HostTensor {
    fn eq(&self, other: &Self) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && self.bytes[..] == other.bytes[..]
    }
}

impl Eq for HostTensor {}

impl fmt::Debug for HostTensor {
    /// Type and shape alone, such as `HostTensor(f32[2, 3])`: a tensor may have millions of elements.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostTensor({}{:?})", self.dtype, self.shape)
    }
}

/// The bytes of a dense tensor whose elements take `size` bytes.
///
/// # Errors
/// [`TensorError::TooLarge`] when the number does not fit.
pub(crate) fn byte_count(size: usize, shape: &[usize]) -> Result<usize, TensorError> {
    // An axis of extent 0 makes the tensor empty, however large the others are.
    if shape.contains(&0) {
        return Ok(0);
    }
    shape
        .iter()
        .try_fold(size, |count, &extent| count.checked_mul(extent))
        .filter(|&count| isize::try_from(count).is_ok())
        .ok_or_else(|| TensorError::TooLarge {
            shape: shape.to_vec(),
        })
}

fn check_length(
    shape: &[usize],
    size: usize,
    unit: &'static str,
    found: usize,
) -> Result<(), TensorError> {
    let expected = byte_count(size, shape)?;
    match expected == found {
        true => Ok(()),
        false => Err(TensorError::Length {
            shape: shape.to_vec(),
            unit,
            expected,
            found,
        }),
    }
}

#[cfg(test)]
mod tests;
