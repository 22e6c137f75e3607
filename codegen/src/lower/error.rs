//! Why a function has no program.

use bsq_ir::verify::VerifyError;
use bsq_ir::{Function, NodeId};

/// Why there is no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// Such as one name for two inputs.
    #[error(transparent)]
    Invalid(#[from] VerifyError),
    /// A node that no kernel could be made for, and its operands with their types.
    #[error("there is no kernel for {node}: a mistake of the compiler, please report it")]
    NoKernel { node: String },
}

impl LowerError {
    pub(super) fn no_kernel(function: &Function, id: NodeId) -> Self {
        let node = function.node(id);
        let operands = node.operands.iter().map(|&id| {
            let operand = function.node(id);
            format!("{} {:?}", operand.op.name(), operand.types)
        });
        let operands: Vec<String> = operands.collect();
        let node = format!(
            "{:?} of {} at {}",
            node.op,
            operands.join(", "),
            node.location
        );
        LowerError::NoKernel { node }
    }
}
