//! The names that a program takes: those of its function, whatever its compiler finds.

use super::{Buffer, BufferKind, Program};
use bsq_ir::Function;
use std::collections::HashSet;

impl Program {
    /// With buffers for the inputs and parameters of the function that it was made from, also for
    /// those that rewriting found unneeded.
    pub(crate) fn with_names_of(mut self, function: &Function) -> Self {
        let kinds = self.buffers.iter().map(|buffer| &buffer.kind);
        let known: HashSet<BufferKind> = kinds.filter(|kind| is_named(kind)).cloned().collect();
        let inputs = function.inputs();
        let inputs = inputs.map(|(_, name, ty)| (BufferKind::Input(name.to_string()), ty));
        let parameters = function.parameters();
        let parameters =
            parameters.map(|(_, name, ty)| (BufferKind::Parameter(name.to_string()), ty));
        let unneeded = inputs
            .chain(parameters)
            .filter(|(kind, _)| !known.contains(kind));
        self.buffers.extend(unneeded.map(|(kind, ty)| Buffer {
            ty: ty.clone(),
            kind,
            initial: None,
        }));
        self
    }
}

fn is_named(kind: &BufferKind) -> bool {
    matches!(kind, BufferKind::Input(_) | BufferKind::Parameter(_))
}
