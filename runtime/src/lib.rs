//! Buffers, worker threads, programs and checkpoints.

pub mod atomic_file;
pub mod buffer;
pub mod checkpoint;
pub mod tensor_data;
pub mod threads;
