//! The CPU backend.

pub mod clif;
pub mod microkernel;
mod simd;
