//! What keeps a prior from being run.

use bsq_runtime::ProgramError;
use bsq_runtime::tensor_data::TensorError;

/// Why a prior could not be run.
#[derive(Debug, thiserror::Error)]
pub enum PriorSessionError {
    /// Compiling or running failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Memory ran out.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Options under which probabilities would differ between machines.
    #[error(
        "coding runs exactly, in f32 and without tf32: coder and decoder must find the same \
         probabilities on every machine"
    )]
    NotExact,
}
