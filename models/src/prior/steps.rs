//! Wavefronts one after the other: programs of growing length over one cache.
//!
//! A wavefront attends to every position of its program's cache, and what is not filled yet is
//! masked. So the cache begins short: when it is full, the next program, with a longer one, takes
//! over what it holds. Masked keys add exact zeros, so a program's length does not show in the
//! bits.

use super::{PriorModel, PriorSessionError, cache_specs, wavefront_function};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use bsq_runtime::{BoundPrograms, CompileOptions};
use std::time::Duration;

/// Programs of a section, each a part longer than the one before.
const RUNGS: usize = 4;
/// Numbers in the caches of keys below which compiling several programs takes longer than they save.
const WORTH_WHILE: usize = 1 << 19;
/// Bytes of weights above which a program goes when the next one comes: each has its own packed
/// copy. There is only one where all keys and values are less than the weights: a step reads both,
/// and packing the weights anew would take longer than reading fewer keys saves.
const HEAVY: usize = 32 << 20;

/// The programs for wavefronts, compiled as they are needed.
pub(super) struct Steps {
    /// By sections in a batch and wavefronts that the cache holds.
    programs: BoundPrograms<(usize, usize)>,
    /// How many programs a section takes, if that is decided elsewhere.
    rungs: Option<usize>,
    batch: usize,
    /// Wavefronts that the cache of each program holds, ascending.
    lengths: Vec<usize>,
    /// The program to begin with: one that is long enough for all steps, where more are not worth
    /// compiling.
    first: usize,
    /// The program of the last step.
    current: usize,
    heavy: bool,
}

impl Steps {
    pub fn new(parameters: Tensors, options: CompileOptions) -> Steps {
        let weights: usize = parameters.values().map(|tensor| tensor.bytes().len()).sum();
        Steps {
            // A batch size has at most so many; those of another are dropped when it changes.
            programs: BoundPrograms::new(parameters, options, usize::MAX),
            rungs: None,
            batch: 0,
            lengths: Vec::new(),
            first: 0,
            current: 0,
            heavy: weights > HEAVY,
        }
    }

    pub fn compile_time(&self) -> Duration {
        self.programs.compile_time()
    }

    /// See [`PriorSession::set_rungs`](super::PriorSession::set_rungs).
    pub fn set_rungs(&mut self, rungs: Option<usize>) {
        self.rungs = rungs;
    }

    /// What is to come: `times` wavefronts of `batch` sections.
    pub fn begin(&mut self, model: &PriorModel, batch: usize, times: usize) {
        let (order, config) = (model.order(), model.config());
        let numbers = batch * order.positions() * config.width * config.layers;
        let parameters = self.programs.parameters();
        let weights: usize = parameters.values().map(|tensor| tensor.bytes().len()).sum();
        let count = match self.heavy && 2 * numbers * size_of::<f32>() < weights {
            true => 1,
            false => RUNGS,
        };
        let count = self.rungs.unwrap_or(count).max(1);
        // The same for sections of all sizes: programs are used again.
        self.lengths = (1..=count)
            .map(|rung| (rung * order.times()).div_ceil(count))
            .collect();
        self.lengths.dedup();
        self.batch = batch;
        let lengths = &self.lengths;
        let wanted = |key: &(usize, usize)| key.0 == batch && lengths.contains(&key.1);
        self.programs.retain(wanted);
        self.first = match self.rungs.is_some() || numbers >= WORTH_WHILE {
            true => 0,
            false => self.lengths.partition_point(|&length| length < times),
        };
    }

    /// `f32[batch, slots, sub_tokens, hidden]` of a wavefront whose `known` are given; time 0
    /// comes first and the others follow.
    pub fn run(
        &mut self,
        model: &PriorModel,
        time: usize,
        known: &HostTensor,
    ) -> Result<HostTensor, PriorSessionError> {
        let rung = self.lengths.iter().position(|&length| time < length);
        let rung = rung.expect("a time of the section").max(self.first);
        let (batch, length) = (self.batch, self.lengths[rung]);
        let held = match time > 0 && rung != self.current {
            true => self.held(model, self.current, rung)?,
            false => Vec::new(),
        };
        if self.heavy && !held.is_empty() {
            let left = (batch, self.lengths[self.current]);
            self.programs.retain(|&key| key != left);
        }
        self.current = rung;
        let program = self.programs.get_with_state(
            (batch, length),
            || wavefront_function(model, batch, length),
            // What a cache holds at first does not matter: nothing reads a time before it is
            // written, but it must be finite, as a masked key counts zero times its value.
            |_, ty| Ok(Some(HostTensor::zeros(ty.dtype, ty.shape.to_vec())?)),
        )?;
        for (name, cache) in held {
            program.set_parameter(&name, &cache)?;
        }
        let time = HostTensor::scalar(time as i32)?;
        let mut outputs = program.run(&[("time", &time), ("known", known)])?;
        Ok(outputs
            .remove("projected")
            .expect("an output of the function"))
    }

    /// What the caches of one program hold, as long as those of another.
    fn held(
        &self,
        model: &PriorModel,
        from: usize,
        to: usize,
    ) -> Result<Vec<(String, HostTensor)>, PriorSessionError> {
        let shorter = self.programs.peek(&(self.batch, self.lengths[from]));
        let shorter = shorter.expect("it has just run");
        let mut held = Vec::new();
        for spec in cache_specs(model, self.batch, self.lengths[to]) {
            for name in spec.names() {
                let whole = lengthened(shorter.parameter(&name)?, &spec.ty.shape)?;
                held.push((name, whole));
            }
        }
        Ok(held)
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
