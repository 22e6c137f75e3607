//! Why a function is none of a batch, and what a run of a batch may not be given.

use crate::program::ProgramError;
use crate::tensor_data::TensorError;
use bsq_ir::{Type, TypeError};

/// Why a function cannot serve batches of any size, or a batch cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// A function cannot be compiled, a parameter or an input is missing or unknown, or a run fails.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A tensor cannot be held.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// An op makes of one sample what another sample has a part in, or depends on the batch's size.
    #[error("samples of a batch must not depend on each other\n  {0}")]
    Mixed(TypeError),
    /// No size was given, or a batch of no samples.
    #[error("batches of no samples")]
    NoSamples,
    /// No input's type has the batch in it.
    #[error("no input has an axis whose extent is the batch's: the function of {size} and of {} have the same inputs", .size + 1)]
    NoInput { size: usize },
    /// Inputs, outputs or parameters have other names in another batch.
    #[error("the functions of {size} and {other} have different {kind}s: {names} and {others}")]
    Names {
        kind: &'static str,
        size: usize,
        other: usize,
        names: String,
        others: String,
    },
    /// A type does not follow the batch along one axis.
    #[error("{kind} `{name}` is {one} in a batch of {size} and {two} in one of {other}: {what}")]
    Follows {
        kind: &'static str,
        name: String,
        one: Type,
        two: Type,
        size: usize,
        other: usize,
        what: &'static str,
    },
    /// A number in the function is computed from the batch's size.
    #[error(
        "the functions of {size} and {other} differ in their constants: a number such as 1 / batch would be that of another batch; give it as an input"
    )]
    Constants { size: usize, other: usize },
    /// The function updates parameters.
    #[error(
        "the function updates `{name}`: a batch that is filled up would count its last sample several times; for the last batch of a training, give weights of samples as an input (0 for those that fill it up) and divide by their sum"
    )]
    Updates { name: String },
    /// An input is of another type; `n` in `wanted` is the number of samples.
    #[error("input `{name}` must be {wanted} for some n, got {got}")]
    Input {
        name: String,
        wanted: String,
        got: Type,
    },
    /// Inputs have different numbers of samples.
    #[error("input `{name}` has {count} samples, `{other}` has {others}")]
    Counts {
        name: String,
        count: usize,
        other: String,
        others: usize,
    },
}
