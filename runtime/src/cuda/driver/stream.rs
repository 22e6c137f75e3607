//! A stream: copies and launches that follow one another, and their recording as a graph.

use super::{Context, Function, Memory, Pinned, checked};
use crate::cuda::error::CudaError;
use cudarc::driver::result::{self, stream};
use cudarc::driver::sys::{self, CUgraphInstantiate_flags, CUstreamCaptureMode};
use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;

/// Work that is done in order.
pub struct Stream {
    handle: sys::CUstream,
    context: Arc<Context>,
}

// SAFETY: a stream may be used from any thread, if its context is made current first.
unsafe impl Send for Stream {}

/// A launch, complete but for the kernel.
#[derive(Clone, Debug)]
pub struct Launch {
    pub blocks: u32,
    pub threads: u32,
    pub dynamic_shared_bytes: u32,
    /// Addresses, in the order of the kernel's parameters.
    pub arguments: Vec<u64>,
}

impl Stream {
    pub fn new(context: &Arc<Context>) -> Result<Stream, CudaError> {
        context.make_current()?;
        let handle = checked(
            "cuStreamCreate",
            stream::create(stream::StreamKind::NonBlocking),
        )?;
        Ok(Stream {
            handle,
            context: context.clone(),
        })
    }

    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) fn handle(&self) -> sys::CUstream {
        self.handle
    }

    /// Starts a copy to the device.
    ///
    /// # Safety
    /// `from` must neither change nor be dropped before [`wait`](Self::wait) has returned.
    pub unsafe fn write(&self, to: &Memory, offset: usize, from: &Pinned) -> Result<(), CudaError> {
        let to = to.range(offset..offset + from.len());
        if from.is_empty() {
            return Ok(());
        }
        // SAFETY: `range` has checked that the bytes are inside; the caller keeps them.
        checked("cuMemcpyHtoDAsync", unsafe {
            result::memcpy_htod_async(to, from, self.handle)
        })
    }

    /// Starts a copy from the device to `range` of the host's memory.
    ///
    /// # Safety
    /// `to` must neither be read nor be dropped before [`wait`](Self::wait) has returned.
    pub unsafe fn read(
        &self,
        from: &Memory,
        offset: usize,
        to: &mut Pinned,
        range: Range<usize>,
    ) -> Result<(), CudaError> {
        let to = &mut to[range];
        let from = from.range(offset..offset + to.len());
        if to.is_empty() {
            return Ok(());
        }
        // SAFETY: `range` has checked that the bytes are inside; the caller keeps them.
        checked("cuMemcpyDtoHAsync", unsafe {
            result::memcpy_dtoh_async(to, from, self.handle)
        })
    }

    /// Starts a copy on the device.
    ///
    /// # Safety
    /// Both addresses must have `bytes` bytes of memory that lives until [`wait`](Self::wait)
    /// has returned.
    pub unsafe fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller's promise.
        checked("cuMemcpyDtoDAsync", unsafe {
            result::memcpy_dtod_async(to, from, bytes, self.handle)
        })
    }

    /// Starts a kernel.
    ///
    /// # Safety
    /// The arguments must be as many as the kernel has parameters, each with the bytes that the
    /// kernel reads or writes there, until [`wait`](Self::wait) has returned.
    pub unsafe fn launch(&self, function: &Function, launch: &Launch) -> Result<(), CudaError> {
        if launch.blocks == 0 {
            return Ok(());
        }
        let arguments = launch.arguments.iter();
        let arguments = arguments.map(|address| std::ptr::from_ref(address).cast_mut().cast());
        let mut arguments: Vec<*mut c_void> = arguments.collect();
        // SAFETY: the function is loaded; the driver copies the arguments before it returns; the
        // rest is the caller's promise.
        checked("cuLaunchKernel", unsafe {
            result::launch_kernel(
                function.handle,
                (launch.blocks, 1, 1),
                (launch.threads, 1, 1),
                launch.dynamic_shared_bytes,
                self.handle,
                &mut arguments,
            )
        })
    }

    /// Waits until everything is done.
    pub fn wait(&self) -> Result<(), CudaError> {
        // SAFETY: the stream is alive.
        checked("cuStreamSynchronize", unsafe {
            stream::synchronize(self.handle)
        })
    }

    /// Records what `work` gives this stream, without doing it.
    pub fn record(
        &self,
        work: impl FnOnce(&Stream) -> Result<(), CudaError>,
    ) -> Result<Graph, CudaError> {
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive.
        checked("cuStreamBeginCapture", unsafe {
            stream::begin_capture(self.handle, mode)
        })?;
        let given = work(self);
        // Recording ends whatever happened, or the stream could never be used again.
        // SAFETY: the stream is alive and recording.
        let recorded = checked("cuStreamEndCapture", unsafe {
            stream::end_capture(self.handle)
        });
        given?;
        let mut graph = Graph {
            handle: recorded?,
            executable: std::ptr::null_mut(),
            context: self.context.clone(),
        };
        // SAFETY: the graph was recorded above.
        graph.executable = checked("cuGraphInstantiate", unsafe {
            result::graph::instantiate(graph.handle, CUgraphInstantiate_flags(0))
        })?;
        Ok(graph)
    }

    /// Starts everything that was recorded.
    ///
    /// # Safety
    /// What was promised for each part when it was recorded must hold now.
    pub unsafe fn replay(&self, graph: &Graph) -> Result<(), CudaError> {
        // SAFETY: graph and stream are alive; the rest is the caller's promise.
        checked("cuGraphLaunch", unsafe {
            result::graph::launch(graph.executable, self.handle)
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.context.make_current().is_ok() {
            // SAFETY: created in `new`, and destroyed here alone.
            let _ = unsafe { stream::destroy(self.handle) };
        }
    }
}

/// Recorded work.
pub struct Graph {
    handle: sys::CUgraph,
    executable: sys::CUgraphExec,
    context: Arc<Context>,
}

// SAFETY: a graph is used by one thread at a time, as it is owned by what runs it.
unsafe impl Send for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        if self.context.make_current().is_err() {
            return;
        }
        if !self.executable.is_null() {
            // SAFETY: instantiated in `record`, and destroyed here alone.
            let _ = unsafe { result::graph::exec_destroy(self.executable) };
        }
        if !self.handle.is_null() {
            // SAFETY: recorded in `record`, and destroyed here alone.
            let _ = unsafe { result::graph::destroy(self.handle) };
        }
    }
}
