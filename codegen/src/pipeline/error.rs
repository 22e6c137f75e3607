//! Why there is no program or no code.

use super::UnknownPass;
use crate::cpu::clif::CodegenError;
use crate::lower::LowerError;
use crate::ptx::PtxError;

/// Why a function has no program, or a program no code.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error(transparent)]
    Dump(#[from] UnknownPass),
    #[error(transparent)]
    Lower(#[from] LowerError),
    #[error(transparent)]
    Code(#[from] CodegenError),
    #[error(transparent)]
    Ptx(#[from] PtxError),
    /// No choice of what is computed again fits the budget.
    #[error("the program needs more memory than {:.1} MB: the smallest budget that can be met is {:.1} MB",
        *budget as f64 / 1e6, (*smallest as f64 / 1e5).ceil() / 10.0)]
    Memory {
        /// In bytes, as the next.
        budget: usize,
        /// What it needs where most is computed again.
        smallest: usize,
    },
}
