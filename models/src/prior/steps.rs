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

/// Cache lengths of a tile, each a part longer than the one before, with a program each.
const CACHE_LENGTHS: usize = 4;
/// Numbers in the caches of keys below which compiling several programs takes longer than they save.
const WORTH_WHILE: usize = 1 << 19;
/// Bytes of weights above which a program goes when the next one comes: each has its own packed
/// copy. There is only one where all keys and values are less than the weights: a step reads both,
/// and packing the weights anew would take longer than reading fewer keys saves.
const HEAVY: usize = 32 << 20;

/// The programs for wavefronts, compiled as they are needed.
pub(super) struct Steps {
    /// By tiles in a batch and wavefronts that the cache holds.
    programs: BoundPrograms<(usize, usize)>,
    /// How many cache lengths a tile has, if that is decided elsewhere.
    cache_lengths: Option<usize>,
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
            cache_lengths: None,
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

    /// See [`PriorSession::set_cache_lengths`](super::PriorSession::set_cache_lengths).
    pub fn set_cache_lengths(&mut self, count: Option<usize>) {
        self.cache_lengths = count;
    }

    /// What is to come: `wavefronts` of `batch` tiles.
    pub fn begin(&mut self, model: &PriorModel, batch: usize, wavefronts: usize) {
        let (order, config) = (model.order(), model.config());
        let numbers = batch * order.positions() * config.width * config.layers;
        let parameters = self.programs.parameters();
        let weights: usize = parameters.values().map(|tensor| tensor.bytes().len()).sum();
        let count = match self.heavy && 2 * numbers * size_of::<f32>() < weights {
            true => 1,
            false => CACHE_LENGTHS,
        };
        let count = self.cache_lengths.unwrap_or(count).max(1);
        // The same for tiles of all sizes: programs are used again.
        self.lengths = (1..=count)
            .map(|part| (part * order.wavefronts()).div_ceil(count))
            .collect();
        self.lengths.dedup();
        self.batch = batch;
        let lengths = &self.lengths;
        let wanted = |key: &(usize, usize)| key.0 == batch && lengths.contains(&key.1);
        self.programs.retain(wanted);
        self.first = match self.cache_lengths.is_some() || numbers >= WORTH_WHILE {
            true => 0,
            false => self.lengths.partition_point(|&length| length < wavefronts),
        };
    }

    /// `f32[batch, width, sub_tokens, hidden]` of a wavefront whose `known` are given; the first
    /// comes first and the others follow.
    pub fn run(
        &mut self,
        model: &PriorModel,
        wavefront: usize,
        known: &HostTensor,
    ) -> Result<HostTensor, PriorSessionError> {
        let index = self.lengths.iter().position(|&length| wavefront < length);
        let index = index.expect("a wavefront of the tile").max(self.first);
        let (batch, length) = (self.batch, self.lengths[index]);
        let held = match wavefront > 0 && index != self.current {
            true => self.held(model, self.current, index)?,
            false => Vec::new(),
        };
        if self.heavy && !held.is_empty() {
            let left = (batch, self.lengths[self.current]);
            self.programs.retain(|&key| key != left);
        }
        self.current = index;
        let program = self.programs.get_with_state(
            (batch, length),
            || wavefront_function(model, batch, length),
            // What a cache holds at first does not matter: nothing reads a wavefront before
            // it is written, but it must be finite, as a masked key counts zero times its value.
            |_, ty| Ok(Some(HostTensor::zeros(ty.dtype, ty.shape.to_vec())?)),
        )?;
        for (name, cache) in held {
            program.set_parameter(&name, &cache)?;
        }
        let wavefront = HostTensor::scalar(wavefront as i32)?;
        let mut outputs = program.run(&[("wavefront", &wavefront), ("known", known)])?;
        Ok(outputs.take("projected"))
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
