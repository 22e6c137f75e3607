//! Memory on a cache-line boundary, in huge pages where it is large.

mod spare;

use memmap2::MmapMut;
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
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
///
/// Large buffers ask the system for pages of 2 MB: a pass over weights crosses a page every few
/// microseconds otherwise, where the CPU's prefetching ends and an address must be translated anew.
pub struct AlignedBuffer {
    start: NonNull<u8>,
    len: usize,
    /// What holds the bytes of a large buffer; others are on the heap.
    mapping: Option<MmapMut>,
}

/// The size of a huge page of x86-64, and of many other systems.
const HUGE_PAGE: usize = 2 << 20;
/// Buffers from this size on are mapped: smaller ones gain little and would waste addresses.
const MAPPED: usize = 2 * HUGE_PAGE;

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
        if len >= MAPPED {
            return Self::mapped(len).ok_or(refused);
        }
        Self::on_heap(len, alloc_zeroed).ok_or(refused)
    }

    /// `len` bytes that `allocate` gives.
    fn on_heap(len: usize, allocate: unsafe fn(Layout) -> *mut u8) -> Option<Self> {
        let layout = Layout::from_size_align(len, Self::ALIGNMENT).ok()?;
        let start = if len == 0 {
            layout.dangling_ptr()
        } else {
            // SAFETY: the size is not zero.
            NonNull::new(unsafe { allocate(layout) })?
        };
        Some(AlignedBuffer {
            start,
            len,
            mapping: None,
        })
    }

    /// A mapping that starts at a huge page, and asks for such pages as far as it fills them: a
    /// last one that is partly used would cost memory.
    fn mapped(len: usize) -> Option<Self> {
        let mut mapping = MmapMut::map_anon(len.checked_add(HUGE_PAGE)?).ok()?;
        let skipped = mapping.as_ptr().addr().wrapping_neg() % HUGE_PAGE;
        #[cfg(target_os = "linux")]
        {
            // A system without huge pages refuses, and small ones do as well.
            let whole = len / HUGE_PAGE * HUGE_PAGE;
            let _ = mapping.advise_range(memmap2::Advice::HugePage, skipped, whole);
        }
        let start = NonNull::new(mapping.as_mut_ptr().wrapping_add(skipped))?;
        Some(AlignedBuffer {
            start,
            len,
            mapping: Some(mapping),
        })
    }

    /// The first byte, for code that shares the buffer by address. It stays the same for as long
    /// as the buffer lives, also when the buffer is moved.
    pub(crate) fn address(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// A copy of `bytes`, in memory that was given back where there is some: results of one run lie where
    /// those of the run before did, and the system does not clear pages for them.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the system refuses.
    pub fn copy_of(bytes: &[u8]) -> Result<Self, OutOfMemory> {
        let len = bytes.len();
        let buffer = match len {
            MAPPED.. => spare::take(len).or_else(|| Self::mapped(len)),
            _ => Self::on_heap(len, alloc),
        };
        let buffer = buffer.ok_or(OutOfMemory { bytes: len })?;
        // SAFETY: `len` bytes that are the buffer's alone. Those of the heap are not initialised before.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.address(), len) };
        Ok(buffer)
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping.take() {
            spare::give(self.start, self.len, mapping);
        } else if self.len != 0 {
            // SAFETY: allocated in `on_heap` with this very layout, which was valid there.
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
        for len in [0, 1, 63, 64, 65, 5000, MAPPED - 1, MAPPED, MAPPED + 1] {
            let buffer = AlignedBuffer::zeroed(len).unwrap();
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr().addr() % 64, 0);
            assert!(buffer.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn a_large_buffer_starts_at_a_huge_page_and_can_be_written() {
        let mut buffer = AlignedBuffer::zeroed(MAPPED + 5).unwrap();
        assert_eq!(buffer.as_ptr().addr() % HUGE_PAGE, 0);
        let address = buffer.address();
        buffer.fill(3);
        let moved = Box::new(buffer);
        assert_eq!(moved.address(), address);
        assert_eq!(
            moved.iter().map(|&byte| usize::from(byte)).sum::<usize>(),
            3 * moved.len()
        );
    }

    #[test]
    fn a_copy_has_its_own_bytes_whatever_its_memory_held_before() {
        for len in [0, 65, MAPPED - 1, MAPPED, MAPPED + 3] {
            for value in [1, 2] {
                let bytes = vec![value; len];
                let copy = AlignedBuffer::copy_of(&bytes).unwrap();
                assert_eq!(&copy[..], &bytes[..]);
            }
            let zeroed = AlignedBuffer::zeroed(len).unwrap();
            assert!(zeroed.iter().all(|&byte| byte == 0));
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
