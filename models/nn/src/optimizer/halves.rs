//! A step in two programs, or three: what each micro-batch computes, and what the mean over them changes.

use bsq_ir::graph::Function;
use bsq_ir::{DType, Graph, NodeId, Op, Tensor};
use std::collections::BTreeMap;

/// What the names begin with of outputs that are averaged, and of the inputs that have the mean.
pub const MEAN_PREFIX: &str = "mean.";

/// What the names begin with of those that the micro-batches' program is given: means over the batch that
/// are taken over the whole step.
const STATISTICS_PREFIX: &str = "mean.step/";

/// A step in two programs. The first is run for each micro-batch; the mean over all of them of its
/// outputs `mean.NAME` (a gradient of the parameter NAME, or its new value) is an input of the second,
/// which is run once.
///
/// An update that depends on no input but the gradients and what is the same for all micro-batches,
/// such as `lr`, is part of the second whole.
#[derive(Clone, Debug)]
pub struct Halves {
    /// Outputs: those of the step, and `mean.NAME` (`f32`). No updates. With `statistics` their means are
    /// inputs.
    pub micro_batch: Function,
    /// What is run for each micro-batch before the first of the two, where a step has means over all of its
    /// batches: outputs `mean.step/NAME` (`f32`), nothing else.
    pub statistics: Option<Function>,
    /// Inputs: `mean.NAME`, and `f32[]` of the step. Outputs: those that are of the gradients. All updates.
    pub update: Function,
    /// Which parameter of the model each updated tensor belongs to: itself, its average, the optimizer's
    /// state of it. What all parameters share is not here.
    pub serves: BTreeMap<String, String>,
}

impl Halves {
    /// The halves of what computes outputs, those of a batch and those of the gradients, and replaces the
    /// first of each of `updates` by the second. `averaged` are the tensors that the mean is taken of, by the
    /// parameter that each is for; `over_step` those whose mean the micro-batches are given, by any name;
    /// `serves` is the field.
    ///
    /// # Panics
    /// If one of `averaged` or `over_step` is not `f32`, or an update depends on an input that is not `f32[]`
    /// other than through them.
    #[track_caller]
    pub fn new<'g>(
        graph: &'g Graph,
        [outputs, of_gradients]: [&[(String, Tensor<'g>)]; 2],
        updates: &[(Tensor<'g>, Tensor<'g>)],
        averaged: &[(String, Tensor<'g>)],
        over_step: &[(String, Tensor<'g>)],
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
        let statistics = over_step.iter();
        let statistics =
            statistics.map(|(name, tensor)| (format!("{STATISTICS_PREFIX}{name}"), tensor.id()));
        let statistics: Vec<(String, NodeId)> = statistics.collect();
        for (name, id) in cut.iter().chain(&statistics) {
            let ty = graph.ty(*id);
            assert_eq!(
                ty.dtype,
                DType::F32,
                "{name}: a mean is taken of f32, not of {ty}"
            );
        }
        let of_gradients = of_gradients.iter();
        let of_gradients = of_gradients.map(|(name, tensor)| (name.clone(), tensor.id()));
        let known: Vec<(String, NodeId)> = cut.iter().cloned().chain(of_gradients).collect();
        let update = of(&known).given_outputs(|name| name.starts_with(MEAN_PREFIX));
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
        let of_step = || statistics.iter().map(|(name, id)| (name.as_str(), *id));
        let micro_batch = graph.function(own.chain(means).chain(of_step()), []);
        Halves {
            micro_batch: micro_batch.given_outputs(|name| name.starts_with(STATISTICS_PREFIX)),
            statistics: (!statistics.is_empty()).then(|| graph.function(of_step(), [])),
            update,
            serves,
        }
    }
}
