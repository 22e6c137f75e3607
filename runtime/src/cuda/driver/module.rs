//! Kernels, assembled by the driver.

use super::{Context, checked};
use crate::cuda::error::CudaError;
use bsq_codegen::ptx::Entry;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUfunction_attribute, CUjit_option, CUresult};
use std::ffi::{CString, c_void};
use std::sync::Arc;

/// Bytes of the assembler's complaints that are kept.
const LOG_BYTES: usize = 4096;

/// A kernel that can be launched.
pub struct Function {
    pub(super) handle: sys::CUfunction,
    module: sys::CUmodule,
    context: Arc<Context>,
}

// SAFETY: handles may be used from any thread, if their context is made current first.
unsafe impl Send for Function {}
// SAFETY: as above; a loaded function does not change.
unsafe impl Sync for Function {}

impl Function {
    /// Has the driver assemble an entry, or find it in its cache.
    pub fn load(context: &Arc<Context>, entry: &Entry) -> Result<Function, CudaError> {
        context.make_current()?;
        let invalid = |log: &str| CudaError::InvalidPtx {
            kernel: entry.name.clone(),
            log: log.to_string(),
        };
        let text = CString::new(&*entry.text).map_err(|_| invalid("a zero byte in the text"))?;
        let mut log = vec![0u8; LOG_BYTES];
        let mut options = [
            CUjit_option::CU_JIT_ERROR_LOG_BUFFER,
            CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
        ];
        // A size is passed in the place of a pointer.
        let mut values = [
            log.as_mut_ptr().cast::<c_void>(),
            std::ptr::without_provenance_mut(LOG_BYTES),
        ];
        let mut module = std::ptr::null_mut();
        // SAFETY: the text ends with a zero; options and values are as many as is said, and the
        // log is as long as is said.
        let loaded = unsafe {
            sys::cuModuleLoadDataEx(
                &mut module,
                text.as_ptr().cast(),
                options.len() as u32,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        };
        match loaded.result() {
            Err(DriverError(CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION)) => {
                return Err(CudaError::UnsupportedPtx {
                    version: context.info().driver,
                });
            }
            Err(DriverError(
                CUresult::CUDA_ERROR_INVALID_PTX
                | CUresult::CUDA_ERROR_INVALID_SOURCE
                | CUresult::CUDA_ERROR_INVALID_IMAGE
                | CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU,
            )) => {
                let end = log.iter().position(|&byte| byte == 0);
                let text = String::from_utf8_lossy(&log[..end.unwrap_or(LOG_BYTES)]);
                return Err(invalid(match text.trim() {
                    "" => "it says nothing more",
                    text => text,
                }));
            }
            result => checked("cuModuleLoadDataEx", result)?,
        }
        let mut function = Function {
            handle: std::ptr::null_mut(),
            module,
            context: context.clone(),
        };
        let name = CString::new(&*entry.name).map_err(|_| invalid("a zero byte in the name"))?;
        // SAFETY: the module was loaded above.
        let handle = unsafe { result::module::get_function(module, name) };
        function.handle = checked("cuModuleGetFunction", handle)?;
        if entry.dynamic_shared_bytes > 0 {
            let most = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let bytes = entry.dynamic_shared_bytes as i32;
            // SAFETY: the function was found above.
            let set =
                unsafe { result::function::set_function_attribute(function.handle, most, bytes) };
            checked("cuFuncSetAttribute", set)?;
        }
        Ok(function)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        if self.context.make_current().is_ok() {
            // SAFETY: loaded in `load`, and unloaded here alone.
            let _ = unsafe { result::module::unload(self.module) };
        }
    }
}
