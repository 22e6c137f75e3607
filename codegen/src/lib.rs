//! Schedule, Kernel IR, memory plan and the CPU backend.

pub mod cpu;
pub mod interpret;
pub mod kernel;
pub mod lower;
pub mod memory;
pub mod pipeline;
pub mod program;
pub mod ptx;
pub mod schedule;
