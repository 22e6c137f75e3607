//! A program with its parameters and memory, ready to run.

use super::ProgramError;
use super::addresses::Addresses;
use super::compile::Executable;
use super::timeline::{LaunchTime, Timeline};
use crate::buffer::AlignedBuffer;
use crate::tensor_data::HostTensor;
use crate::threads::WorkerPool;
use bsq_codegen::program::BufferKind;
use bsq_ir::Type;
use std::collections::BTreeMap;

/// Results of a run by name.
pub type Outputs = BTreeMap<String, HostTensor>;

/// A bound program. Parameters that the program updates change with every run.
pub struct Session {
    executable: Executable,
    pool: WorkerPool,
    /// Memory of parameters, constants and what is kept between runs. Launches know it by address:
    /// it stays where it is.
    owned: Vec<Option<HostTensor>>,
    /// Memory of temporaries, which launches know by address too.
    _arena: AlignedBuffer,
    /// Scratch of each thread, one after the other.
    scratch: AlignedBuffer,
    scratch_stride: usize,
    addresses: Addresses,
    names: Names,
    /// Stable launches must run before the next run.
    stale: bool,
}

/// Buffers of inputs and parameters by name.
#[derive(Default)]
struct Names {
    inputs: BTreeMap<String, usize>,
    parameters: BTreeMap<String, usize>,
}

impl Session {
    pub(super) fn new(
        executable: Executable,
        mut parameters: BTreeMap<String, HostTensor>,
    ) -> Result<Self, ProgramError> {
        let program = &executable.program;
        let mut names = Names::default();
        let mut owned = Vec::with_capacity(program.buffers.len());
        for (index, buffer) in program.buffers.iter().enumerate() {
            let shape = buffer.ty.shape.to_vec();
            owned.push(match &buffer.kind {
                BufferKind::Input(name) => {
                    names.inputs.insert(name.clone(), index);
                    None
                }
                BufferKind::Parameter(name) => {
                    names.parameters.insert(name.clone(), index);
                    let wanted = buffer.ty.clone();
                    let tensor = parameters
                        .remove(name)
                        .ok_or_else(|| ProgramError::Missing {
                            kind: "parameter",
                            name: name.clone(),
                            wanted,
                        })?;
                    check("parameter", name, &buffer.ty, &tensor)?;
                    Some(tensor)
                }
                BufferKind::Constant(bytes) => {
                    Some(HostTensor::from_bytes(buffer.ty.dtype, shape, bytes)?)
                }
                BufferKind::Stable => Some(HostTensor::zeros(buffer.ty.dtype, shape)?),
                BufferKind::Temporary { .. } => None,
            });
        }
        if let Some(name) = parameters.into_keys().next() {
            return Err(unexpected("parameter", name, &names.parameters));
        }
        let scratch_stride = executable.scratch_bytes.next_multiple_of(4096);
        let pool = WorkerPool::new(executable.threads)?;
        let arena = AlignedBuffer::zeroed(program.arena_bytes)?;
        let scratch = AlignedBuffer::zeroed(scratch_stride * executable.threads)?;
        let located = program.buffers.iter().zip(&owned);
        let located = located.map(|(buffer, tensor)| match (&buffer.kind, tensor) {
            // The memory plan keeps every temporary inside the arena.
            (&BufferKind::Temporary { offset }, _) => arena.address().wrapping_add(offset),
            (_, Some(tensor)) => tensor.address(),
            (_, None) => std::ptr::null_mut(),
        });
        let addresses = Addresses::new(program, located.collect());
        Ok(Session {
            executable,
            pool,
            owned,
            _arena: arena,
            addresses,
            scratch,
            scratch_stride,
            names,
            stale: true,
        })
    }

    /// The current value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&HostTensor> {
        self.names
            .parameters
            .get(name)
            .and_then(|&index| self.owned[index].as_ref())
    }

    /// Every parameter with its current value, by name.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &HostTensor)> {
        let value = |&index: &usize| self.owned[index].as_ref().expect("parameters are owned");
        self.names
            .parameters
            .iter()
            .map(move |(name, index)| (name.as_str(), value(index)))
    }

    /// Replaces the value of a parameter.
    pub fn set_parameter(&mut self, name: &str, value: &HostTensor) -> Result<(), ProgramError> {
        let Some(&index) = self.names.parameters.get(name) else {
            return Err(unexpected(
                "parameter",
                name.to_string(),
                &self.names.parameters,
            ));
        };
        let wanted = &self.executable.program.buffers[index].ty;
        check("parameter", name, wanted, value)?;
        let target = self.owned[index].as_mut().expect("parameters are owned");
        target.bytes_mut().copy_from_slice(value.bytes());
        self.stale = true;
        Ok(())
    }

    /// Runs once. All inputs must be given, each by its name.
    pub fn run(&mut self, inputs: &[(&str, &HostTensor)]) -> Result<Outputs, ProgramError> {
        self.run_with(inputs, None)
    }

    /// Runs once and measures each launch, and in it each thread.
    pub fn profile(
        &mut self,
        inputs: &[(&str, &HostTensor)],
    ) -> Result<(Outputs, Vec<LaunchTime>), ProgramError> {
        let mut timeline = Timeline::new(self.pool.threads());
        let outputs = self.run_with(inputs, Some(&mut timeline))?;
        Ok((outputs, timeline.into_launches()))
    }

    fn run_with(
        &mut self,
        inputs: &[(&str, &HostTensor)],
        mut timeline: Option<&mut Timeline>,
    ) -> Result<Outputs, ProgramError> {
        for &(name, value) in inputs {
            let Some(&index) = self.names.inputs.get(name) else {
                return Err(unexpected("input", name.to_string(), &self.names.inputs));
            };
            let wanted = &self.executable.program.buffers[index].ty;
            check("input", name, wanted, value)?;
            self.addresses.lend(index, value.address());
        }
        let given = |name: &String| inputs.iter().any(|input| input.0 == name);
        if let Some((name, &index)) = self.names.inputs.iter().find(|(name, _)| !given(name)) {
            let wanted = self.executable.program.buffers[index].ty.clone();
            return Err(ProgramError::Missing {
                kind: "input",
                name: name.clone(),
                wanted,
            });
        }
        // From here on every input is lent, by a tensor that lives until this returns.
        for (index, launch) in self.executable.program.launches.iter().enumerate() {
            if launch.stable && !self.stale {
                continue;
            }
            match timeline.as_deref_mut() {
                None => self.launch(index, None),
                Some(timeline) => {
                    timeline.begin();
                    self.launch(index, Some(&*timeline));
                    timeline.end(index, launch);
                }
            }
        }
        self.stale = false;
        let program = &self.executable.program;
        for &(from, to) in &program.copies {
            let bytes = program.buffer(from).ty.bytes();
            let (from, to) = (self.addresses.buffer(from), self.addresses.buffer(to));
            // SAFETY: both buffers have `bytes` bytes and differ; this session may write to `to`.
            unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) };
        }
        let mut outputs = Outputs::new();
        for (name, id) in &program.outputs {
            let (ty, at) = (&program.buffer(*id).ty, self.addresses.buffer(*id));
            // SAFETY: the buffer has the bytes of its type, and nothing writes to it now.
            let bytes = unsafe { std::slice::from_raw_parts(at, ty.bytes()) };
            let tensor = HostTensor::from_bytes(ty.dtype, ty.shape.to_vec(), bytes)?;
            outputs.insert(name.clone(), tensor);
        }
        Ok(outputs)
    }

    /// Runs one launch. Every input is lent.
    fn launch(&self, index: usize, timeline: Option<&Timeline>) {
        let program = &self.executable.program;
        let kernel = program.launches[index].kernel;
        let function = self.executable.code.entry(kernel);
        let stride = self.scratch_stride;
        self.pool
            .run(program.kernels[kernel].items(), &|worker, range| {
                let _measured = timeline.map(|timeline| timeline.enter(worker));
                let arguments = self.addresses.arguments(index);
                let scratch = self.scratch.address().wrapping_add(worker * stride);
                // SAFETY: each argument has the elements that the kernel declares, the program's
                // verifier has bounded every static access, items write to disjoint elements of what
                // this session owns, and each worker has a scratch of its own.
                unsafe { function(arguments, scratch, range.start, range.end) };
            });
    }
}

fn check(
    kind: &'static str,
    name: &str,
    wanted: &Type,
    got: &HostTensor,
) -> Result<(), ProgramError> {
    if got.dtype() == wanted.dtype && *got.shape() == *wanted.shape {
        return Ok(());
    }
    let got = Type::new(got.dtype(), got.shape());
    Err(ProgramError::Mismatch {
        kind,
        name: name.to_string(),
        wanted: wanted.clone(),
        got,
    })
}

fn unexpected(kind: &'static str, name: String, known: &BTreeMap<String, usize>) -> ProgramError {
    let mut names: Vec<&str> = known.keys().map(String::as_str).collect();
    if names.len() > 8 {
        names.truncate(8);
        names.push("...");
    }
    ProgramError::Unexpected {
        kind,
        name,
        known: names.join(", "),
    }
}
