//! Constants: one value for every element, or all elements.

use crate::dtype::DType;
use crate::shape::{Shape, Type};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A typed constant. Elements are kept as raw little-endian bytes, so that equality means equal bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constant {
    ty: Type,
    bytes: Arc<[u8]>,
    splat: bool,
}

/// Hashes the type and the first elements: passes look up large constants many times.
impl Hash for Constant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let first = &self.bytes[..self.bytes.len().min(256)];
        (&self.ty, self.splat, first).hash(state);
    }
}

impl Constant {
    /// Every element is `element` (little-endian bytes of one element).
    ///
    /// # Panics
    /// If the number of bytes is not that of one element.
    pub fn splat_bytes(ty: Type, element: &[u8]) -> Self {
        assert_eq!(element.len(), ty.dtype.size(), "one {} element", ty.dtype);
        let bytes = element.into();
        Constant {
            ty,
            bytes,
            splat: true,
        }
    }

    /// All elements, row-major, little-endian.
    ///
    /// # Panics
    /// If the number of bytes is not that of the type.
    pub fn dense_bytes(ty: Type, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        assert_eq!(bytes.len(), ty.bytes(), "bytes of a {ty}");
        Constant {
            ty,
            bytes,
            splat: false,
        }
    }

    /// `value` converted to `dtype`, in every element of `shape`.
    pub fn splat(value: f64, dtype: DType, shape: impl Into<Shape>) -> Self {
        let element: Vec<u8> = match dtype {
            DType::F32 => (value as f32).to_le_bytes().to_vec(),
            DType::F16 => half::f16::from_f64(value).to_le_bytes().to_vec(),
            DType::BF16 => half::bf16::from_f64(value).to_le_bytes().to_vec(),
            DType::I32 => (value as i32).to_le_bytes().to_vec(),
            DType::I64 => (value as i64).to_le_bytes().to_vec(),
            DType::U8 => vec![value as u8],
            DType::U32 => (value as u32).to_le_bytes().to_vec(),
            DType::U64 => (value as u64).to_le_bytes().to_vec(),
            DType::Bool => vec![u8::from(value != 0.0)],
        };
        Constant::splat_bytes(Type::new(dtype, shape), &element)
    }

    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The bytes of the one element that fills the tensor, if there is one.
    pub fn splat_element(&self) -> Option<&[u8]> {
        self.splat.then_some(&self.bytes)
    }

    /// The bytes of all elements, if they are stored one by one.
    pub fn dense_elements(&self) -> Option<&Arc<[u8]>> {
        (!self.splat).then_some(&self.bytes)
    }

    /// The value that fills the tensor, if it is one `f32`.
    pub fn splat_f32(&self) -> Option<f32> {
        match (self.ty.dtype, self.splat_element()?) {
            (DType::F32, &[a, b, c, d]) => Some(f32::from_le_bytes([a, b, c, d])),
            _ => None,
        }
    }

    /// All elements, row-major, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.splat {
            self.bytes.repeat(self.ty.shape.elements())
        } else {
            self.bytes.to_vec()
        }
    }

    /// The same splat in another shape; `None` if the elements differ.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> Option<Self> {
        let ty = Type::new(self.ty.dtype, shape);
        Some(Constant::splat_bytes(ty, self.splat_element()?))
    }
}
