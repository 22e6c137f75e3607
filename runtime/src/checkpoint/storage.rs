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

/// One row per type: the type, its name in safetensors, and the class of its storage in PyTorch,
/// where there is one. In the order of the safetensors reference implementation, which sorts
/// tensors by it.
const TYPES: [(StoredType, &str, Option<&str>); 10] = [
    (StoredType::Native(DType::Bool), "BOOL", Some("BoolStorage")),
    (StoredType::Native(DType::U8), "U8", Some("ByteStorage")),
    (StoredType::Native(DType::F16), "F16", Some("HalfStorage")),
    (
        StoredType::Native(DType::BF16),
        "BF16",
        Some("BFloat16Storage"),
    ),
    (StoredType::Native(DType::I32), "I32", Some("IntStorage")),
    (StoredType::Native(DType::U32), "U32", None),
    (StoredType::Native(DType::F32), "F32", Some("FloatStorage")),
    (StoredType::F64, "F64", Some("DoubleStorage")),
    (StoredType::Native(DType::I64), "I64", Some("LongStorage")),
    (StoredType::Native(DType::U64), "U64", None),
];

impl StoredType {
    /// How a tensor of this type is written.
    pub(super) fn of(dtype: DType) -> Self {
        StoredType::Native(dtype)
    }

    /// The type that safetensors calls `name`.
    pub(super) fn from_safetensors_name(name: &str) -> Result<Self, Cause> {
        let row = TYPES.iter().find(|row| row.1 == name);
        row.map(|row| row.0).ok_or_else(|| {
            let supported = TYPES.iter().map(|row| row.1);
            unsupported(name, supported)
        })
    }

    /// The type of the elements of the PyTorch class `torch.NAME`.
    pub(super) fn from_torch_storage(name: &str) -> Result<Self, Cause> {
        let row = TYPES.iter().find(|row| row.2 == Some(name));
        row.map(|row| row.0).ok_or_else(|| {
            let supported = TYPES.iter().filter_map(|row| row.2);
            unsupported(name, supported)
        })
    }

    /// Its name in safetensors.
    pub(super) fn safetensors_name(self) -> &'static str {
        TYPES[self.rank()].1
    }

    /// Its place in the order by which safetensors files are sorted.
    pub(super) fn rank(self) -> usize {
        let place = TYPES.iter().position(|row| row.0 == self);
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
                file.read_exact(tensor.bytes_mut()).map_err(Cause::Read)?;
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
