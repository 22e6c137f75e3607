//! Zeroed memory on a cache-line boundary.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A fixed number of bytes whose address is a multiple of [`ALIGNMENT`](Self::ALIGNMENT), so that
/// every element type and every vector load is aligned. Initially zero.
///
/// ```
/// use bsq_runtime::buffer::AlignedBuffer;
///
/// let mut buffer = AlignedBuffer::zeroed(10)?;
/// buffer[3] = 7;
/// assert_eq!(&buffer[..5], [0, 0, 0, 7, 0]);
/// assert_eq!(buffer.as_ptr().addr() % AlignedBuffer::ALIGNMENT, 0);
/// # Ok::<(), bsq_runtime::buffer::OutOfMemory>(())
/// ```
pub struct AlignedBuffer {
    start: NonNull<u8>,
    len: usize,
}

/// The system cannot provide this much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of memory: cannot allocate {bytes} bytes")]
pub struct OutOfMemory {
    /// How many bytes were asked for; `usize::MAX` where the number does not fit.
    pub bytes: usize,
}

// SAFETY: the buffer owns its memory and hands it out under the usual borrowing rules.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above; a shared reference gives read access alone.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// One cache line, and the width of an AVX-512 register.
    pub const ALIGNMENT: usize = 64;

    /// `len` zero bytes. The system maps large blocks lazily, so untouched pages cost nothing.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the system refuses.
    pub fn zeroed(len: usize) -> Result<Self, OutOfMemory> {
        let refused = OutOfMemory { bytes: len };
        let layout = Layout::from_size_align(len, Self::ALIGNMENT).map_err(|_| refused)?;
        let start = if len == 0 {
            layout.dangling_ptr()
        } else {
            // SAFETY: the size is not zero.
            NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(refused)?
        };
        Ok(AlignedBuffer { start, len })
    }

    /// A copy of `bytes`.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the system refuses.
    pub fn copy_of(bytes: &[u8]) -> Result<Self, OutOfMemory> {
        let mut buffer = Self::zeroed(bytes.len())?;
        buffer.copy_from_slice(bytes);
        Ok(buffer)
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: allocated in `zeroed` with this very layout, which was valid there.
            unsafe {
                let layout = Layout::from_size_align_unchecked(self.len, Self::ALIGNMENT);
                dealloc(self.start.as_ptr(), layout);
            }
        }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes, or a dangling pointer to none.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_zero() {
        for len in [0, 1, 63, 64, 65, 5000] {
            let buffer = AlignedBuffer::zeroed(len).unwrap();
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr().addr() % 64, 0);
            assert!(buffer.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        for bytes in [usize::MAX, usize::MAX / 2] {
            assert_eq!(
                AlignedBuffer::zeroed(bytes).unwrap_err(),
                OutOfMemory { bytes }
            );
        }
    }
}
