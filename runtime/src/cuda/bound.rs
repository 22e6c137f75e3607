//! A program with its memory on a GPU.
//!
//! Everything has its place before the first run: inputs, parameters, constants and what is kept
//! between runs in one piece of memory, temporaries in another, and the launches' workspace in a
//! third. So a launch's arguments never change, and after the first run the whole program is one
//! recorded graph. Inputs and outputs pass through pinned memory, inputs in a single copy.

use super::code::CudaCode;
use super::driver::{Event, Graph, Launch, Memory, Pinned, Stream};
use super::error::CudaError;
use crate::program::{BoundProgram, LaunchTime, ProgramError, Span};
use crate::tensor_data::HostTensor;
use bsq_codegen::program::{BufferId, BufferKind, Program};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Alignment of every buffer: more than the widest load.
const ALIGNMENT: usize = 256;

/// A program bound to its parameters on a GPU.
pub struct CudaBound {
    program: Arc<Program>,
    code: Arc<CudaCode>,
    launches: Vec<Launch>,
    stream: Stream,
    graph: Recorded,
    /// Inputs first, then parameters, constants, and what invariant launches leave.
    resident: Memory,
    arena: Memory,
    /// Held for the launches that have its address.
    _workspace: Memory,
    /// Offset in `resident` or `arena`, by buffer.
    places: Vec<usize>,
    inputs: Pinned,
    outputs: Pinned,
    output_ranges: Vec<Range<usize>>,
    /// Values of parameters as they were last read, by buffer; empty after a run.
    read: Vec<OnceCell<HostTensor>>,
}

/// The graph of a whole run without invariant launches.
enum Recorded {
    NotYet,
    Graph(Graph),
    /// The driver does not record this program: launches are given one by one.
    Never,
}

impl CudaBound {
    /// Takes the device's memory and uploads parameters and constants.
    pub fn new(
        program: Arc<Program>,
        code: Arc<CudaCode>,
        parameters: &BTreeMap<usize, HostTensor>,
    ) -> Result<CudaBound, CudaError> {
        let layout = Layout::of(&program);
        let workspace = code.entries.iter().map(|entry| entry.workspace_bytes);
        let workspace_bytes = workspace.max().unwrap_or(0);
        let needed = layout.resident_bytes + program.arena_bytes + workspace_bytes;
        let free = code.context.free_bytes()?;
        if needed > free {
            return Err(CudaError::Memory {
                name: code.context.info().name.clone(),
                needed,
                free,
            });
        }
        let mut resident = Memory::zeroed(&code.context, layout.resident_bytes)?;
        let arena = Memory::zeroed(&code.context, program.arena_bytes)?;
        let workspace = Memory::zeroed(&code.context, workspace_bytes)?;
        for (index, buffer) in program.buffers.iter().enumerate() {
            match &buffer.kind {
                BufferKind::Parameter(_) => {
                    resident.write(layout.places[index], parameters[&index].bytes())?;
                }
                BufferKind::Constant(bytes) => resident.write(layout.places[index], bytes)?,
                BufferKind::Input(_) | BufferKind::Temporary { .. } | BufferKind::Invariant => {}
            }
        }
        let address = |id: &BufferId| {
            let place = layout.places[id.0 as usize];
            match program.buffer(*id).kind {
                BufferKind::Temporary { .. } => arena.address(place),
                _ => resident.address(place),
            }
        };
        let launches = program.launches.iter().map(|launch| {
            let entry = &code.entries[launch.kernel];
            let mut arguments: Vec<u64> = launch.arguments.iter().map(address).collect();
            if entry.workspace_bytes > 0 {
                arguments.push(workspace.address(0));
            }
            Launch {
                blocks: entry.blocks,
                threads: entry.threads,
                dynamic_shared_bytes: entry.dynamic_shared_bytes as u32,
                arguments,
            }
        });
        let launches = launches.collect();
        let mut output_ranges = Vec::new();
        let mut output_bytes = 0;
        for (_, id) in &program.outputs {
            let end = output_bytes + program.buffer(*id).ty.bytes();
            output_ranges.push(output_bytes..end);
            output_bytes = end.next_multiple_of(ALIGNMENT);
        }
        Ok(CudaBound {
            launches,
            stream: Stream::new(&code.context)?,
            graph: Recorded::NotYet,
            resident,
            arena,
            _workspace: workspace,
            inputs: Pinned::zeroed(&code.context, layout.input_bytes)?,
            outputs: Pinned::zeroed(&code.context, output_bytes)?,
            output_ranges,
            read: program.buffers.iter().map(|_| OnceCell::new()).collect(),
            places: layout.places,
            program,
            code,
        })
    }

    /// Starts the launches that are wanted, by their position.
    fn give(&self, stream: &Stream, is_wanted: impl Fn(usize) -> bool) -> Result<(), CudaError> {
        let launches = self.program.launches.iter().zip(&self.launches);
        for (_, (of, launch)) in launches.enumerate().filter(|(index, _)| is_wanted(*index)) {
            // SAFETY: the arguments are the kernel's buffers, in memory of this value, and every
            // run is waited for. The program's verifier has bounded every static access.
            unsafe { stream.launch(&self.code.functions[of.kernel], launch)? };
        }
        Ok(())
    }

    /// Starts all launches that are not invariant, and what follows them.
    fn give_run(&self, stream: &Stream) -> Result<(), CudaError> {
        self.give(stream, |index| !self.program.launches[index].invariant)?;
        self.copy_updates(stream)
    }

    /// Starts copying what could not be updated in place.
    fn copy_updates(&self, stream: &Stream) -> Result<(), CudaError> {
        for &(from, to) in &self.program.copies {
            let bytes = self.program.buffer(from).ty.bytes();
            // SAFETY: both buffers have as many bytes, in memory of this value.
            unsafe { stream.copy(self.address(to), self.address(from), bytes)? };
        }
        Ok(())
    }

    fn address(&self, id: BufferId) -> u64 {
        let (memory, place) = self.place(id);
        memory.address(place)
    }

    fn place(&self, id: BufferId) -> (&Memory, usize) {
        let memory = match self.program.buffer(id).kind {
            BufferKind::Temporary { .. } => &self.arena,
            _ => &self.resident,
        };
        (memory, self.places[id.0 as usize])
    }

    /// Starts one run.
    fn start(&mut self, outdated: &[bool]) -> Result<(), CudaError> {
        // SAFETY: `inputs` is written at the start of a run alone, and every run is waited for.
        unsafe { self.stream.write(&self.resident, 0, &self.inputs)? };
        self.give(&self.stream, |index| outdated[index])?;
        if let Recorded::NotYet = self.graph {
            let recorded = self.stream.record(|stream| self.give_run(stream));
            self.graph = match recorded {
                Ok(graph) => Recorded::Graph(graph),
                Err(lost @ CudaError::Lost { .. }) => return Err(lost),
                // Some systems forbid it, such as a debugger's.
                Err(_) => Recorded::Never,
            };
        }
        match &self.graph {
            // SAFETY: the recorded addresses are those of memory of this value.
            Recorded::Graph(graph) => unsafe { self.stream.replay(graph) },
            Recorded::NotYet | Recorded::Never => self.give_run(&self.stream),
        }
    }

    /// Starts one run, launch by launch, each between two events.
    fn start_measured(
        &mut self,
        outdated: &[bool],
    ) -> Result<Vec<(usize, Event, Event)>, CudaError> {
        // SAFETY: as in `start`.
        unsafe { self.stream.write(&self.resident, 0, &self.inputs)? };
        let mut moments = Vec::new();
        for (index, launch) in self.launches.iter().enumerate() {
            let of = &self.program.launches[index];
            if of.invariant && !outdated[index] {
                continue;
            }
            let start = Event::record(&self.stream)?;
            // SAFETY: as in `give`.
            unsafe {
                self.stream
                    .launch(&self.code.functions[of.kernel], launch)?;
            }
            moments.push((index, start, Event::record(&self.stream)?));
        }
        self.copy_updates(&self.stream)?;
        Ok(moments)
    }

    /// Starts copying the results, and waits for everything.
    fn finish(&mut self) -> Result<(), CudaError> {
        for (range, (_, id)) in self.output_ranges.iter().zip(&self.program.outputs) {
            let place = self.places[id.0 as usize];
            let memory = match self.program.buffer(*id).kind {
                BufferKind::Temporary { .. } => &self.arena,
                _ => &self.resident,
            };
            // SAFETY: `outputs` is read in `run` alone, after everything was waited for.
            unsafe {
                self.stream
                    .read(memory, place, &mut self.outputs, range.clone())?;
            }
        }
        self.stream.wait()
    }
}

impl BoundProgram for CudaBound {
    fn write_parameter(&mut self, buffer: usize, value: &HostTensor) -> Result<(), ProgramError> {
        self.resident.write(self.places[buffer], value.bytes())?;
        self.read[buffer].take();
        Ok(())
    }

    fn parameter(&self, buffer: usize) -> Result<&HostTensor, ProgramError> {
        if let Some(tensor) = self.read[buffer].get() {
            return Ok(tensor);
        }
        let ty = &self.program.buffers[buffer].ty;
        let mut tensor = HostTensor::zeros(ty.dtype, ty.shape.to_vec())?;
        self.resident
            .read(self.places[buffer], tensor.bytes_mut()?)?;
        Ok(self.read[buffer].get_or_init(|| tensor))
    }

    fn run(
        &mut self,
        inputs: &[(usize, &HostTensor)],
        outdated: &[bool],
        profile: Option<&mut Vec<LaunchTime>>,
        ready: &mut dyn FnMut(usize, HostTensor),
    ) -> Result<(), ProgramError> {
        for &(buffer, value) in inputs {
            let bytes = value.bytes();
            self.inputs[self.places[buffer]..][..bytes.len()].copy_from_slice(bytes);
        }
        self.code.context.make_current()?;
        self.read.iter_mut().for_each(|value| {
            value.take();
        });
        let started = match profile.is_some() {
            true => self.start_measured(outdated),
            false => self.start(outdated).map(|()| Vec::new()),
        };
        // What has started is waited for even if not everything could be.
        let finished = self.finish();
        let moments = started?;
        finished?;
        if let (Some(profile), Some((_, origin, _))) = (profile, moments.first()) {
            for (index, start, end) in &moments {
                let of = &self.program.launches[*index];
                profile.push(LaunchTime {
                    label: of.label.clone(),
                    launch: *index,
                    kernel: of.kernel,
                    flops: of.flops,
                    span: Span {
                        start: start.since(origin)?,
                        end: end.since(origin)?,
                    },
                    threads: Vec::new(),
                });
            }
        }
        let outputs = self.output_ranges.iter().zip(&self.program.outputs);
        for (output, (range, (_, id))) in outputs.enumerate() {
            let ty = &self.program.buffer(*id).ty;
            let bytes = &self.outputs[range.clone()];
            ready(
                output,
                HostTensor::from_bytes(ty.dtype, ty.shape.to_vec(), bytes)?,
            );
        }
        Ok(())
    }
}

/// Where each buffer is.
struct Layout {
    places: Vec<usize>,
    input_bytes: usize,
    resident_bytes: usize,
}

impl Layout {
    /// Inputs side by side, so that one copy brings them all.
    fn of(program: &Program) -> Layout {
        let mut places = vec![0; program.buffers.len()];
        let mut end = 0;
        let mut input_bytes = 0;
        for inputs in [true, false] {
            for (index, buffer) in program.buffers.iter().enumerate() {
                match buffer.kind {
                    BufferKind::Temporary { offset } => places[index] = offset,
                    BufferKind::Input(_) if !inputs => {}
                    BufferKind::Input(_) => {
                        places[index] = end;
                        end += buffer.ty.bytes().next_multiple_of(ALIGNMENT);
                    }
                    BufferKind::Parameter(_) | BufferKind::Constant(_) | BufferKind::Invariant => {
                        if !inputs {
                            places[index] = end;
                            end += buffer.ty.bytes().next_multiple_of(ALIGNMENT);
                        }
                    }
                }
            }
            if inputs {
                input_bytes = end;
            }
        }
        Layout {
            places,
            input_bytes,
            resident_bytes: end,
        }
    }
}
