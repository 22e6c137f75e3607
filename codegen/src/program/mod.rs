//! A lowered program: unique kernels, the launches in order, and the buffers they share.

mod display;
mod names;
pub mod verify;

use crate::kernel::Kernel;
use bsq_ir::Type;
use std::sync::Arc;

/// Everything a runtime needs to run a function on any target.
#[derive(Clone, Debug)]
pub struct Program {
    /// Unique kernels: equal ones are one.
    pub kernels: Vec<Kernel>,
    pub launches: Vec<Launch>,
    pub buffers: Vec<Buffer>,
    /// Named results.
    pub outputs: Vec<(String, BufferId)>,
    /// The value that each output is.
    pub results: Vec<ValueId>,
    /// Buffers of parameters and the values that they hold after the last launch and all copies.
    pub updates: Vec<(BufferId, ValueId)>,
    /// Buffers copied into parameters after the last launch, where an update was not in place.
    pub copies: Vec<(BufferId, BufferId)>,
    /// Bytes of the arena that holds all temporaries.
    pub arena_bytes: usize,
}

/// A position in [`Program::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// What a buffer holds, whichever buffer that is: a result of a node, or something made of one.
/// [`verify`](verify::verify) follows values through memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// One run of a kernel.
#[derive(Clone, Debug)]
pub struct Launch {
    /// A position in [`Program::kernels`].
    pub kernel: usize,
    /// One buffer for each of the kernel's.
    pub arguments: Vec<BufferId>,
    /// The value of each argument: what is read there, or will be there afterwards.
    pub values: Vec<ValueId>,
    /// The value that must lie in the place of what is written, because only a part of it is.
    pub rest: Option<ValueId>,
    /// What it computes, for reports.
    pub label: String,
    /// Arithmetic operations of its contractions.
    pub flops: u64,
    /// True if everything it reads stays the same from run to run (parameters that this program
    /// does not update, and constants): it runs only after parameters were bound.
    pub invariant: bool,
}

/// An array that launches share.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub ty: Type,
    pub kind: BufferKind,
    /// What it holds before the first launch.
    pub initial: Option<ValueId>,
}

/// Where a buffer's memory comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BufferKind {
    /// Given at every run.
    Input(String),
    /// Lives with the program; updated in place by launches that write it.
    Parameter(String),
    Constant(Arc<[u8]>),
    /// Part of the arena, at this byte offset.
    Temporary {
        offset: usize,
    },
    /// Kept between runs: results of invariant launches.
    Invariant,
}

impl Program {
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }

    /// Bytes of parameters, constants and invariant buffers.
    pub fn resident_bytes(&self) -> usize {
        let resident = self.buffers.iter().filter(|buffer| match buffer.kind {
            BufferKind::Parameter(_) | BufferKind::Constant(_) | BufferKind::Invariant => true,
            BufferKind::Input(_) | BufferKind::Temporary { .. } => false,
        });
        resident.map(|buffer| buffer.ty.bytes()).sum()
    }

    /// Bytes of one run's inputs.
    pub fn input_bytes(&self) -> usize {
        let inputs = self.buffers.iter();
        let inputs = inputs.filter(|buffer| matches!(buffer.kind, BufferKind::Input(_)));
        inputs.map(|buffer| buffer.ty.bytes()).sum()
    }

    /// The most memory the program needs at any time, known before its first run.
    pub fn peak_bytes(&self) -> usize {
        self.resident_bytes() + self.input_bytes() + self.arena_bytes
    }

    /// Arithmetic operations of all contractions of one run.
    pub fn flops(&self) -> u64 {
        let launches = self.launches.iter().filter(|launch| !launch.invariant);
        launches.map(|launch| launch.flops).sum()
    }
}
