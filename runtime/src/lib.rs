//! Buffers, worker threads, programs and checkpoints.

pub mod threads;
