//! What is averaged over the micro-batches of a step, in buckets: of each all tensors lie side by side.
//!
//! A bucket is exchanged as soon as it is full, while the rest of the backward pass still runs. Gradients of
//! what comes last in a model are there first, so buckets hold the outputs of a micro-batch from the last one
//! on: the same on all ranks, whatever their programs look like.

use super::TrainError;
use crate::optimizer::MEAN_PREFIX;
use bsq_ir::Function;
use bsq_runtime::HostTensor;
use std::collections::BTreeMap;

/// Which tensors are in which bucket.
pub(super) struct Averaged {
    buckets: Vec<Vec<Member>>,
    /// Of each tensor its bucket.
    places: BTreeMap<String, usize>,
}

struct Member {
    name: String,
    shape: Vec<usize>,
    count: usize,
}

impl Averaged {
    /// Gradients, new values of parameters, and `scalars`, of those that a micro-batch's program has. A bucket with
    /// `elements` or more takes no further tensor.
    pub fn of(function: &Function, scalars: &[String], elements: usize) -> Averaged {
        let is_averaged = |name: &String| name.starts_with(MEAN_PREFIX) || scalars.contains(name);
        let (mut buckets, mut places): (Vec<Vec<Member>>, _) = (Vec::new(), BTreeMap::new());
        let (mut full, outputs) = (true, function.outputs().iter().rev());
        for (name, id) in outputs.filter(|(name, _)| is_averaged(name)) {
            if full {
                buckets.push(Vec::new());
            }
            let number = buckets.len() - 1;
            let shape = function.node(*id).shape().to_vec();
            let count = shape.iter().product();
            places.insert(name.clone(), number);
            let name = name.clone();
            buckets[number].push(Member { name, shape, count });
            full = buckets[number].iter().map(|m| m.count).sum::<usize>() >= elements;
        }
        Averaged { buckets, places }
    }

    /// How many buckets there are.
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Buckets of one micro-batch, all empty.
    pub fn empty(&self) -> Filling<'_> {
        Filling {
            averaged: self,
            found: self.buckets.iter().map(|_| BTreeMap::new()).collect(),
        }
    }

    /// The tensors of all buckets, by name.
    pub fn unpack(&self, buckets: &[Vec<f32>]) -> Result<BTreeMap<String, HostTensor>, TrainError> {
        let mut tensors = BTreeMap::new();
        for (members, values) in self.buckets.iter().zip(buckets) {
            let mut rest = &values[..];
            for Member { name, shape, count } in members {
                let (own, others) = rest.split_at(*count);
                tensors.insert(name.clone(), HostTensor::from_slice(shape.clone(), own)?);
                rest = others;
            }
        }
        Ok(tensors)
    }
}

/// Buckets that are filled with the outputs of a micro-batch.
pub(super) struct Filling<'a> {
    averaged: &'a Averaged,
    found: Vec<BTreeMap<String, HostTensor>>,
}

impl Filling<'_> {
    /// Takes an output. Gives it back if it is not averaged, and a bucket that is full with it.
    pub fn put(&mut self, name: &str, tensor: HostTensor) -> Result<Put, TrainError> {
        let Some(&bucket) = self.averaged.places.get(name) else {
            return Ok(Put::Other(tensor));
        };
        let (members, found) = (&self.averaged.buckets[bucket], &mut self.found[bucket]);
        found.insert(name.to_string(), tensor);
        if found.len() < members.len() {
            return Ok(Put::Kept);
        }
        let mut values = Vec::with_capacity(members.iter().map(|member| member.count).sum());
        for member in members {
            values.extend_from_slice(found[&member.name].as_slice::<f32>()?);
        }
        found.clear();
        Ok(Put::Full { bucket, values })
    }
}

/// What became of an output.
pub(super) enum Put {
    /// It is a micro-batch's own.
    Other(HostTensor),
    Kept,
    /// Its bucket is full.
    Full {
        bucket: usize,
        values: Vec<f32>,
    },
}
