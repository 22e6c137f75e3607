//! Buffers, worker threads, programs and checkpoints.
