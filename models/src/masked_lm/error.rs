//! What keeps a masked language model from being run.

use bsq_runtime::ProgramError;
use bsq_runtime::tensor_data::TensorError;

/// Why nothing could be sampled.
#[derive(Debug, thiserror::Error)]
pub enum MaskedLmError {
    /// Compiling or running failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Memory ran out.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Options under which samples would differ between machines.
    #[error(
        "sampling runs exactly, in f32 and without tf32: a seed stands for the same pictures on every machine"
    )]
    NotExact,
    /// A number of steps that makes no sense.
    #[error(
        "{steps} steps: {entries} entries are masked, and each step reveals one at least: 1 to {entries} steps"
    )]
    Steps {
        /// As asked for.
        steps: usize,
        /// The most.
        entries: usize,
    },
    /// A setting outside its range.
    #[error("{setting}: {value} is not a number from 0 on")]
    Setting {
        /// Which.
        setting: &'static str,
        /// As asked for.
        value: f64,
    },
    /// Guidance without classes to be guided by.
    #[error("guidance is towards a class, and there is none: leave out --guidance, or set it to 0")]
    NoClass,
}
