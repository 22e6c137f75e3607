//! A program with its memory on the CPU, and the threads that run it.

use super::timeline::Timeline;
use super::{Bound, LaunchTime, Outputs, ProgramError};
use crate::buffer::AlignedBuffer;
use crate::tensor_data::HostTensor;
use crate::threads::WorkerPool;
use bsq_codegen::cpu::clif::Compiled;
use bsq_codegen::program::{BufferId, BufferKind, Launch, Program};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A program bound to its parameters on the CPU.
pub(super) struct CpuBound {
    program: Arc<Program>,
    code: Arc<Compiled>,
    pool: WorkerPool,
    /// Memory of each buffer that is not a temporary.
    owned: Vec<Option<HostTensor>>,
    arena: AlignedBuffer,
    /// Scratch of each thread, one after the other.
    scratch: AlignedBuffer,
    scratch_stride: usize,
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
                BufferKind::Input(_) | BufferKind::Stable => {
                    Some(HostTensor::zeros(buffer.ty.dtype, shape)?)
                }
                BufferKind::Temporary { .. } => None,
            });
        }
        let scratch = program.kernels.iter();
        let scratch = scratch.map(|kernel| kernel.scratch_layout().1).max();
        let scratch_stride = scratch.unwrap_or(0).next_multiple_of(4096);
        Ok(CpuBound {
            pool: WorkerPool::new(threads)?,
            owned,
            arena: AlignedBuffer::zeroed(program.arena_bytes)?,
            scratch: AlignedBuffer::zeroed(scratch_stride * threads)?,
            scratch_stride,
            program,
            code,
        })
    }

    fn launch(&mut self, launch: &Launch, timeline: Option<&Timeline>) {
        let arguments: Vec<*mut u8> = launch
            .arguments
            .iter()
            .map(|&id| self.address(id))
            .collect();
        let kernel = &self.program.kernels[launch.kernel];
        let function = self.code.entry(launch.kernel);
        let scratch = Addresses(self.scratch.as_mut_ptr());
        let arguments = Arguments(arguments);
        let stride = self.scratch_stride;
        self.pool.run(kernel.items(), &|worker, range| {
            let _measured = timeline.map(|timeline| timeline.enter(worker));
            let scratch = scratch.at(worker * stride);
            // SAFETY: each argument has the elements that the kernel declares, the program's
            // verifier has bounded every static access, items write to disjoint elements, and
            // each worker has a scratch of its own.
            unsafe { function(arguments.get(), scratch, range.start, range.end) };
        });
    }

    fn owned_mut(&mut self, buffer: usize) -> &mut HostTensor {
        let tensor = self.owned[buffer].as_mut();
        tensor.expect("only temporaries are not owned")
    }

    fn address(&mut self, id: BufferId) -> *mut u8 {
        match self.program.buffer(id).kind {
            BufferKind::Temporary { offset } => {
                // SAFETY: the memory plan keeps every temporary inside the arena.
                unsafe { self.arena.as_mut_ptr().add(offset) }
            }
            _ => self.owned_mut(id.0 as usize).bytes_mut().as_mut_ptr(),
        }
    }
}

impl Bound for CpuBound {
    fn write_input(&mut self, buffer: usize, value: &HostTensor) -> Result<(), ProgramError> {
        let target = self.owned_mut(buffer).bytes_mut();
        target.copy_from_slice(value.bytes());
        Ok(())
    }

    fn write_parameter(&mut self, buffer: usize, value: &HostTensor) -> Result<(), ProgramError> {
        self.write_input(buffer, value)
    }

    fn parameter(&self, buffer: usize) -> Result<&HostTensor, ProgramError> {
        Ok(self.owned[buffer].as_ref().expect("parameters are owned"))
    }

    fn run(
        &mut self,
        stale: bool,
        profile: Option<&mut Vec<LaunchTime>>,
    ) -> Result<Outputs, ProgramError> {
        let program = self.program.clone();
        let mut timeline = profile
            .is_some()
            .then(|| Timeline::new(self.pool.threads()));
        for (index, launch) in program.launches.iter().enumerate() {
            if launch.stable && !stale {
                continue;
            }
            match &mut timeline {
                None => self.launch(launch, None),
                Some(timeline) => {
                    timeline.begin();
                    self.launch(launch, Some(&*timeline));
                    timeline.end(index, launch);
                }
            }
        }
        if let (Some(profile), Some(timeline)) = (profile, timeline) {
            profile.extend(timeline.into_launches());
        }
        for &(from, to) in &program.copies {
            let bytes = program.buffer(from).ty.bytes();
            let (from, to) = (self.address(from), self.address(to));
            // SAFETY: both buffers have `bytes` bytes, are owned by this value, and differ.
            unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) };
        }
        let mut outputs = Outputs::new();
        for (name, id) in &program.outputs {
            let ty = &program.buffer(*id).ty;
            // SAFETY: the buffer has the bytes of its type, and nothing writes to it now.
            let bytes = unsafe { std::slice::from_raw_parts(self.address(*id), ty.bytes()) };
            let tensor = HostTensor::from_bytes(ty.dtype, ty.shape.to_vec(), bytes)?;
            outputs.insert(name.clone(), tensor);
        }
        Ok(outputs)
    }
}

/// A launch's argument pointers, shared by the threads that run it.
struct Arguments(Vec<*mut u8>);

// SAFETY: the pointers are only passed to a kernel whose items may run in parallel.
unsafe impl Sync for Arguments {}

impl Arguments {
    fn get(&self) -> *const *mut u8 {
        self.0.as_ptr()
    }
}

/// The scratch of all threads.
struct Addresses(*mut u8);

// SAFETY: each worker uses only its own part.
unsafe impl Sync for Addresses {}

impl Addresses {
    fn at(&self, offset: usize) -> *mut u8 {
        self.0.wrapping_add(offset)
    }
}
