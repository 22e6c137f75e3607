//! Buffers, worker threads, GPUs, programs and checkpoints.

pub mod atomic_file;
pub mod buffer;
pub mod checkpoint;
pub mod cuda;
pub mod device;
pub mod names;
pub mod program;
pub mod tensor_data;
pub mod threads;

pub use bsq_codegen::lower::Precision;
pub use device::Device;
pub use program::{CompileOptions, Executable, Outputs, ProgramError, Session, compile};
pub use tensor_data::HostTensor;
