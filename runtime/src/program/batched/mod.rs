//! Batches of any size, served by the programs of a few sizes.

mod error;
mod layout;
mod parts;

pub use error::BatchError;

use super::{BoundPrograms, CompileOptions, Outputs, Session};
use crate::executor::Tensors;
use crate::tensor_data::HostTensor;
use bsq_ir::batch::BatchAxis;
use bsq_ir::{Function, Type};
use layout::Layout;
use std::collections::BTreeSet;

/// A model's programs of a few batch sizes, that together serve batches of every size without
/// compiling again: a request of three, the last samples of a validation set.
///
/// A batch runs in the smallest program that has room for it, filled up with its last sample,
/// whose further results are thrown away; one that is larger than all programs runs in several
/// parts. A sample's results are the same bits in every size: that no sample reaches another, and
/// nothing depends on the size, is shown of the functions before anything is compiled, and what
/// cannot be shown is refused with its line.
///
/// What it costs: a batch takes the time of the program it runs in. With the one size of 32 a
/// single sample takes what 32 take; with [`powers_of_two`] a batch takes less than twice what a
/// program of its own size would, and there are six programs, each with code and temporaries of
/// its own. Parameters are shared on a CPU, and are on a GPU once for each size.
///
/// ```
/// use bsq_ir::{DType, Graph};
/// use bsq_runtime::program::{BatchedProgram, powers_of_two};
/// use bsq_runtime::{CompileOptions, HostTensor};
///
/// let classify = |batch: usize| {
///     let g = Graph::new();
///     let x = g.input("x", DType::F32, [batch, 2]);
///     let w = g.parameter("w", DType::F32, [2, 2]);
///     g.function([("class", x.matmul(w).argmax(-1).id())], [])
/// };
/// let w = HostTensor::from_slice([2, 2], &[0.0f32, 1.0, 1.0, 0.0])?;
/// let parameters = [("w".to_string(), w)].into();
/// let options = CompileOptions::default();
/// let mut model = BatchedProgram::new(classify, parameters, options, &powers_of_two(4))?;
///
/// let x = HostTensor::from_slice([3, 2], &[1.0f32, 0.0, 0.0, 1.0, 2.0, 1.0])?;
/// assert_eq!(model.run(&[("x", &x)])?["class"].as_slice::<i32>()?, [1, 0, 1]);
/// # Ok::<(), bsq_runtime::program::BatchError>(())
/// ```
pub struct BatchedProgram {
    programs: BoundPrograms<usize>,
    sizes: BTreeSet<usize>,
    function: Box<dyn Fn(usize) -> Function + Send>,
    layout: Layout,
}

/// 1, 2, 4, .. and `largest`.
pub fn powers_of_two(largest: usize) -> Vec<usize> {
    let powers = (0..usize::BITS).map(|bit| 1 << bit);
    let below = powers.take_while(|&size| size < largest);
    below.chain([largest]).collect()
}

impl BatchedProgram {
    /// Compiles the functions of all `sizes` over `parameters`; those that the functions do not
    /// have are left out. `function` gives that of any size, and nothing but the batch may differ
    /// between two sizes: which axis of an input is the batch's is read from that.
    ///
    /// # Errors
    /// [`BatchError`] but for its last two: no size, a sample that depends on others or on the size, an
    /// update, a function that cannot be compiled, a parameter that is missing.
    pub fn new(
        function: impl Fn(usize) -> Function + Send + 'static,
        parameters: Tensors,
        options: CompileOptions,
        sizes: &[usize],
    ) -> Result<BatchedProgram, BatchError> {
        let sizes: BTreeSet<usize> = sizes.iter().copied().collect();
        let (Some(&largest), false) = (sizes.last(), sizes.contains(&0)) else {
            return Err(BatchError::NoSamples);
        };
        let more = function(largest + 1);
        let layout = Layout::new(largest, &function(largest), &more)?;
        let mut programs = BoundPrograms::new(parameters, options, sizes.len());
        for &size in &sizes {
            let own = function(size);
            layout.check(size, &own, &more)?;
            programs.get(size, || own)?;
        }
        Ok(BatchedProgram {
            programs,
            sizes,
            function: Box::new(function),
            layout,
        })
    }

    /// The sizes that there are programs for, ascending.
    pub fn sizes(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.sizes.iter().copied()
    }

    /// Runs a batch of any size: as many samples as its inputs have, at least one. Outputs have as
    /// many; those that the batch does not reach are as a single run gives them.
    ///
    /// # Errors
    /// If an input is missing, unknown or of another type, inputs have different numbers of samples, there are
    /// none, or the run fails.
    pub fn run(&mut self, inputs: &[(&str, &HostTensor)]) -> Result<Outputs, BatchError> {
        let samples = self.samples(inputs)?;
        let mut runs: Vec<Outputs> = Vec::new();
        let mut done = 0;
        while done < samples {
            let rest = samples - done;
            let size = self.size_for(rest);
            let taken = done..done + rest.min(size);
            let mut outputs = match taken.len() == samples && samples == size {
                true => self.session(size)?.run(inputs)?,
                false => {
                    let filled = inputs.iter().map(|&(name, tensor)| {
                        Ok((
                            name,
                            match self.axis(name) {
                                Some(at) => parts::part(tensor, at, taken.clone(), size)?,
                                None => tensor.clone(),
                            },
                        ))
                    });
                    let filled: Vec<(&str, HostTensor)> =
                        filled.collect::<Result<_, BatchError>>()?;
                    let filled: Vec<_> = filled
                        .iter()
                        .map(|(name, tensor)| (*name, tensor))
                        .collect();
                    self.session(size)?.run(&filled)?
                }
            };
            if taken.len() < size {
                for (name, at) in &self.layout.outputs {
                    if let Some(at) = *at {
                        let wanted = parts::part(&outputs[name], at, 0..taken.len(), taken.len())?;
                        outputs.insert(name.clone(), wanted);
                    }
                }
            }
            runs.push(outputs);
            done = taken.end;
        }
        self.joined(runs, samples)
    }

    /// One run's outputs of those of its parts.
    fn joined(&self, mut runs: Vec<Outputs>, samples: usize) -> Result<Outputs, BatchError> {
        let mut outputs = runs.pop().ok_or(BatchError::NoSamples)?;
        if runs.is_empty() {
            return Ok(outputs);
        }
        for (name, at) in &self.layout.outputs {
            if let Some(at) = *at {
                let last = [outputs.take(name)];
                let parts: Vec<HostTensor> = runs
                    .iter_mut()
                    .map(|run| run.take(name))
                    .chain(last)
                    .collect();
                outputs.insert(name.clone(), parts::joined(&parts, at, samples)?);
            }
        }
        Ok(outputs)
    }

    /// The smallest size with room for so many samples, or the largest.
    fn size_for(&self, samples: usize) -> usize {
        let fits = self.sizes.range(samples..).next();
        *fits.or(self.sizes.last()).expect("there is a size")
    }

    fn session(&mut self, size: usize) -> Result<&mut Session, BatchError> {
        let function = &self.function;
        Ok(self.programs.get(size, || function(size))?)
    }

    fn axis(&self, input: &str) -> Option<BatchAxis> {
        self.layout.inputs.get(input)?.1
    }

    /// How many samples the inputs have. What a session refuses is left to it.
    fn samples(&self, inputs: &[(&str, &HostTensor)]) -> Result<usize, BatchError> {
        let mut counted: Option<(&str, usize)> = None;
        for &(name, tensor) in inputs {
            let Some((ty, Some(at))) = self.layout.inputs.get(name) else {
                continue;
            };
            let Some(count) = count(tensor, ty, *at) else {
                return Err(BatchError::Input {
                    name: name.to_string(),
                    wanted: pattern(ty, *at),
                    got: Type::new(tensor.dtype(), tensor.shape()),
                });
            };
            match counted {
                Some((other, others)) if others != count => {
                    return Err(BatchError::Counts {
                        name: name.to_string(),
                        count,
                        other: other.to_string(),
                        others,
                    });
                }
                _ => counted = Some((name, count)),
            }
        }
        match counted {
            Some((_, 0)) => Err(BatchError::NoSamples),
            Some((_, count)) => Ok(count),
            // An input with samples is missing, which any session says.
            None => Ok(1),
        }
    }
}

/// How many samples a tensor has, if it is of the type but for them.
fn count(tensor: &HostTensor, ty: &Type, at: BatchAxis) -> Option<usize> {
    let shape = tensor.shape();
    let same = |axis: usize| axis == at.axis || shape[axis] == ty.shape[axis];
    let fits = tensor.dtype() == ty.dtype
        && shape.len() == ty.shape.rank()
        && (0..shape.len()).all(same)
        && shape[at.axis].is_multiple_of(at.each);
    fits.then(|| shape[at.axis] / at.each)
}

/// A type with `n` for the number of samples, such as `f32[n,3]`.
fn pattern(ty: &Type, at: BatchAxis) -> String {
    let extents = ty
        .shape
        .iter()
        .enumerate()
        .map(|(axis, extent)| match at.each {
            _ if axis != at.axis => extent.to_string(),
            1 => "n".to_string(),
            each => format!("{each} n"),
        });
    format!("{}[{}]", ty.dtype, extents.collect::<Vec<_>>().join(","))
}
