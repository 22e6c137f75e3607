//! The driver's functions, as `cuda.h` declares them. Handles are numbers in the place of
//! pointers.

// What each call expects is the driver's documentation; callers keep to it as they would there.
#![allow(clippy::missing_safety_doc)]
#![allow(non_snake_case)]

use crate::gpu::*;
use crate::trouble::Trouble;
use std::alloc::{Layout, alloc, dealloc};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// An address or a handle.
type Handle = usize;

const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
const COMPUTE_CAPABILITY_MINOR: c_int = 76;
const MULTIPROCESSOR_COUNT: c_int = 16;
const MAX_DYNAMIC_SHARED: c_int = 8;
const ERROR_LOG_BUFFER: c_int = 5;
/// CUDA 12.4.
const VERSION: c_int = 12_040;

/// Runs a call on the GPU and gives its number.
fn call(body: impl FnOnce(&mut Gpu) -> Result<(), i32>) -> c_int {
    let mut gpu = Gpu::get();
    let gpu = gpu.as_mut().expect("there is a GPU");
    match body(gpu) {
        Ok(()) => SUCCESS,
        Err(number) => number,
    }
}

/// A call that gives a value.
///
/// # Safety
/// `to` must be writable.
unsafe fn giving<T>(to: *mut T, body: impl FnOnce(&mut Gpu) -> Result<T, i32>) -> c_int {
    call(|gpu| {
        let value = body(gpu)?;
        // SAFETY: the caller's promise.
        unsafe { to.write(value) };
        Ok(())
    })
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
        call(|gpu| match gpu.trouble {
            Trouble::Stub => Err(STUB_LIBRARY),
            Trouble::NoDevice => Err(NO_DEVICE),
            _ => Ok(()),
        })
    }
    cuDriverGetVersion(version: *mut c_int) {
        // SAFETY: the caller's promise, here and below.
        unsafe { giving(version, |gpu| match gpu.trouble {
            Trouble::Stub => Err(STUB_LIBRARY),
            Trouble::OldDriver => Ok(11_020),
            _ => Ok(VERSION),
        }) }
    }
    cuDeviceGetCount(count: *mut c_int) {
        unsafe { giving(count, |_| Ok(1)) }
    }
    cuDeviceGet(device: *mut c_int, ordinal: c_int) {
        unsafe { giving(device, |_| match ordinal {
            0 => Ok(0),
            _ => Err(NO_DEVICE),
        }) }
    }
    cuDeviceGetName(name: *mut c_char, length: c_int, _device: c_int) {
        let text = b"interpreted GPU\0";
        assert!(length as usize >= text.len());
        unsafe { name.copy_from_nonoverlapping(text.as_ptr().cast(), text.len()) };
        SUCCESS
    }
    cuDeviceTotalMem_v2(bytes: *mut usize, _device: c_int) {
        unsafe { giving(bytes, |_| Ok(TOTAL_BYTES)) }
    }
    cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, _device: c_int) {
        unsafe { giving(value, |gpu| match attribute {
            COMPUTE_CAPABILITY_MAJOR if gpu.trouble == Trouble::OldDevice => Ok(7),
            COMPUTE_CAPABILITY_MINOR if gpu.trouble == Trouble::OldDevice => Ok(5),
            COMPUTE_CAPABILITY_MAJOR => Ok(8),
            COMPUTE_CAPABILITY_MINOR => Ok(6),
            MULTIPROCESSOR_COUNT => Ok(2),
            _ => Err(INVALID_VALUE),
        }) }
    }
    cuDevicePrimaryCtxRetain(context: *mut Handle, _device: c_int) {
        unsafe { giving(context, |gpu| {
            gpu.retained += 1;
            Ok(1)
        }) }
    }
    cuDevicePrimaryCtxRelease_v2(_device: c_int) {
        call(|gpu| {
            gpu.retained = gpu.retained.checked_sub(1).ok_or(INVALID_VALUE)?;
            // What a lost device holds cannot be given back.
            if gpu.retained == 0 && gpu.alive().is_ok() && gpu.left() > 0 {
                eprintln!("test driver: {} things were not given back", gpu.left());
            }
            Ok(())
        })
    }
    cuCtxSetCurrent(context: Handle) {
        call(|gpu| match context == 1 && gpu.retained > 0 {
            true => gpu.alive(),
            false => Err(INVALID_HANDLE),
        })
    }
    cuCtxSynchronize() {
        call(|gpu| gpu.alive())
    }
    cuMemGetInfo_v2(free: *mut usize, total: *mut usize) {
        unsafe {
            giving(total, |_| Ok(TOTAL_BYTES));
            giving(free, |gpu| Ok(gpu.free_bytes()))
        }
    }
    cuMemAlloc_v2(address: *mut u64, bytes: usize) {
        unsafe { giving(address, |gpu| gpu.allocate(bytes)) }
    }
    cuMemFree_v2(address: u64) {
        call(|gpu| gpu.free(address))
    }
    cuMemHostAlloc(address: *mut Handle, bytes: usize, _flags: c_uint) {
        unsafe { giving(address, |gpu| {
            let layout = Layout::from_size_align(bytes, 4096).map_err(|_| INVALID_VALUE)?;
            if bytes == 0 {
                return Err(INVALID_VALUE);
            }
            let start = alloc(layout).expose_provenance();
            gpu.pinned.insert(start, bytes);
            Ok(start)
        }) }
    }
    cuMemFreeHost(address: Handle) {
        call(|gpu| {
            let bytes = gpu.pinned.remove(&address).ok_or(INVALID_VALUE)?;
            let layout = Layout::from_size_align(bytes, 4096).map_err(|_| INVALID_VALUE)?;
            unsafe { dealloc(std::ptr::with_exposed_provenance_mut(address), layout) };
            Ok(())
        })
    }
    cuMemsetD8_v2(address: u64, value: u8, bytes: usize) {
        call(|gpu| gpu.write(address, &vec![value; bytes]))
    }
    cuMemcpyHtoD_v2(to: u64, from: *const u8, bytes: usize) {
        let from = unsafe { std::slice::from_raw_parts(from, bytes) };
        call(|gpu| gpu.write(to, from))
    }
    cuMemcpyDtoH_v2(to: *mut u8, from: u64, bytes: usize) {
        call(|gpu| {
            let data = gpu.read(from, bytes)?;
            unsafe { to.copy_from_nonoverlapping(data.as_ptr(), bytes) };
            Ok(())
        })
    }
    cuMemcpyHtoDAsync_v2(to: u64, from: *const u8, bytes: usize, stream: Handle) {
        if !is_pinned(from.addr(), bytes) || !is_stream(stream) {
            return INVALID_VALUE;
        }
        unsafe { cuMemcpyHtoD_v2(to, from, bytes) }
    }
    cuMemcpyDtoHAsync_v2(to: *mut u8, from: u64, bytes: usize, stream: Handle) {
        if !is_pinned(to.addr(), bytes) || !is_stream(stream) {
            return INVALID_VALUE;
        }
        unsafe { cuMemcpyDtoH_v2(to, from, bytes) }
    }
    cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) {
        unsafe { cuMemcpyDtoDAsync_v2(to, from, bytes, 0) }
    }
    cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) {
        if !is_stream(stream) {
            return INVALID_HANDLE;
        }
        call(|gpu| gpu.give(Work::Copy { to, from, bytes }))
    }
    cuModuleLoadData(module: *mut Handle, image: *const c_char) {
        unsafe { cuModuleLoadDataEx(module, image, 0, std::ptr::null(), std::ptr::null()) }
    }
    cuModuleLoadDataEx(
        module: *mut Handle,
        image: *const c_char,
        count: c_uint,
        options: *const c_int,
        values: *const *mut c_void
    ) {
        let text = unsafe { CStr::from_ptr(image) };
        let loaded = unsafe { giving(module, |gpu| {
            gpu.load(text.to_str().map_err(|_| INVALID_PTX)?)
        }) };
        for option in 0..count as usize {
            if loaded == INVALID_PTX && unsafe { *options.add(option) } == ERROR_LOG_BUFFER {
                let log = b"ptxas application ptx input, line 7; error: a mistake\n\0";
                let to = unsafe { *values.add(option) }.cast::<u8>();
                unsafe { to.copy_from_nonoverlapping(log.as_ptr(), log.len()) };
            }
        }
        loaded
    }
    cuModuleGetFunction(function: *mut Handle, module: Handle, name: *const c_char) {
        let name = unsafe { CStr::from_ptr(name) };
        unsafe { giving(function, |gpu| {
            match gpu.function(module)?.name.as_bytes() == name.to_bytes() {
                true => Ok(module),
                false => Err(INVALID_VALUE),
            }
        }) }
    }
    cuModuleUnload(module: Handle) {
        call(|gpu| {
            gpu.function(module)?;
            gpu.functions[module - 1] = None;
            Ok(())
        })
    }
    cuFuncSetAttribute(function: Handle, attribute: c_int, value: c_int) {
        call(|gpu| {
            let function = gpu.function(function)?;
            match attribute == MAX_DYNAMIC_SHARED && value <= MOST_SHARED {
                true => function.allowed_shared = value,
                false => return Err(INVALID_VALUE),
            }
            Ok(())
        })
    }
    cuLaunchKernel(
        function: Handle,
        blocks_x: c_uint,
        blocks_y: c_uint,
        blocks_z: c_uint,
        threads_x: c_uint,
        threads_y: c_uint,
        threads_z: c_uint,
        shared: c_uint,
        stream: Handle,
        parameters: *const *const u64,
        _extra: *const c_void
    ) {
        if !is_stream(stream) {
            return INVALID_HANDLE;
        }
        call(|gpu| {
            let count = gpu.function(function)?.parameters;
            let value = |at| unsafe { **parameters.add(at) };
            gpu.give(Work::Launch {
                function,
                blocks: [blocks_x, blocks_y, blocks_z],
                threads: [threads_x, threads_y, threads_z],
                shared,
                arguments: (0..count).map(value).collect(),
            })
        })
    }
    cuStreamCreate(stream: *mut Handle, _flags: c_uint) {
        unsafe { giving(stream, |gpu| {
            gpu.streams.push(true);
            Ok(gpu.streams.len())
        }) }
    }
    cuStreamDestroy_v2(stream: Handle) {
        call(|gpu| give_back(&mut gpu.streams, stream))
    }
    cuStreamSynchronize(stream: Handle) {
        if !is_stream(stream) {
            return INVALID_HANDLE;
        }
        call(|gpu| match gpu.recording {
            Some(_) => Err(CAPTURE_INVALIDATED),
            None => gpu.alive(),
        })
    }
    cuStreamBeginCapture_v2(_stream: Handle, _mode: c_uint) {
        call(|gpu| {
            gpu.alive()?;
            if gpu.trouble == Trouble::NoRecording {
                return Err(NOT_SUPPORTED);
            }
            gpu.recording = Some(Vec::new());
            Ok(())
        })
    }
    cuStreamEndCapture(_stream: Handle, graph: *mut Handle) {
        unsafe { giving(graph, |gpu| {
            let recorded = gpu.recording.take().ok_or(CAPTURE_INVALIDATED)?;
            gpu.graphs.push(Some(recorded));
            Ok(gpu.graphs.len())
        }) }
    }
    cuGraphInstantiateWithFlags(executable: *mut Handle, graph: Handle, _flags: u64) {
        unsafe { giving(executable, |gpu| {
            let recorded = gpu.graphs[graph - 1].clone().ok_or(INVALID_HANDLE)?;
            gpu.graphs.push(Some(recorded));
            Ok(gpu.graphs.len())
        }) }
    }
    cuGraphLaunch(executable: Handle, stream: Handle) {
        if !is_stream(stream) {
            return INVALID_HANDLE;
        }
        call(|gpu| {
            let recorded = gpu.graphs[executable - 1].clone().ok_or(INVALID_HANDLE)?;
            recorded.iter().try_for_each(|work| gpu.work(work))
        })
    }
    cuGraphExecDestroy(executable: Handle) {
        call(|gpu| gpu.graphs[executable - 1].take().map(drop).ok_or(INVALID_HANDLE))
    }
    cuGraphDestroy(graph: Handle) {
        call(|gpu| gpu.graphs[graph - 1].take().map(drop).ok_or(INVALID_HANDLE))
    }
    cuEventCreate(event: *mut Handle, _flags: c_uint) {
        unsafe { giving(event, |gpu| {
            gpu.events.push(true);
            Ok(gpu.events.len())
        }) }
    }
    cuEventRecord(_event: Handle, stream: Handle) {
        match is_stream(stream) {
            true => SUCCESS,
            false => INVALID_HANDLE,
        }
    }
    cuEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle) {
        unsafe { giving(milliseconds, |_| Ok((end as f32 - start as f32) * 0.001)) }
    }
    cuEventDestroy_v2(event: Handle) {
        call(|gpu| give_back(&mut gpu.events, event))
    }
    cuGetErrorName(number: c_int, name: *mut *const c_char) {
        let text: &CStr = match number {
            ILLEGAL_ADDRESS => c"CUDA_ERROR_ILLEGAL_ADDRESS",
            _ => c"CUDA_ERROR",
        };
        unsafe { name.write(text.as_ptr()) };
        SUCCESS
    }
    cuGetErrorString(number: c_int, name: *mut *const c_char) {
        let text: &CStr = match number {
            ILLEGAL_ADDRESS => c"an illegal memory access was encountered",
            _ => c"something is wrong",
        };
        unsafe { name.write(text.as_ptr()) };
        SUCCESS
    }
}

/// The stream that is always there is for those who make none: beside others it would wait for
/// them, or not.
fn is_stream(stream: Handle) -> bool {
    let gpu = Gpu::get();
    if stream == 0 {
        return gpu.as_ref().is_some_and(|gpu| gpu.streams.is_empty());
    }
    let streams = gpu.as_ref().map(|gpu| &gpu.streams);
    let alive = streams.and_then(|streams| streams.get(stream.checked_sub(1)?));
    alive.copied().unwrap_or(false)
}

/// Copies that do not wait must not be of memory that the system may move.
fn is_pinned(address: usize, bytes: usize) -> bool {
    let gpu = Gpu::get();
    let found = gpu
        .as_ref()
        .and_then(|gpu| gpu.pinned.range(..=address).next_back());
    found.is_some_and(|(start, size)| address + bytes <= start + size)
}

fn give_back(list: &mut [bool], handle: Handle) -> Result<(), i32> {
    let alive = handle.checked_sub(1).and_then(|at| list.get_mut(at));
    match alive {
        Some(alive) if *alive => {
            *alive = false;
            Ok(())
        }
        _ => Err(INVALID_HANDLE),
    }
}
