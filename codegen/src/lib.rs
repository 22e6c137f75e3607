//! Schedule, Kernel IR, memory plan and the CPU backend.

pub mod cpu;
pub mod kernel;
