//! Values that the batch does not reach, but that are combined with it sample by sample.

use crate::graph::{Function, NodeId};
use crate::op::Op;
use std::collections::HashSet;

/// What is known of such values: each is looked at once per axis.
pub(super) struct Rows<'f> {
    function: &'f Function,
    same: HashSet<(NodeId, usize)>,
}

impl<'f> Rows<'f> {
    pub(super) fn new(function: &'f Function) -> Self {
        Rows {
            function,
            same: HashSet::new(),
        }
    }

    pub(super) fn function(&self) -> &'f Function {
        self.function
    }

    /// That row `i` of a value along an axis would be the same in a batch of any size: all rows are
    /// one, or count, or are drawn in the order of the samples.
    pub(super) fn check(&mut self, id: NodeId, axis: usize) -> Result<(), String> {
        let mut waiting = vec![(id, axis)];
        while let Some((id, axis)) = waiting.pop() {
            if !self.same.insert((id, axis)) {
                continue;
            }
            let node = self.function.node(id);
            match &node.op {
                Op::Iota { .. } => {}
                Op::Constant(constant) if constant.splat_element().is_some() => {}
                // Drawn in row-major order.
                Op::Random { shape } if shape[..axis].iter().all(|&extent| extent == 1) => {}
                Op::Broadcast { axes, .. } => {
                    let own = axes.iter().position(|&of| of == axis);
                    waiting.extend(own.map(|own| (node.operands[0], own)));
                }
                Op::Transpose(permutation) => {
                    waiting.push((node.operands[0], permutation[axis]));
                }
                op if op.is_elementwise() => {
                    waiting.extend(node.operands.iter().map(|&operand| (operand, axis)));
                }
                op => {
                    let (name, ty) = (op.name(), node.ty());
                    return Err(format!(
                        "samples meet the rows of axis {axis} of a {name} {ty}, which may be others in another batch"
                    ));
                }
            }
        }
        Ok(())
    }
}
