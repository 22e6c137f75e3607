//! A program with its memory on the CPU, and the threads that run it.

use super::addresses::Addresses;
use super::timeline::Timeline;
use super::{BoundProgram, LaunchTime, ProgramError};
use crate::buffer::AlignedBuffer;
use crate::tensor_data::{HostTensor, TensorError};
use crate::threads::WorkerPool;
use bsq_codegen::cpu::clif::Compiled;
use bsq_codegen::program::{BufferKind, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A program bound to its parameters on the CPU.
pub(super) struct CpuBound {
    program: Arc<Program>,
    code: Arc<Compiled>,
    pool: WorkerPool,
    /// Memory of parameters, constants and what is kept between runs. Launches know it by address.
    owned: Vec<Option<HostTensor>>,
    /// Parameters that runs write to.
    updated: Vec<usize>,
    /// Outputs by the launch that is the last to write to them; by none where no launch of every run is.
    finished: BTreeMap<Option<usize>, Vec<usize>>,
    /// Memory of temporaries, which launches know by address too.
    _arena: AlignedBuffer,
    /// Scratch of each thread, one after the other.
    scratch: AlignedBuffer,
    scratch_stride: usize,
    addresses: Addresses,
}

impl CpuBound {
    pub(super) fn new(
        program: Arc<Program>,
        code: Arc<Compiled>,
        threads: usize,
        mut parameters: BTreeMap<usize, HostTensor>,
    ) -> Result<CpuBound, ProgramError> {
        let mut owned = Vec::with_capacity(program.buffers.len());
        for (index, buffer) in program.buffers.iter().enumerate() {
            let shape = buffer.ty.shape.to_vec();
            owned.push(match &buffer.kind {
                BufferKind::Parameter(_) => parameters.remove(&index),
                BufferKind::Constant(bytes) => {
                    Some(HostTensor::from_bytes(buffer.ty.dtype, shape, bytes)?)
                }
                BufferKind::Invariant => Some(HostTensor::zeros(buffer.ty.dtype, shape)?),
                BufferKind::Input(_) | BufferKind::Temporary { .. } => None,
            });
        }
        let scratch = program.kernels.iter();
        let scratch = scratch.map(|kernel| kernel.scratch_layout().1).max();
        let scratch_stride = scratch.unwrap_or(0).next_multiple_of(4096);
        let pool = WorkerPool::new(threads)?;
        let arena = AlignedBuffer::zeroed(program.arena_bytes)?;
        let scratch = AlignedBuffer::zeroed(scratch_stride * threads)?;
        let located = program.buffers.iter().zip(&owned);
        let located = located.map(|(buffer, tensor)| match (&buffer.kind, tensor) {
            // The memory plan keeps every temporary inside the arena.
            (&BufferKind::Temporary { offset }, _) => arena.address().wrapping_add(offset),
            (_, Some(tensor)) => tensor.address(),
            (_, None) => std::ptr::null_mut(),
        });
        let addresses = Addresses::new(&program, located.collect());
        Ok(CpuBound {
            updated: updated(&program),
            finished: finished(&program),
            program,
            code,
            pool,
            owned,
            _arena: arena,
            scratch,
            scratch_stride,
            addresses,
        })
    }

    /// Gives parameters that are written to memory that nothing else reads: who has asked for
    /// their values keeps them.
    fn unshare_updated(&mut self) -> Result<(), ProgramError> {
        for &index in &self.updated {
            let parameter = self.owned[index].as_mut().expect("parameters are owned");
            if parameter.unshare().map_err(TensorError::from)? {
                self.addresses.place(index, parameter.address());
            }
        }
        Ok(())
    }

    /// An output that no launch writes to any more.
    fn output(&self, output: usize) -> Result<HostTensor, ProgramError> {
        let (_, id) = &self.program.outputs[output];
        let (ty, at) = (&self.program.buffer(*id).ty, self.addresses.buffer(*id));
        // SAFETY: the buffer has the bytes of its type, and nothing writes to it now.
        let bytes = unsafe { std::slice::from_raw_parts(at, ty.bytes()) };
        Ok(HostTensor::from_bytes(ty.dtype, ty.shape.to_vec(), bytes)?)
    }

    /// Runs one launch. Every input is bound.
    fn launch(&self, index: usize, timeline: Option<&Timeline>) {
        let kernel = self.program.launches[index].kernel;
        let function = self.code.entry(kernel);
        let stride = self.scratch_stride;
        let items = self.program.kernels[kernel].items();
        self.pool.run(items, &|worker, range| {
            let _measured = timeline.map(|timeline| timeline.enter(worker));
            let arguments = self.addresses.arguments(index);
            let scratch = self.scratch.address().wrapping_add(worker * stride);
            // SAFETY: each argument has the elements that the kernel declares, the program's
            // verifier has bounded every static access, items write to disjoint elements of what
            // this value owns, and each worker has a scratch.
            unsafe { function(arguments, scratch, range.start, range.end) };
        });
    }
}

impl BoundProgram for CpuBound {
    fn write_parameter(&mut self, buffer: usize, value: &HostTensor) -> Result<(), ProgramError> {
        self.owned[buffer] = Some(value.clone());
        self.addresses.place(buffer, value.address());
        Ok(())
    }

    fn parameter(&self, buffer: usize) -> Result<&HostTensor, ProgramError> {
        Ok(self.owned[buffer].as_ref().expect("parameters are owned"))
    }

    fn run(
        &mut self,
        inputs: &[(usize, &HostTensor)],
        outdated: &[bool],
        profile: Option<&mut Vec<LaunchTime>>,
        ready: &mut dyn FnMut(usize, HostTensor),
    ) -> Result<(), ProgramError> {
        // Every input is bound to a tensor that lives until this returns.
        for &(buffer, value) in inputs {
            self.addresses.place(buffer, value.address());
        }
        self.unshare_updated()?;
        let mut timeline = profile
            .is_some()
            .then(|| Timeline::new(self.pool.threads()));
        for (index, launch) in self.program.launches.iter().enumerate() {
            if launch.invariant && !outdated[index] {
                continue;
            }
            match &mut timeline {
                None => self.launch(index, None),
                Some(timeline) => {
                    timeline.begin();
                    self.launch(index, Some(&*timeline));
                    timeline.end(index, launch);
                }
            }
            for &output in self.finished.get(&Some(index)).into_iter().flatten() {
                ready(output, self.output(output)?);
            }
        }
        if let (Some(profile), Some(timeline)) = (profile, timeline) {
            profile.extend(timeline.into_launches());
        }
        for &(from, to) in &self.program.copies {
            let bytes = self.program.buffer(from).ty.bytes();
            let (from, to) = (self.addresses.buffer(from), self.addresses.buffer(to));
            // SAFETY: both buffers have `bytes` bytes and differ; this value may write to `to`.
            unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) };
        }
        for &output in self.finished.get(&None).into_iter().flatten() {
            ready(output, self.output(output)?);
        }
        Ok(())
    }
}

/// Outputs by the last launch that writes to their buffers. What parameters, inputs and constants hold, and
/// what is kept between runs, is there at the end.
fn finished(program: &Program) -> BTreeMap<Option<usize>, Vec<usize>> {
    let mut last_writers = BTreeMap::new();
    for (index, launch) in program.launches.iter().enumerate() {
        let arrays = &program.kernels[launch.kernel].buffers;
        let arguments = launch.arguments.iter().zip(arrays);
        for (id, _) in arguments.filter(|(_, array)| array.written) {
            last_writers.insert(*id, index);
        }
    }
    let mut finished: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    for (output, (_, id)) in program.outputs.iter().enumerate() {
        let is_temporary = matches!(program.buffer(*id).kind, BufferKind::Temporary { .. });
        let writer = last_writers.get(id).copied().filter(|_| is_temporary);
        finished.entry(writer).or_default().push(output);
    }
    finished
}

/// Parameters that a program's launches or copies write to.
fn updated(program: &Program) -> Vec<usize> {
    let launches = program.launches.iter().flat_map(|launch| {
        let arrays = &program.kernels[launch.kernel].buffers;
        let arguments = launch.arguments.iter().zip(arrays);
        arguments.filter_map(|(id, array)| array.written.then_some(id.0 as usize))
    });
    let copies = program.copies.iter().map(|(_, to)| to.0 as usize);
    let written: BTreeSet<usize> = launches.chain(copies).collect();
    let is_parameter =
        |&index: &usize| matches!(program.buffers[index].kind, BufferKind::Parameter(_));
    written.into_iter().filter(is_parameter).collect()
}

#[cfg(test)]
mod tests {
    use crate::{CompileOptions, HostTensor, Outputs, compile};
    use bsq_ir::{DType, Graph};

    #[test]
    fn outputs_are_given_as_they_are_computed_and_all_of_them() {
        let g = Graph::new();
        let x = g.input("x", DType::F32, [8, 64]);
        let w = g.parameter("w", DType::F32, [64, 64]);
        let first = x.matmul(w);
        let last = first.exp().matmul(w);
        let outputs = [("last", last), ("first", first), ("x", x), ("w", w)];
        let outputs = outputs.map(|(name, tensor)| (name, tensor.id()));
        let function = g.function(outputs, [(w.id(), (w * 0.5).id())]);
        let executable = compile(&function, &CompileOptions::default()).unwrap();
        let value = |shape: [usize; 2], scale: f32| {
            let values: Vec<f32> = (0..shape[0] * shape[1])
                .map(|i| (i % 7) as f32 * scale)
                .collect();
            HostTensor::from_slice(shape, &values).unwrap()
        };
        let bind = || {
            executable
                .bind([("w".to_string(), value([64, 64], 0.01))].into())
                .unwrap()
        };
        let (mut whole, mut each, x) = (bind(), bind(), value([8, 64], 0.1));
        for _ in 0..2 {
            let (mut names, mut found) = (Vec::new(), Outputs::new());
            each.run_each(&[("x", &x)], |name, tensor| {
                names.push(name.to_string());
                found.insert(name.to_string(), tensor);
            })
            .unwrap();
            assert_eq!(found, whole.run(&[("x", &x)]).unwrap());
            assert_eq!(names.len(), 4);
            // Copies of inputs and parameters may come at any time.
            names.retain(|name| name.ends_with("st"));
            assert_eq!(names, ["first", "last"]);
        }
    }
}
