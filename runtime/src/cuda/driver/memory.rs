//! Memory of a device, and memory of the host that a device reads and writes by itself.

use super::{Context, checked};
use crate::cuda::error::CudaError;
use cudarc::driver::result;
use cudarc::driver::sys::{CUdeviceptr, CUresult};
use std::ffi::c_void;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::Arc;

/// A piece of device memory, initially zero.
pub struct Memory {
    start: CUdeviceptr,
    bytes: usize,
    context: Arc<Context>,
}

impl Memory {
    /// Zeroed memory; nothing is asked of the driver for no bytes.
    pub fn zeroed(context: &Arc<Context>, bytes: usize) -> Result<Memory, CudaError> {
        context.make_current()?;
        let mut memory = Memory {
            start: 0,
            bytes,
            context: context.clone(),
        };
        if bytes > 0 {
            // SAFETY: the memory is set below, before anything reads it.
            memory.start = match unsafe { result::malloc_sync(bytes) } {
                Err(error) if error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                    return Err(CudaError::Memory {
                        name: context.info().name.clone(),
                        needed: bytes,
                        free: context.free_bytes()?,
                    });
                }
                result => checked("cuMemAlloc", result)?,
            };
            // SAFETY: the memory has this many bytes.
            let set = unsafe { result::memset_d8_sync(memory.start, 0, bytes) };
            checked("cuMemsetD8", set)?;
            context.synchronize()?;
        }
        Ok(memory)
    }

    /// The device's address of a byte inside or at the end.
    pub fn address(&self, offset: usize) -> u64 {
        assert!(offset <= self.bytes, "{offset} of {} bytes", self.bytes);
        self.start + offset as u64
    }

    /// Copies bytes to the device and waits for it.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), CudaError> {
        let to = self.range(offset..offset + bytes.len());
        if bytes.is_empty() {
            return Ok(());
        }
        self.context.make_current()?;
        // SAFETY: `range` has checked that the bytes are inside.
        checked("cuMemcpyHtoD", unsafe {
            result::memcpy_htod_sync(to, bytes)
        })?;
        self.context.synchronize()
    }

    /// Copies bytes from the device and waits for it.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), CudaError> {
        let from = self.range(offset..offset + bytes.len());
        if bytes.is_empty() {
            return Ok(());
        }
        self.context.make_current()?;
        // SAFETY: `range` has checked that the bytes are inside.
        checked("cuMemcpyDtoH", unsafe {
            result::memcpy_dtoh_sync(bytes, from)
        })
    }

    /// The address of a range, which must be inside.
    pub(super) fn range(&self, range: Range<usize>) -> CUdeviceptr {
        assert!(
            range.start <= range.end && range.end <= self.bytes,
            "{range:?} of {} bytes",
            self.bytes
        );
        self.start + range.start as u64
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.start != 0 && self.context.make_current().is_ok() {
            // SAFETY: allocated in `zeroed`, and freed here alone. A lost device keeps its memory.
            let _ = unsafe { result::free_sync(self.start) };
        }
    }
}

/// Host memory that stays where it is, so that the device copies it without the CPU. Initially
/// zero.
pub struct Pinned {
    start: NonNull<u8>,
    bytes: usize,
    context: Arc<Context>,
}

// SAFETY: the memory is this value's own, and is handed out under the usual borrowing rules.
unsafe impl Send for Pinned {}

impl Pinned {
    pub fn zeroed(context: &Arc<Context>, bytes: usize) -> Result<Pinned, CudaError> {
        context.make_current()?;
        let mut start = NonNull::dangling();
        if bytes > 0 {
            // SAFETY: the memory is set below, before anything reads it.
            let result = unsafe { result::malloc_host(bytes, 0) };
            let address = checked("cuMemHostAlloc", result)?.cast::<u8>();
            // SAFETY: the driver gave this many bytes.
            unsafe { address.write_bytes(0, bytes) };
            start = NonNull::new(address).expect("the driver gives memory or an error");
        }
        Ok(Pinned {
            start,
            bytes,
            context: context.clone(),
        })
    }
}

impl Deref for Pinned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory has this many initialised bytes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl DerefMut for Pinned {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed for as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.bytes > 0 && self.context.make_current().is_ok() {
            // SAFETY: allocated in `zeroed`, and freed here alone.
            let _ = unsafe { result::free_host(self.start.as_ptr().cast::<c_void>()) };
        }
    }
}
