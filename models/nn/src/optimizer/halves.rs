//! A step in two programs: what each micro-batch computes, and what the mean over them changes.

use bsq_ir::graph::Function;
use bsq_ir::{DType, Graph, NodeId, Op, Tensor};
use std::collections::BTreeMap;

/// What the names begin with of outputs that are averaged, and of the inputs that have the mean.
pub const MEAN_PREFIX: &str = "mean.";

/// A step in two programs. The first is run for each micro-batch; the mean over all of them of its
/// outputs `mean.NAME` (a gradient of the parameter NAME, or its new value) is an input of the second,
/// which is run once.
///
/// An update that depends on no input but the gradients and what is the same for all micro-batches,
/// such as `lr`, is part of the second whole.
#[derive(Clone, Debug)]
pub struct Halves {
    /// Outputs: those of the step, and `mean.NAME` (`f32`). No updates.
    pub micro_batch: Function,
    /// Inputs: `mean.NAME`, and `f32[]` of the step. No outputs, all updates.
    pub update: Function,
    /// Which parameter of the model each updated tensor belongs to: itself, its average, the optimizer's
    /// state of it. What all parameters share is not here.
    pub serves: BTreeMap<String, String>,
}

impl Halves {
    /// The halves of what computes `outputs` and replaces the first of each of `updates` by the second.
    /// `averaged` are the tensors that the mean is taken of, by the parameter that each is for; `serves` is the
    /// field.
    ///
    /// # Panics
    /// If one of `averaged` is not `f32`, or an update depends on an input that is not `f32[]` other than
    /// through them.
    #[track_caller]
    pub fn new<'g>(
        graph: &'g Graph,
        outputs: &[(String, Tensor<'g>)],
        updates: &[(Tensor<'g>, Tensor<'g>)],
        averaged: &[(String, Tensor<'g>)],
        serves: BTreeMap<String, String>,
    ) -> Halves {
        let named =
            |(name, tensor): &(String, Tensor<'g>)| (format!("{MEAN_PREFIX}{name}"), tensor.id());
        let all: Vec<(String, NodeId)> = averaged.iter().map(named).collect();
        let of = |list: &[(String, NodeId)]| {
            let outputs = list.iter().map(|(name, id)| (name.as_str(), *id));
            let updates = updates.iter().map(|(old, new)| (old.id(), new.id()));
            graph.function(outputs, updates)
        };
        // What depends on no input is the same for all micro-batches, and nothing to take a mean of.
        let whole = of(&all);
        let mut depends = vec![false; whole.nodes().len()];
        for (id, node) in whole.iter() {
            let is_input = matches!(node.op, Op::Input { .. });
            let operands = node.operands.iter();
            depends[id.index()] =
                is_input || operands.fold(false, |any, id| any | depends[id.index()]);
        }
        let pairs = all.iter().zip(whole.outputs());
        let cut = pairs.filter(|(_, (_, id))| depends[id.index()]);
        let cut: Vec<(String, NodeId)> = cut.map(|(named, _)| named.clone()).collect();
        for (name, id) in &cut {
            let ty = graph.ty(*id);
            assert_eq!(
                ty.dtype,
                DType::F32,
                "{name}: a mean is taken of f32, not of {ty}"
            );
        }
        let update = of(&cut).updates_given_outputs();
        for (_, name, ty) in update.inputs() {
            assert!(
                name.starts_with(MEAN_PREFIX) || ty.shape.is_empty(),
                "an update depends on `{name}` ({ty}), of which each micro-batch has another"
            );
        }
        let own = outputs
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor.id()));
        let means = cut.iter().map(|(name, id)| (name.as_str(), *id));
        Halves {
            micro_batch: graph.function(own.chain(means), []),
            update,
            serves,
        }
    }
}
