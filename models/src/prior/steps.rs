//! Wavefronts one after the other: programs of growing length over one cache.
//!
//! A wavefront attends to every position of its program's cache, and what is not filled yet is
//! masked. So the cache begins short: when it is full, the next program, with a longer one, takes
//! over what it holds. Masked keys add exact zeros, so a program's length does not show in the
//! bits.

use super::session::{PriorSessionError, bind};
use super::{PriorModel, cache_specs, wavefront_function};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use bsq_runtime::{Device, Session};
use std::collections::BTreeMap;
use std::time::Duration;

/// Programs of a section, each a part longer than the one before.
const RUNGS: usize = 4;
/// Numbers in the caches of keys below which compiling several programs takes longer than they save.
const WORTH_WHILE: usize = 1 << 19;
/// Bytes of weights above which a program goes when the next one comes: each has its own copy. There
/// is only one where all keys and values are less than the weights: a step reads both, and packing
/// the weights anew would take longer than reading fewer keys saves.
const HEAVY: usize = 32 << 20;

/// The programs for a number of sections, compiled as they are needed.
pub(super) struct Steps {
    batch: usize,
    /// Wavefronts that the cache of each program holds, ascending.
    lengths: Vec<usize>,
    programs: Vec<Option<Session>>,
    /// The program to begin with: one that is long enough for all steps, where more are not worth
    /// compiling.
    first: usize,
    /// The program of the last step.
    current: usize,
    heavy: bool,
}

/// What programs are made of.
pub(super) struct Parts<'a> {
    pub model: &'a PriorModel,
    pub parameters: &'a BTreeMap<String, HostTensor>,
    /// Threads, and the device.
    pub at: (usize, Device),
    pub compile_time: &'a mut Duration,
}

impl Steps {
    /// Programs for `times` wavefronts of `batch` sections: those at hand if they are for the
    /// same.
    pub fn of(
        old: Option<Steps>,
        model: &PriorModel,
        parameters: &BTreeMap<String, HostTensor>,
        rungs: Option<usize>,
        (batch, times): (usize, usize),
    ) -> Steps {
        let (order, config) = (model.order(), model.config());
        let numbers = batch * order.positions() * config.width * config.layers;
        let weights: usize = parameters.values().map(|tensor| tensor.bytes().len()).sum();
        let heavy = weights > HEAVY;
        let count = match heavy && 2 * numbers * size_of::<f32>() < weights {
            true => 1,
            false => RUNGS,
        };
        let count = rungs.unwrap_or(count).max(1);
        // The same for sections of all sizes: programs are used again.
        let mut lengths: Vec<usize> = (1..=count)
            .map(|rung| (rung * order.times()).div_ceil(count))
            .collect();
        lengths.dedup();
        let first = match rungs.is_some() || numbers >= WORTH_WHILE {
            true => 0,
            false => lengths.partition_point(|&length| length < times),
        };
        let steps = old.filter(|old| old.batch == batch && old.lengths == lengths);
        let mut steps = steps.unwrap_or_else(|| Steps {
            batch,
            programs: lengths.iter().map(|_| None).collect(),
            lengths,
            first: 0,
            current: 0,
            heavy,
        });
        steps.first = first;
        steps
    }

    /// `f32[batch, slots, sub_tokens, hidden]` of a wavefront whose `known` are given; time 0
    /// comes first and the others follow.
    pub fn run(
        &mut self,
        parts: Parts<'_>,
        time: usize,
        known: &HostTensor,
    ) -> Result<HostTensor, PriorSessionError> {
        let rung = self.lengths.iter().position(|&length| time < length);
        let rung = rung.expect("a time of the section").max(self.first);
        if self.programs[rung].is_none() {
            let (model, batch, length) = (parts.model, self.batch, self.lengths[rung]);
            let function = wavefront_function(model, batch, length);
            let program = bind(&function, parts.parameters, parts.at, parts.compile_time)?;
            self.programs[rung] = Some(program);
        }
        if time > 0 && rung != self.current {
            self.carry(parts.model, self.current, rung)?;
        }
        self.current = rung;
        let program = self.programs[rung].as_mut().expect("compiled above");
        let time = HostTensor::scalar(time as i32)?;
        let mut outputs = program.run(&[("time", &time), ("known", known)])?;
        Ok(outputs.take("projected"))
    }

    /// Gives a program what the cache of a shorter one holds.
    fn carry(
        &mut self,
        model: &PriorModel,
        from: usize,
        to: usize,
    ) -> Result<(), PriorSessionError> {
        let shorter = self.programs[from].take().expect("it has just run");
        let longer = self.programs[to].as_mut().expect("it has been compiled");
        for spec in cache_specs(model, self.batch, self.lengths[to]) {
            let whole = lengthened(shorter.parameter(&spec.name)?, &spec.ty.shape)?;
            longer.set_parameter(&spec.name, &whole)?;
        }
        if !self.heavy {
            self.programs[from] = Some(shorter);
        }
        Ok(())
    }
}

/// `[batch, heads, positions, d]` with more positions, zeros.
fn lengthened(cache: &HostTensor, shape: &[usize]) -> Result<HostTensor, TensorError> {
    let mut whole = HostTensor::zeros(cache.dtype(), shape.to_vec())?;
    let (old, new) = (cache.shape()[2] * shape[3], shape[2] * shape[3]);
    let rows = whole.as_mut_slice::<f32>()?.chunks_exact_mut(new);
    for (row, kept) in rows.zip(cache.as_slice::<f32>()?.chunks_exact(old)) {
        row[..old].copy_from_slice(kept);
    }
    Ok(whole)
}
