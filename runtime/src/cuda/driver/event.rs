//! Moments on a stream.

use super::{Context, Stream, checked};
use crate::cuda::error::CudaError;
use cudarc::driver::result;
use cudarc::driver::sys::{self, CUevent_flags};
use std::sync::Arc;
use std::time::Duration;

/// A moment on a stream.
pub struct Event {
    handle: sys::CUevent,
    context: Arc<Context>,
}

impl Event {
    /// The moment when everything is done that a stream was given so far.
    pub fn record(stream: &Stream) -> Result<Event, CudaError> {
        let context = stream.context().clone();
        context.make_current()?;
        let handle = checked(
            "cuEventCreate",
            result::event::create(CUevent_flags::CU_EVENT_DEFAULT),
        )?;
        let event = Event { handle, context };
        // SAFETY: event and stream are alive.
        checked("cuEventRecord", unsafe {
            result::event::record(event.handle, stream.handle())
        })?;
        Ok(event)
    }

    /// The time since an earlier event; both must have happened.
    pub fn since(&self, earlier: &Event) -> Result<Duration, CudaError> {
        self.context.make_current()?;
        // SAFETY: both events are alive.
        let elapsed = unsafe { result::event::elapsed(earlier.handle, self.handle) };
        let milliseconds = checked("cuEventElapsedTime", elapsed)?;
        Ok(Duration::from_secs_f64(
            f64::from(milliseconds.max(0.0)) / 1e3,
        ))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.context.make_current().is_ok() {
            // SAFETY: created in `record`, and destroyed here alone.
            let _ = unsafe { result::event::destroy(self.handle) };
        }
    }
}
