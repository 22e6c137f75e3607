//! The calls of NCCL and of the CUDA driver, each behind a safe type that gives back what it holds. All of
//! the unsafe code of this crate is here.

use cudarc::driver::result::{self, DriverError, stream::StreamKind};
use cudarc::driver::sys::{self as cuda, CUevent_flags};
use cudarc::nccl::result::{self as calls, NcclError, NcclStatus};
use cudarc::nccl::sys::{self, ncclDataType_t::ncclFloat32, ncclRedOp_t::ncclSum, ncclResult_t};
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::sync::Arc;
use std::time::Duration;

/// The oldest NCCL that sends and receives: 2.7.
const OLDEST: c_int = 2_700;

/// Between two looks at whether the network is done.
const PAUSE: Duration = Duration::from_micros(50);

fn driver<T>(call: &str, result: Result<T, DriverError>) -> Result<T, String> {
    result.map_err(|error| format!("CUDA: {call}: {:?}", error.0))
}

fn nccl<T>(call: &str, result: Result<T, NcclError>) -> Result<T, String> {
    result.map_err(|NcclError(error)| {
        // SAFETY: NCCL gives a text that lives for ever.
        let text = unsafe { CStr::from_ptr(sys::ncclGetErrorString(error)) };
        format!("NCCL: {call}: {}", text.to_string_lossy())
    })
}

fn done(call: &str, result: Result<NcclStatus, NcclError>) -> Result<(), String> {
    nccl(call, result).map(drop)
}

/// That there is a driver and an NCCL that has every call which is made here.
pub(super) fn check() -> Result<(), String> {
    // The bindings panic where there is no library, so both are asked for first.
    // SAFETY: this loads libraries, as every program for GPUs does.
    if !unsafe { cuda::is_culib_present() } {
        return Err("there is no CUDA driver (libcuda.so)".to_string());
    }
    // SAFETY: as above.
    if !unsafe { sys::is_culib_present() } {
        return Err("there is no NCCL (libnccl.so) where libraries are looked for".to_string());
    }
    match nccl("ncclGetVersion", calls::get_nccl_version())? {
        version if version < OLDEST => Err(format!(
            "NCCL {version} cannot send and receive: 2.7 or later is needed"
        )),
        _ => Ok(()),
    }
}

/// What ranks find one another by, made by one of them.
pub(super) fn unique_id() -> Result<Vec<u8>, String> {
    let id = nccl("ncclGetUniqueId", calls::get_uniqueid())?;
    Ok(id.internal.iter().map(|&byte| byte as u8).collect())
}

/// The context of a GPU, which all of a process shares.
pub(super) struct Device {
    context: cuda::CUcontext,
    device: cuda::CUdevice,
}

// SAFETY: a context may be used from any thread that makes it current.
unsafe impl Send for Device {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Device {}

impl Device {
    pub fn open(ordinal: u32) -> Result<Arc<Device>, String> {
        driver("cuInit", result::init())?;
        let device = driver("cuDeviceGet", result::device::get(ordinal as c_int))?;
        // SAFETY: the device is one of the driver's; released when this is dropped.
        let context = unsafe { result::primary_ctx::retain(device) };
        let context = driver("cuDevicePrimaryCtxRetain", context)?;
        Ok(Arc::new(Device { context, device }))
    }

    fn make_current(&self) -> Result<(), String> {
        // SAFETY: the context is retained as long as this lives.
        driver("cuCtxSetCurrent", unsafe {
            result::ctx::set_current(self.context)
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: retained in `open`, and released here alone.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// `f32` on a GPU.
pub(super) struct Memory {
    start: cuda::CUdeviceptr,
    length: usize,
    device: Arc<Device>,
}

impl Memory {
    pub fn new(device: &Arc<Device>, length: usize) -> Result<Memory, String> {
        device.make_current()?;
        // SAFETY: nothing reads it before it is written.
        let start = driver("cuMemAlloc", unsafe { result::malloc_sync(4 * length) })?;
        Ok(Memory {
            start,
            length,
            device: device.clone(),
        })
    }

    fn at(&self, offset: usize, count: usize) -> cuda::CUdeviceptr {
        assert!(offset + count <= self.length, "a piece fits into its slot");
        self.start + 4 * offset as u64
    }

    /// Copies to the GPU; `values` must stay until the stream has been waited for.
    pub fn write(&self, stream: &Stream, offset: usize, values: &[f32]) -> Result<(), String> {
        self.device.make_current()?;
        let to = self.at(offset, values.len());
        // SAFETY: it fits, and whoever calls waits for the stream while `values` is borrowed.
        let copied = unsafe { result::memcpy_htod_async(to, values, stream.handle) };
        driver("cuMemcpyHtoDAsync", copied)
    }

    /// Copies from the GPU; `values` are there when the stream has been waited for.
    pub fn read(&self, stream: &Stream, offset: usize, values: &mut [f32]) -> Result<(), String> {
        self.device.make_current()?;
        let from = self.at(offset, values.len());
        // SAFETY: as in `write`.
        let copied = unsafe { result::memcpy_dtoh_async(values, from, stream.handle) };
        driver("cuMemcpyDtoHAsync", copied)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.device.make_current().is_ok() {
            // SAFETY: allocated in `new`, freed here alone. A lost GPU keeps its memory.
            let _ = unsafe { result::free_sync(self.start) };
        }
    }
}

/// What a GPU does in order.
pub(super) struct Stream {
    handle: cuda::CUstream,
    device: Arc<Device>,
}

// SAFETY: a stream may be used from any thread.
unsafe impl Send for Stream {}

impl Stream {
    pub fn new(device: &Arc<Device>) -> Result<Stream, String> {
        device.make_current()?;
        let handle = driver(
            "cuStreamCreate",
            result::stream::create(StreamKind::NonBlocking),
        )?;
        Ok(Stream {
            handle,
            device: device.clone(),
        })
    }

    /// What comes next waits for what the event was recorded behind; for nothing if it never was.
    pub fn wait(&self, event: &Event) -> Result<(), String> {
        self.device.make_current()?;
        let flags = cuda::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: both live.
        let waits = unsafe { result::stream::wait_event(self.handle, event.handle, flags) };
        driver("cuStreamWaitEvent", waits)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.device.make_current().is_ok() {
            // SAFETY: made in `new`, destroyed here alone.
            let _ = unsafe { result::stream::destroy(self.handle) };
        }
    }
}

/// A place in a stream that others wait for.
pub(super) struct Event {
    handle: cuda::CUevent,
    device: Arc<Device>,
}

// SAFETY: an event may be used from any thread.
unsafe impl Send for Event {}

impl Event {
    pub fn new(device: &Arc<Device>) -> Result<Event, String> {
        device.make_current()?;
        let made = result::event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING);
        Ok(Event {
            handle: driver("cuEventCreate", made)?,
            device: device.clone(),
        })
    }

    pub fn record(&self, stream: &Stream) -> Result<(), String> {
        self.device.make_current()?;
        // SAFETY: both live.
        driver("cuEventRecord", unsafe {
            result::event::record(self.handle, stream.handle)
        })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.device.make_current().is_ok() {
            // SAFETY: made in `new`, destroyed here alone.
            let _ = unsafe { result::event::destroy(self.handle) };
        }
    }
}

/// NCCL's connections of all ranks.
pub(super) struct Comm {
    /// Null once it is given up.
    handle: Cell<sys::ncclComm_t>,
    size: usize,
    device: Arc<Device>,
}

// SAFETY: one thread at a time calls it, on the device that it was made on.
unsafe impl Send for Comm {}

impl Comm {
    pub fn join(device: &Arc<Device>, id: &[u8], rank: usize, size: usize) -> Result<Comm, String> {
        device.make_current()?;
        let mut unique = sys::ncclUniqueId { internal: [0; 128] };
        let bytes = unique.internal.iter_mut().zip(id);
        bytes.for_each(|(place, &byte)| *place = byte as _);
        let mut handle = std::ptr::null_mut();
        let (rank, count) = (rank as c_int, size as c_int);
        // SAFETY: the call writes one handle.
        let joined = unsafe { calls::comm_init_rank(&mut handle, count, unique, rank) };
        done("ncclCommInitRank", joined)?;
        Ok(Comm {
            handle: Cell::new(handle),
            size,
            device: device.clone(),
        })
    }

    /// NCCL's own, with the device's context current.
    fn handle(&self) -> Result<sys::ncclComm_t, String> {
        self.device.make_current()?;
        match self.handle.get() {
            handle if handle.is_null() => Err("NCCL: the ranks have lost one another".to_string()),
            handle => Ok(handle),
        }
    }

    /// Part `i` of `given` goes to rank `i`, each of `count` elements: one group, or ranks would wait for
    /// one another.
    pub fn all_to_all(
        &self,
        given: &Memory,
        received: &Memory,
        count: usize,
        stream: &Stream,
    ) -> Result<(), String> {
        let comm = self.handle()?;
        done("ncclGroupStart", calls::group_start())?;
        let mut all = Ok(());
        for peer in 0..self.size {
            let (from, to) = (
                given.at(peer * count, count),
                received.at(peer * count, count),
            );
            let (rank, stream) = (peer as c_int, stream.handle as sys::cudaStream_t);
            // SAFETY: both parts are inside, and stay until the stream has been waited for.
            let sent = unsafe {
                calls::send(
                    from as *const c_void,
                    count,
                    ncclFloat32,
                    rank,
                    comm,
                    stream,
                )
            };
            all = all.and(done("ncclSend", sent));
            // SAFETY: as above.
            let got =
                unsafe { calls::recv(to as *mut c_void, count, ncclFloat32, rank, comm, stream) };
            all = all.and(done("ncclRecv", got));
        }
        // A group that was begun is ended.
        all.and(done("ncclGroupEnd", calls::group_end()))
    }

    /// `count` elements of each rank, in the order of ranks.
    pub fn all_gather(
        &self,
        given: &Memory,
        received: &Memory,
        count: usize,
        stream: &Stream,
    ) -> Result<(), String> {
        let comm = self.handle()?;
        let (from, to) = (given.at(0, count), received.at(0, count * self.size));
        let stream = stream.handle as sys::cudaStream_t;
        // SAFETY: as in `all_to_all`.
        let gathered = unsafe {
            calls::all_gather(
                from as *const c_void,
                to as *mut c_void,
                count,
                ncclFloat32,
                comm,
                stream,
            )
        };
        done("ncclAllGather", gathered)
    }

    /// The sum over ranks in NCCL's own order.
    pub fn all_reduce(
        &self,
        given: &Memory,
        received: &Memory,
        count: usize,
        stream: &Stream,
    ) -> Result<(), String> {
        let comm = self.handle()?;
        let (from, to) = (given.at(0, count), received.at(0, count));
        let stream = stream.handle as sys::cudaStream_t;
        // SAFETY: as in `all_to_all`.
        let reduced = unsafe {
            calls::all_reduce(
                from as *const c_void,
                to as *mut c_void,
                count,
                ncclFloat32,
                ncclSum,
                comm,
                stream,
            )
        };
        done("ncclAllReduce", reduced)
    }

    /// Waits for a stream, or until NCCL says that a rank is out of reach.
    pub fn wait_for(&self, stream: &Stream) -> Result<(), String> {
        let comm = self.handle()?;
        loop {
            // SAFETY: the stream lives.
            let found = unsafe { cuda::cuStreamQuery(stream.handle) };
            if found != cuda::CUresult::CUDA_ERROR_NOT_READY {
                return driver("cuStreamQuery", found.result());
            }
            let mut error = ncclResult_t::ncclSuccess;
            // SAFETY: the call writes one number.
            let asked = unsafe { sys::ncclCommGetAsyncError(comm, &mut error) };
            done("ncclCommGetAsyncError", asked.result())?;
            if let Err(lost) = done("another rank", error.result()) {
                // Whatever waits for the other rank gives up, and the stream comes to its end.
                // SAFETY: no call is under way.
                let _ = unsafe { calls::comm_abort(self.handle.replace(std::ptr::null_mut())) };
                // SAFETY: the stream lives.
                let _ = unsafe { result::stream::synchronize(stream.handle) };
                return Err(lost);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Comm {
    fn drop(&mut self) {
        if let Ok(handle) = self.handle() {
            // SAFETY: made in `join`; nothing is under way.
            let _ = unsafe { calls::comm_destroy(handle) };
        }
    }
}
