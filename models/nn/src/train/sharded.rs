//! What ranks keep for one another when each has a share of the optimizer's state.

use super::TrainError;
use bsq_collectives::Ranks;
use bsq_runtime::HostTensor;
use bsq_runtime::executor::Tensors;
use std::collections::BTreeMap;

/// Tensors that one rank each has, by name, with their owners.
#[derive(Default)]
pub(super) struct Sharded {
    owners: BTreeMap<String, Owned>,
}

struct Owned {
    rank: usize,
    shape: Vec<usize>,
}

impl Sharded {
    /// Notes who owns some tensors of the state.
    pub fn add<'a>(&mut self, owners: impl Iterator<Item = (&'a str, usize)>, state: &Tensors) {
        let owned = |(name, rank): (&str, usize)| {
            let shape = state.get(name)?.shape().to_vec();
            Some((name.to_string(), Owned { rank, shape }))
        };
        self.owners.extend(owners.filter_map(owned));
    }

    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    pub fn has(&self, name: &str) -> bool {
        self.owners.contains_key(name)
    }

    /// Those of the tensors that `wanted` names and that other ranks own; all ranks call it together. `own`
    /// are this rank's. Kept where `keeps` says so, and passed on in any case: a tensor of each rank at a
    /// time.
    pub fn gather(
        &self,
        ranks: &Ranks,
        own: &BTreeMap<&str, &HostTensor>,
        wanted: impl Fn(&str) -> bool,
        keeps: bool,
    ) -> Result<Tensors, TrainError> {
        let mut of_ranks: Vec<Vec<(&String, &Owned)>> = vec![Vec::new(); ranks.size()];
        for (name, owned) in self.owners.iter().filter(|(name, _)| wanted(name)) {
            of_ranks[owned.rank].push((name, owned));
        }
        // Tensors of about the same size meet: the longest decides how much passes.
        for tensors in &mut of_ranks {
            tensors
                .sort_by_key(|(_, owned)| std::cmp::Reverse(owned.shape.iter().product::<usize>()));
        }
        let mut found = Tensors::new();
        for round in 0..of_ranks.iter().map(Vec::len).max().unwrap_or(0) {
            let given = of_ranks[ranks.rank()].get(round);
            let given = given.map_or(&[][..], |(name, _)| own[name.as_str()].bytes());
            let all = ranks.gather_bytes(given.to_vec())?;
            for (rank, bytes) in all.iter().enumerate() {
                let Some((name, owned)) = of_ranks[rank].get(round) else {
                    continue;
                };
                if keeps && rank != ranks.rank() {
                    let mut tensor = HostTensor::zeros(bsq_ir::DType::F32, owned.shape.clone())?;
                    tensor.bytes_mut()?.copy_from_slice(bytes);
                    found.insert(name.to_string(), tensor);
                }
            }
        }
        Ok(found)
    }
}

/// Parameters of which each rank computes some, and all need all after each step.
pub(super) struct Spread {
    /// Names, shapes, and who computes them.
    parameters: Vec<(String, Vec<usize>, usize)>,
    /// Elements of the longest share.
    share: usize,
}

impl Spread {
    pub fn of(parameters: Vec<(String, Vec<usize>, usize)>, size: usize) -> Spread {
        let mut loads = vec![0; size];
        for (_, shape, rank) in &parameters {
            loads[*rank] += shape.iter().product::<usize>();
        }
        Spread {
            parameters,
            share: loads.into_iter().max().unwrap_or(0),
        }
    }

    /// The values of all, of which this rank has its `own`.
    pub fn exchange<'a>(
        &self,
        ranks: &Ranks,
        own: impl Fn(&str) -> Result<&'a HostTensor, TrainError>,
    ) -> Result<Vec<(&str, HostTensor)>, TrainError> {
        let mut given = Vec::with_capacity(self.share);
        for (name, _, rank) in &self.parameters {
            if *rank == ranks.rank() {
                given.extend_from_slice(own(name)?.as_slice::<f32>()?);
            }
        }
        given.resize(self.share, 0.0);
        let mut all = vec![0.0; self.share * ranks.size()];
        ranks.all_gather(&given, &mut all)?;
        let mut places: Vec<usize> = (0..ranks.size()).map(|rank| rank * self.share).collect();
        let mut values = Vec::new();
        for (name, shape, rank) in &self.parameters {
            let count = shape.iter().product::<usize>();
            let value = &all[places[*rank]..][..count];
            values.push((name.as_str(), HostTensor::from_slice(shape.clone(), value)?));
            places[*rank] += count;
        }
        Ok(values)
    }
}
