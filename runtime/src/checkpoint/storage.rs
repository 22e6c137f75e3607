//! Element types as files store them, and how they become tensors.

use std::io::Read;

use bsq_ir::DType;

use super::error::Cause;
use crate::tensor_data::{HostTensor, TensorError, byte_count};

#[cfg(target_endian = "big")]
compile_error!("checkpoints are little-endian, and this crate reads them without swapping bytes");

/// The type of the elements in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoredType {
    /// One that tensors have too.
    Native(DType),
    /// 64-bit floating point, rounded to f32 when read.
    F64,
}

/// What files call a type.
struct Row {
    stored: StoredType,
    safetensors: &'static str,
    /// As in `torch.float32`.
    torch: &'static str,
    /// The class of a storage of such elements in PyTorch, where there is one.
    class: Option<&'static str>,
}

const fn row(
    stored: StoredType,
    safetensors: &'static str,
    torch: &'static str,
    class: Option<&'static str>,
) -> Row {
    Row {
        stored,
        safetensors,
        torch,
        class,
    }
}

/// One row per type, in the order of the safetensors reference implementation, which sorts
/// tensors by it.
const TYPES: [Row; 10] = {
    use StoredType::{F64, Native};
    [
        row(Native(DType::Bool), "BOOL", "bool", Some("BoolStorage")),
        row(Native(DType::U8), "U8", "uint8", Some("ByteStorage")),
        row(Native(DType::F16), "F16", "float16", Some("HalfStorage")),
        row(
            Native(DType::BF16),
            "BF16",
            "bfloat16",
            Some("BFloat16Storage"),
        ),
        row(Native(DType::I32), "I32", "int32", Some("IntStorage")),
        row(Native(DType::U32), "U32", "uint32", None),
        row(Native(DType::F32), "F32", "float32", Some("FloatStorage")),
        row(F64, "F64", "float64", Some("DoubleStorage")),
        row(Native(DType::I64), "I64", "int64", Some("LongStorage")),
        row(Native(DType::U64), "U64", "uint64", None),
    ]
};

/// Storages of elements that cannot be read: the class, PyTorch's name of the type, and the bytes
/// of an element, which say where the next storage starts in a file of the old format.
const OTHER_CLASSES: [(&str, &str, u64); 10] = [
    ("CharStorage", "int8", 1),
    ("ShortStorage", "int16", 2),
    ("ComplexFloatStorage", "complex64", 8),
    ("ComplexDoubleStorage", "complex128", 16),
    ("QInt8Storage", "qint8", 1),
    ("QUInt8Storage", "quint8", 1),
    ("QUInt4x2Storage", "quint4x2", 1),
    ("QUInt2x4Storage", "quint2x4", 1),
    ("QInt32Storage", "qint32", 4),
    // Bytes of no type; the tensors that view it know theirs.
    ("UntypedStorage", "untyped", 1),
];

impl StoredType {
    /// How a tensor of this type is written.
    pub(super) fn of(dtype: DType) -> Self {
        StoredType::Native(dtype)
    }

    /// The type that safetensors calls `name`.
    pub(super) fn from_safetensors_name(name: &str) -> Result<Self, Cause> {
        let row = TYPES.iter().find(|row| row.safetensors == name);
        row.map(|row| row.stored).ok_or_else(|| {
            let supported = TYPES.iter().map(|row| row.safetensors);
            unsupported(name, supported)
        })
    }

    /// The PyTorch class of storages of such elements.
    pub(super) fn to_torch_storage(self) -> Result<&'static str, Cause> {
        let row = &TYPES[self.rank()];
        row.class.ok_or_else(|| {
            let supported = TYPES.iter().filter(|row| row.class.is_some());
            unsupported(row.torch, supported.map(|row| row.torch))
        })
    }

    /// The type of the elements of the PyTorch class `torch.NAME`.
    pub(super) fn from_torch_storage(name: &str) -> Result<Self, Cause> {
        let row = TYPES.iter().find(|row| row.class == Some(name));
        row.map(|row| row.stored).ok_or_else(|| {
            let other = OTHER_CLASSES.iter().find(|other| other.0 == name);
            let supported = TYPES.iter().filter(|row| row.class.is_some());
            unsupported(
                other.map_or(name, |other| other.1),
                supported.map(|row| row.torch),
            )
        })
    }

    /// The type that PyTorch calls `torch.NAME`.
    pub(super) fn from_torch_dtype(name: &str) -> Result<Self, Cause> {
        let row = TYPES.iter().find(|row| row.torch == name);
        row.map(|row| row.stored)
            .ok_or_else(|| unsupported(name, TYPES.iter().map(|row| row.torch)))
    }

    /// Bytes of an element of the PyTorch class `torch.NAME`, if the class is known.
    pub(super) fn torch_storage_size(name: &str) -> Option<u64> {
        let other = OTHER_CLASSES.iter().find(|other| other.0 == name);
        match StoredType::from_torch_storage(name) {
            Ok(stored) => Some(stored.size() as u64),
            Err(_) => other.map(|other| other.2),
        }
    }

    /// Its name in safetensors.
    pub(super) fn safetensors_name(self) -> &'static str {
        TYPES[self.rank()].safetensors
    }

    /// Its place in the order by which safetensors files are sorted.
    pub(super) fn rank(self) -> usize {
        let place = TYPES.iter().position(|row| row.stored == self);
        place.expect("every type has a row")
    }

    /// Bytes of one element in the file.
    pub(super) fn size(self) -> usize {
        match self {
            StoredType::Native(dtype) => dtype.size(),
            StoredType::F64 => 8,
        }
    }

    /// The shape of a tensor of this type, if its bytes can be counted.
    pub(super) fn checked_shape(self, shape: &[u64]) -> Result<Vec<usize>, TensorError> {
        // An extent beyond usize is too large, unless another one is 0; then it hardly matters.
        let shape: Vec<usize> = shape
            .iter()
            .map(|&extent| usize::try_from(extent).unwrap_or(usize::MAX))
            .collect();
        byte_count(self.size(), &shape)?;
        Ok(shape)
    }

    /// Bytes that a dense tensor takes in the file; its shape has been checked.
    pub(super) fn byte_count(self, checked_shape: &[usize]) -> u64 {
        byte_count(self.size(), checked_shape).expect("the shape was checked") as u64
    }

    /// Reads a dense tensor. Memory is allocated first, so the caller must know that the file has
    /// the bytes.
    pub(super) fn read_dense(
        self,
        file: &mut impl Read,
        checked_shape: Vec<usize>,
    ) -> Result<HostTensor, Cause> {
        match self {
            StoredType::Native(dtype) => {
                let mut tensor = HostTensor::zeros(dtype, checked_shape)?;
                file.read_exact(tensor.bytes_mut()?).map_err(Cause::Read)?;
                if dtype == DType::Bool {
                    tensor.as_slice::<bool>()?;
                }
                Ok(tensor)
            }
            StoredType::F64 => {
                let mut tensor = HostTensor::zeros(DType::F32, checked_shape)?;
                let mut block = [0; 8 * 1024];
                for elements in tensor.as_mut_slice::<f32>()?.chunks_mut(1024) {
                    let bytes = &mut block[..8 * elements.len()];
                    file.read_exact(bytes).map_err(Cause::Read)?;
                    for (to, from) in elements.iter_mut().zip(bytes.as_chunks::<8>().0) {
                        *to = f64::from_le_bytes(*from) as f32;
                    }
                }
                Ok(tensor)
            }
        }
    }
}

fn unsupported<'a>(dtype: &str, supported: impl Iterator<Item = &'a str>) -> Cause {
    Cause::UnsupportedType {
        dtype: dtype.to_string(),
        supported: supported.collect::<Vec<_>>().join(" "),
    }
}
