//! Buffers, worker threads, programs and checkpoints.

pub mod buffer;
pub mod tensor_data;
pub mod threads;
