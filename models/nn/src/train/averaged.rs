//! What is averaged over the micro-batches of a step, side by side in one buffer.

use super::TrainError;
use crate::optimizer::{Halves, MEAN_PREFIX};
use bsq_runtime::HostTensor;
use bsq_runtime::tensor_data::TensorError;
use std::collections::BTreeMap;

/// Where each tensor lies in the buffer.
pub(super) struct Averaged {
    /// Names, shapes and numbers of elements, one behind the other.
    members: Vec<(String, Vec<usize>, usize)>,
}

impl Averaged {
    /// Gradients, new values of parameters, and `scalars`, of those that a micro-batch has.
    pub fn of(halves: &Halves, scalars: &[String]) -> Averaged {
        let function = &halves.micro_batch;
        let outputs = function.outputs().iter();
        let is_averaged = |name: &String| name.starts_with(MEAN_PREFIX) || scalars.contains(name);
        let averaged = outputs.filter(|(name, _)| is_averaged(name));
        let member = |(name, id): &(String, _)| {
            let shape = function.node(*id).shape();
            (name.clone(), shape.to_vec(), shape.iter().product())
        };
        Averaged {
            members: averaged.map(member).collect(),
        }
    }

    /// Whether an output is one of them.
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(member, ..)| member == name)
    }

    /// The buffer of one micro-batch's outputs.
    pub fn pack(&self, outputs: &BTreeMap<String, HostTensor>) -> Result<Vec<f32>, TensorError> {
        let length = self.members.iter().map(|(.., count)| count).sum();
        let mut buffer = Vec::with_capacity(length);
        for (name, ..) in &self.members {
            buffer.extend_from_slice(outputs[name].as_slice::<f32>()?);
        }
        Ok(buffer)
    }

    /// The tensors of a buffer, by name.
    pub fn unpack(&self, buffer: &[f32]) -> Result<BTreeMap<String, HostTensor>, TrainError> {
        let mut rest = buffer;
        let mut tensors = BTreeMap::new();
        for (name, shape, count) in &self.members {
            let (own, others) = rest.split_at(*count);
            tensors.insert(name.clone(), HostTensor::from_slice(shape.clone(), own)?);
            rest = others;
        }
        Ok(tensors)
    }
}
