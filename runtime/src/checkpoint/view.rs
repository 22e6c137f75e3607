//! A tensor as a strided view of a storage, and how its elements are read.

use std::io::{Read, Seek, SeekFrom};

use super::error::Cause;
use super::storage::StoredType;
use crate::tensor_data::HostTensor;

/// A view of a storage, in elements, known to lie inside it.
pub(super) struct View {
    stored: StoredType,
    offset: u64,
    shape: Vec<usize>,
    strides: Vec<u64>,
    /// From the first element to behind the last; 0 for an empty tensor.
    extent: u64,
}

impl View {
    /// The view with this offset, shape and strides, in elements, of a storage of some bytes.
    pub(super) fn new(
        stored: StoredType,
        offset: u64,
        shape: &[u64],
        strides: Vec<u64>,
        storage_bytes: u64,
    ) -> Result<Self, Cause> {
        if shape.len() != strides.len() {
            let text = format!(
                "its shape has {} axes and {} strides",
                shape.len(),
                strides.len()
            );
            return Err(Cause::Content(text));
        }
        let size = stored.size() as u64;
        let shape = stored.checked_shape(shape)?;
        let elements = stored.byte_count(&shape) / size;
        let extent = match elements {
            0 => 0,
            _ => (shape.iter().zip(&strides)).fold(1u64, |extent, (&count, &stride)| {
                extent.saturating_add((count as u64 - 1).saturating_mul(stride))
            }),
        };
        let needed = offset.saturating_add(extent).saturating_mul(size);
        if extent > 0 && needed > storage_bytes {
            let available = storage_bytes;
            return Err(Cause::BeyondStorage { needed, available });
        }
        if elements > storage_bytes / size {
            return Err(Cause::Inflated {
                bytes: elements * size,
                available: storage_bytes,
            });
        }
        Ok(View {
            stored,
            offset: if extent == 0 { 0 } else { offset },
            shape,
            strides,
            extent,
        })
    }

    /// Bytes of the dense tensor.
    pub(super) fn byte_count(&self) -> u64 {
        self.stored.byte_count(&self.shape)
    }

    /// Reads the elements into a dense tensor, from a storage of `size` bytes at `start`. Its
    /// checksum `crc`, if not 0, is verified when the elements are the whole storage, as is the
    /// rule.
    pub(super) fn read(
        &self,
        file: &mut (impl Read + Seek),
        (start, size, crc): (u64, u64, u32),
    ) -> Result<HostTensor, Cause> {
        let element = self.stored.size() as u64;
        let first = SeekFrom::Start(start + self.offset * element);
        file.seek(first).map_err(Cause::Read)?;
        let mut data = Checked {
            file,
            crc: crc32fast::Hasher::new(),
        };
        let tensor = if self.is_dense() {
            self.stored.read_dense(&mut data, self.shape.clone())?
        } else {
            let mut span = vec![0; (self.extent * element) as usize];
            data.read_exact(&mut span).map_err(Cause::Read)?;
            let dense = self.gather(&span);
            self.stored
                .read_dense(&mut dense.as_slice(), self.shape.clone())?
        };
        let whole = self.extent * element == size;
        if whole && crc != 0 && data.crc.finalize() != crc {
            return Err(Cause::Checksum);
        }
        Ok(tensor)
    }

    /// Whether the elements lie one behind the other in row-major order.
    fn is_dense(&self) -> bool {
        let mut expected = 1;
        let axes = self.shape.iter().zip(&self.strides).rev();
        self.extent == 0
            || axes.into_iter().all(|(&count, &stride)| {
                let fits = count == 1 || stride == expected;
                expected *= count as u64;
                fits
            })
    }

    /// The bytes of the elements in row-major order, from those between the first and the last.
    fn gather(&self, span: &[u8]) -> Vec<u8> {
        let size = self.stored.size();
        let bytes = self.byte_count() as usize;
        let mut dense = Vec::with_capacity(bytes);
        let mut index = vec![0; self.shape.len()];
        let mut position = 0;
        while dense.len() < bytes {
            dense.extend_from_slice(&span[position * size..][..size]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    position += self.strides[axis] as usize;
                    break;
                }
                // Back to the start of the axis; one of a single element may have any stride.
                position -= (index[axis] - 1) * self.strides[axis] as usize;
                index[axis] = 0;
            }
        }
        dense
    }
}

/// A reader that computes the checksum of what passes.
struct Checked<R> {
    file: R,
    crc: crc32fast::Hasher,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.crc.update(&buffer[..count]);
        Ok(count)
    }
}
