//! Where the samples of a batch lie in each value of a function, and that none depends on another.
//!
//! A batch may be filled up with samples that nobody asked for, and their results thrown away, if
//! nothing of them reaches the others. Samples lie along one axis of a value, one after the other:
//! what follows goes through the function op by op, from inputs to outputs, and refuses the first
//! op that mixes them (a sum over the batch), moves them (a slice of the batch), or gives them
//! what depends on the size of the batch.

mod rows;
mod rules;
mod taken;

use crate::fused::expand_function;
use crate::graph::{Function, Node};
use crate::op::{Op, TypeError};
use rows::Rows;
use std::collections::BTreeMap;

/// Where samples lie in a value: sample `s` is `s * each .. (s + 1) * each` of `axis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchAxis {
    pub axis: usize,
    /// Elements of the axis that are one sample's; more than 1 where tokens of all samples are rows
    /// of one matrix.
    pub each: usize,
}

/// Where the `samples` samples of a batch lie in each output, by name; `None` in those that the
/// batch does not reach. `inputs` says where they lie in inputs; other inputs are the same for all.
///
/// A sample's part of the outputs is then a function of that sample's part of the inputs, and of
/// its place in the batch where the function counts or draws along the batch
/// ([`Op::Iota`], [`Op::Random`]).
///
/// ```
/// use bsq_ir::batch::{BatchAxis, batch_axes};
/// use bsq_ir::{DType, Graph};
///
/// let g = Graph::new();
/// let x = g.input("x", DType::F32, [4, 3]);
/// let first = BatchAxis { axis: 0, each: 1 };
/// let rows = g.function([("y", x.softmax().transpose(&[1, 0]).id())], []);
/// let axes = batch_axes(&rows, 4, &[("x", first)].into())?;
/// assert_eq!(axes["y"], Some(BatchAxis { axis: 1, each: 1 }));
///
/// let mean = g.function([("y", x.mean(0).id())], []);
/// let error = batch_axes(&mean, 4, &[("x", first)].into()).unwrap_err();
/// assert_eq!(error.op(), "sum");
/// # Ok::<(), bsq_ir::TypeError>(())
/// ```
///
/// # Errors
/// The first op that mixes samples, or of which that cannot be told, with its line.
pub fn batch_axes(
    function: &Function,
    samples: usize,
    inputs: &BTreeMap<&str, BatchAxis>,
) -> Result<BTreeMap<String, Option<BatchAxis>>, TypeError> {
    // What fused ops mean is said once, by their expansions.
    let function = expand_function(function);
    let mut rows = Rows::new(&function);
    let mut axes: Vec<Option<BatchAxis>> = Vec::with_capacity(function.nodes().len());
    for node in function.nodes() {
        let operands: Vec<Option<BatchAxis>> =
            node.operands.iter().map(|id| axes[id.index()]).collect();
        let axis = match &node.op {
            Op::Input { name, .. } => inputs.get(name.as_str()).copied(),
            _ if operands.iter().all(Option::is_none) => None,
            _ => {
                let rule = rules::rule(node, &operands, samples, &mut rows);
                Some(rule.map_err(|what| refused(&function, node, what))?)
            }
        };
        axes.push(axis);
    }
    let outputs = function.outputs().iter();
    let outputs = outputs.map(|(name, id)| (name.clone(), axes[id.index()]));
    Ok(outputs.collect())
}

fn refused(function: &Function, node: &Node, what: String) -> TypeError {
    let types = node.operands.iter().map(|&id| function.node(id).ty());
    TypeError::new(&node.op, types, what)
        .at(node.location)
        .help(
            "outputs need one axis along which samples lie, each computed of its own sample alone",
        )
}

#[cfg(test)]
mod tests;
