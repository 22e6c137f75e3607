//! What can go wrong between a function and its results.

use crate::buffer::OutOfMemory;
use crate::cuda::CudaError;
use crate::tensor_data::TensorError;
use crate::threads::PoolError;
use bsq_codegen::cpu::microkernel::FamilyError;
use bsq_codegen::pipeline::PipelineError;
use bsq_ir::Type;

/// Why a program cannot be compiled, bound or run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error(transparent)]
    Family(#[from] FamilyError),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Cuda(#[from] CudaError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A parameter or an input was not given.
    #[error("{kind} `{name}` ({wanted}) is missing")]
    Missing {
        kind: &'static str,
        name: String,
        wanted: Type,
    },
    /// Given or asked for, but the program has none of that name; `known` are those it has, and
    /// the one that was perhaps meant.
    #[error("{kind} `{name}` is not part of the program; it has: {known}")]
    Unexpected {
        kind: &'static str,
        name: String,
        known: String,
    },
    /// Given more than once.
    #[error("input `{name}` is given twice")]
    Twice { name: String },
    /// In a checked run, a value that an op may not be given or make.
    #[error("{op}: {what}\n  at {location}")]
    Value {
        op: &'static str,
        what: String,
        location: &'static std::panic::Location<'static>,
    },
    /// Given in another type or shape.
    #[error(
        "{kind} `{name}` must be {wanted}, got {got}{}",
        conversion(wanted, got)
    )]
    Mismatch {
        kind: &'static str,
        name: String,
        wanted: Type,
        got: Type,
    },
}

impl ProgramError {
    /// The smallest budget of memory that the program could be compiled within, in bytes, if that is why it
    /// was not.
    pub fn smallest_memory(&self) -> Option<usize> {
        match self {
            ProgramError::Pipeline(PipelineError::Memory { smallest, .. }) => Some(*smallest),
            _ => None,
        }
    }
}

/// What makes a tensor of one type one of another, if a call does.
pub(super) fn conversion(wanted: &Type, got: &Type) -> String {
    let to = wanted.dtype;
    match () {
        _ if wanted.shape != got.shape => {
            match wanted.dtype == got.dtype && wanted.shape.elements() == got.shape.elements() {
                true => format!(
                    "\n  help: `HostTensor::reshape` has the same elements in the shape {:?}",
                    &wanted.shape[..]
                ),
                false => String::new(),
            }
        }
        _ if to.is_float() && got.dtype.is_float() => {
            format!("\n  help: `HostTensor::to_dtype(DType::{to:?})` rounds to {to}")
        }
        _ => format!(
            "\n  help: `HostTensor::to_exact(DType::{to:?})` converts numbers that are {to} too"
        ),
    }
}
