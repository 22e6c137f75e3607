//! Whole programs at random, and the same program in every way there is.
//!
//! [`generate`](generate::generate) makes a well-typed program over all ops from a stream of
//! [`Choices`]; [`check`] compares what the evaluator makes of it with what it
//! gives compiled: exact or not, for every family of CPUs, with one thread and two, twice in a row,
//! and as PTX in the interpreter. [`shrink()`](shrink::shrink) makes a find small, and
//! [`mod@file`] keeps it as text that is replayed.
//!
//! A property test, a fuzzer (`fuzz/`) and a program for long runs
//! (`tests/examples/fuzz_programs.rs`) all drive the same three.

pub mod choices;
pub mod file;
mod finish;
pub mod generate;
pub mod oracle;
mod panics;
pub mod search;
mod shapes;
pub mod shrink;
mod steps;
mod tolerance;
pub mod values;

pub use choices::Choices;
pub use generate::{Limits, generate};
pub use oracle::{Failure, Way, check};

use bsq_ir::Function;
use bsq_ir::eval::Values;

/// A function with a value for each input and parameter.
#[derive(Clone, Debug)]
pub struct Program {
    pub function: Function,
    pub inputs: Values,
    pub parameters: Values,
}
