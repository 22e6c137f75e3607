//! The CPU backend.

pub mod microkernel;
