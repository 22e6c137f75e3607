//! NVIDIA GPUs: programs in PTX, and the driver that assembles and runs them.
//!
//! [`compile_ptx`] needs no GPU and no driver. Everything else asks for the driver at run time:
//! where there is none, that is an error of one line ([`CudaError::NoDriver`]), and nothing else
//! changes.
//!
//! | file | what is in it |
//! |---|---|
//! | `ptx` | from a function to PTX, with the time of each part |
//! | `driver` | the driver's calls, each behind a safe type: all of the unsafe code |
//! | `code` | a program's kernels, assembled by the driver for one device |
//! | `bound` | a program with its memory on a device |
//! | `manifest`, `export` | a program as data and as files, for other loaders |
//! | `error` | what can go wrong |
//!
//! The driver keeps what it has assembled in a cache, by the text of the PTX and its
//! own version (`~/.nv/ComputeCache`, or where `CUDA_CACHE_PATH` says; `CUDA_CACHE_MAXSIZE` bounds
//! it, `CUDA_CACHE_DISABLE=1` turns it off). A text of PTX is a function of the model and the
//! options alone, so a program that was run before is not assembled again.

mod bound;
mod code;
mod driver;
mod error;
mod export;
mod manifest;
mod ptx;

pub(crate) use bound::CudaBound;
pub(crate) use code::{CudaCode, Gpu};
pub use driver::{GpuInfo, gpu_info};
pub use error::CudaError;
pub use manifest::Manifest;
pub use ptx::{PtxOptions, PtxProgram, compile_ptx};
