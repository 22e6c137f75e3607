//! The driver's calls, each behind a safe type that gives back what it holds. With the kernels'
//! launch in [`stream`], all of the unsafe code for GPUs is in this folder.

mod event;
mod memory;
mod module;
mod stream;

pub use event::Event;
pub use memory::{Memory, Pinned};
pub use module::Function;
pub use stream::{Graph, Launch, Stream};

use super::error::{CudaError, DriverMessage};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUresult};
use std::sync::Arc;

/// The oldest driver that has every call which is made here: CUDA 11.4.
const OLDEST: i32 = 11_040;

/// What is known of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuInfo {
    pub name: String,
    /// Compute capability times ten.
    pub capability: u32,
    pub multiprocessors: u32,
    pub total_bytes: usize,
    /// The driver's version of CUDA, as 1000 times the major and 10 times the minor version.
    pub driver: i32,
}

/// A device's context: the one that all of a process shares.
pub struct Context {
    handle: sys::CUcontext,
    device: sys::CUdevice,
    info: GpuInfo,
}

// SAFETY: the driver's calls may be made from any thread, if the context is made current first.
unsafe impl Send for Context {}
// SAFETY: as above; nothing in a context changes here.
unsafe impl Sync for Context {}

/// What is known of a GPU that programs can run on.
///
/// # Errors
/// Without a driver, a GPU of that number, or where either is too old.
pub fn gpu_info(ordinal: u32) -> Result<GpuInfo, CudaError> {
    Ok(Context::open(ordinal)?.info.clone())
}

impl Context {
    pub fn open(ordinal: u32) -> Result<Arc<Context>, CudaError> {
        // The bindings panic where there is no library, so it is asked for first.
        // SAFETY: this loads libcuda, as every program for GPUs does.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::NoDriver);
        }
        let mut driver = 0;
        // SAFETY: the call writes one integer; every driver has it.
        let version = unsafe { sys::cuDriverGetVersion(&mut driver) };
        started(version.result())?;
        // Bindings panic at a call that a driver lacks: an old one is refused before any.
        if driver < OLDEST {
            return Err(CudaError::OldDriver {
                version: driver,
                oldest: OLDEST,
            });
        }
        match result::init() {
            // Some drivers say so at once instead of counting none.
            Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => {
                return Err(CudaError::NoDevice { ordinal, count: 0 });
            }
            result => started(result)?,
        }
        let count = checked("cuDeviceGetCount", result::device::get_count())?;
        let count = u32::try_from(count).unwrap_or(0);
        if ordinal >= count {
            return Err(CudaError::NoDevice { ordinal, count });
        }
        let device = checked("cuDeviceGet", result::device::get(ordinal as i32))?;
        let info = describe(device, driver)?;
        if info.capability < 80 {
            return Err(CudaError::Capability {
                name: info.name,
                capability: info.capability,
            });
        }
        // SAFETY: the device was given by the driver.
        let handle = unsafe { result::primary_ctx::retain(device) };
        let context = Context {
            handle: checked("cuDevicePrimaryCtxRetain", handle)?,
            device,
            info,
        };
        context.make_current()?;
        Ok(Arc::new(context))
    }

    pub fn info(&self) -> &GpuInfo {
        &self.info
    }

    /// What follows on this thread is for this context.
    pub fn make_current(&self) -> Result<(), CudaError> {
        // SAFETY: the context is alive as long as this is.
        checked("cuCtxSetCurrent", unsafe {
            result::ctx::set_current(self.handle)
        })
    }

    /// Waits for everything. Calls that set or upload memory return before the device is done, and
    /// the streams here do not wait for it.
    fn synchronize(&self) -> Result<(), CudaError> {
        checked("cuCtxSynchronize", result::ctx::synchronize())
    }

    /// Bytes that can be had now.
    pub fn free_bytes(&self) -> Result<usize, CudaError> {
        self.make_current()?;
        Ok(checked("cuMemGetInfo", result::mem_get_info())?.0)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once in `open`. A lost device cannot give anything back.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

fn describe(device: sys::CUdevice, driver: i32) -> Result<GpuInfo, CudaError> {
    use sys::CUdevice_attribute as Attribute;
    let attribute = |which| {
        // SAFETY: the device was given by the driver.
        let value = unsafe { result::device::get_attribute(device, which) };
        let value = checked("cuDeviceGetAttribute", value)?;
        Ok::<u32, CudaError>(u32::try_from(value).unwrap_or(0))
    };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    Ok(GpuInfo {
        name: checked("cuDeviceGetName", result::device::get_name(device))?,
        capability: 10 * major + minor,
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        // SAFETY: the device was given by the driver.
        total_bytes: checked("cuDeviceTotalMem", unsafe {
            result::device::total_mem(device)
        })?,
        driver,
    })
}

/// What the first calls say of a driver that does not start.
fn started(result: Result<(), DriverError>) -> Result<(), CudaError> {
    match result {
        Ok(()) => Ok(()),
        // What toolkits install in the place of a driver, to link with.
        Err(DriverError(CUresult::CUDA_ERROR_STUB_LIBRARY)) => Err(CudaError::NoDriver),
        Err(error) => Err(CudaError::Start(message(error))),
    }
}

/// The result of a call, its error by what it means.
fn checked<T>(call: &'static str, result: Result<T, DriverError>) -> Result<T, CudaError> {
    result.map_err(|error| {
        let message = message(error);
        match is_sticky(error.0) {
            true => CudaError::Lost { call, message },
            false => CudaError::Call { call, message },
        }
    })
}

fn message(error: DriverError) -> DriverMessage {
    let name = error.error_name();
    let text = error.error_string();
    DriverMessage {
        name: name.map_or_else(
            |_| format!("{:?}", error.0),
            |name| name.to_string_lossy().into_owned(),
        ),
        text: text.map_or_else(
            |_| "unknown error".to_string(),
            |text| text.to_string_lossy().into_owned(),
        ),
    }
}

/// Errors after which the driver refuses every call of this process on that device.
fn is_sticky(code: CUresult) -> bool {
    matches!(
        code,
        CUresult::CUDA_ERROR_DEINITIALIZED
            | CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE
            | CUresult::CUDA_ERROR_ECC_UNCORRECTABLE
            | CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
            | CUresult::CUDA_ERROR_LAUNCH_TIMEOUT
            | CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED
            | CUresult::CUDA_ERROR_ASSERT
            | CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS
            | CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUresult::CUDA_ERROR_INVALID_PC
            | CUresult::CUDA_ERROR_LAUNCH_FAILED
            | CUresult::CUDA_ERROR_EXTERNAL_DEVICE
            | CUresult::CUDA_ERROR_UNKNOWN
    )
}
