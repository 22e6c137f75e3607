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
}
