//! Programs for GPUs, executed by the interpreter of PTX: in f32 the bits of the CPU.

mod common;
mod contractions;
mod convolutions;
mod elementwise;
mod gradients;
mod tensor_cores;
