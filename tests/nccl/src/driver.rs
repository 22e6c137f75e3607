//! The driver's functions that the collectives call, as `cuda.h` declares them. Memory is the host's.

// What each call expects is the driver's documentation; callers keep to it as they would there.
#![allow(clippy::missing_safety_doc)]
#![allow(non_snake_case)]

use crate::count;
use crate::stream::{Event, Stream, Use};
use std::ffi::{c_int, c_uint};
use std::time::Duration;

const SUCCESS: c_int = 0;
const INVALID_VALUE: c_int = 1;
const NOT_READY: c_int = 600;

/// Before each download.
const DOWNLOAD: Duration = Duration::from_millis(30);

/// An address of the host as a thread's own.
pub struct Address(pub usize);

impl Address {
    /// # Safety
    /// So many numbers must lie there, and nobody else must write them.
    pub unsafe fn read(&self, count: usize) -> Vec<f32> {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.0 as *const f32, count) }.to_vec()
    }

    /// # Safety
    /// As for [`read`](Address::read).
    pub unsafe fn write(&self, values: &[f32]) {
        // SAFETY: the caller's promise.
        unsafe { (self.0 as *mut f32).copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    }
}

/// Copies on a stream.
///
/// # Safety
/// As the driver's.
unsafe fn copy(to: usize, from: usize, bytes: usize, stream: *mut Stream) -> c_int {
    // SAFETY: the caller's promise, here and below.
    let stream = unsafe { &*stream };
    if !stream.is_for(Use::Copies) || to == 0 || from == 0 {
        return INVALID_VALUE;
    }
    let (to, from) = (Address(to), Address(from));
    stream.push(move || unsafe { to.write(&from.read(bytes / 4)) });
    SUCCESS
}

macro_rules! driver {
    ($($name:ident($($argument:ident: $ty:ty),*) $body:block)*) => {
        $(
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $ty),*) -> c_int $body
        )*
    };
}

driver! {
    cuInit(_flags: c_uint) {
        SUCCESS
    }
    cuDeviceGet(device: *mut c_int, ordinal: c_int) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            device.write(ordinal);
            if ordinal == 0 { SUCCESS } else { 101 }
        }
    }
    cuDevicePrimaryCtxRetain(context: *mut usize, _device: c_int) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            count(1);
            context.write(1);
            SUCCESS
        }
    }
    cuDevicePrimaryCtxRelease_v2(_device: c_int) {
        count(-1);
        SUCCESS
    }
    cuCtxSetCurrent(context: usize) {
        if context == 1 { SUCCESS } else { INVALID_VALUE }
    }
    cuMemAlloc_v2(address: *mut usize, bytes: usize) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            count(1);
            // What was never written is no number.
            let memory = vec![f32::NAN; bytes / 4].into_boxed_slice();
            address.write(Box::into_raw(Box::new(memory)) as usize);
            let memory = &mut **(address.read() as *mut Box<[f32]>);
            HELD.lock().unwrap().push((memory.as_ptr() as usize, address.read()));
            address.write(memory.as_ptr() as usize);
            SUCCESS
        }
    }
    cuMemFree_v2(address: usize) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            let mut held = HELD.lock().unwrap();
            let Some(place) = held.iter().position(|(start, _)| *start == address) else {
                return INVALID_VALUE;
            };
            drop(Box::from_raw(held.remove(place).1 as *mut Box<[f32]>));
            count(-1);
            SUCCESS
        }
    }
    cuMemcpyHtoDAsync_v2(to: usize, from: usize, bytes: usize, stream: *mut Stream) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            copy(to, from, bytes, stream)
        }
    }
    cuMemcpyDtoHAsync_v2(to: usize, from: usize, bytes: usize, stream: *mut Stream) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            // The slowest of all: what is downloaded must not be overwritten meanwhile.
            (*stream).push(|| std::thread::sleep(DOWNLOAD));
            copy(to, from, bytes, stream)
        }
    }
    cuStreamCreate(stream: *mut *mut Stream, _flags: c_uint) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            stream.write(Box::into_raw(Box::new(Stream::new())));
            SUCCESS
        }
    }
    cuStreamDestroy_v2(stream: *mut Stream) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            drop(Box::from_raw(stream));
            SUCCESS
        }
    }
    cuStreamQuery(stream: *mut Stream) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            if (*stream).progress.is_idle() { SUCCESS } else { NOT_READY }
        }
    }
    cuStreamSynchronize(stream: *mut Stream) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            let progress = &(*stream).progress;
            progress.wait(progress.given());
            SUCCESS
        }
    }
    cuStreamWaitEvent(stream: *mut Stream, event: *mut Event, _flags: c_uint) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            let recorded = (*event).0.lock().unwrap().clone();
            if let Some((progress, count)) = recorded {
                (*stream).push(move || progress.wait(count));
            }
            SUCCESS
        }
    }
    cuEventCreate(event: *mut *mut Event, _flags: c_uint) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            count(1);
            event.write(Box::into_raw(Box::default()));
            SUCCESS
        }
    }
    cuEventRecord(event: *mut Event, stream: *mut Stream) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            let progress = (*stream).progress.clone();
            let given = progress.given();
            *(*event).0.lock().unwrap() = Some((progress, given));
            SUCCESS
        }
    }
    cuEventDestroy_v2(event: *mut Event) {
        // SAFETY: whoever calls keeps to the driver's documentation.
        unsafe {
            drop(Box::from_raw(event));
            count(-1);
            SUCCESS
        }
    }
}

/// Addresses of memory, and what they are part of.
static HELD: std::sync::Mutex<Vec<(usize, usize)>> = std::sync::Mutex::new(Vec::new());
