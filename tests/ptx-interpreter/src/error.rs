//! What can be wrong: with the text, with a launch, with what a kernel does.

use std::fmt;

use super::types::Space;

/// Any error of the interpreter.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
    /// The host read bytes that nothing has written.
    #[error("the host reads byte {offset} of an allocation, which nothing has written")]
    ReadsUninitialised { offset: usize },
}

impl Error {
    /// The kind of the fault, if a kernel was at fault.
    pub fn fault(&self) -> Option<&FaultKind> {
        match self {
            Error::Fault(fault) => Some(&fault.kind),
            _ => None,
        }
    }
}

/// The text is not PTX, or not PTX that this interpreter accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}, column {column}: {message}")]
pub struct ParseError {
    pub line: u32,
    pub column: u32,
    pub message: String,
}

/// A launch that cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    #[error("the module has no kernel `{name}`; it has {known}")]
    UnknownKernel { name: String, known: String },
    #[error("kernel `{kernel}` takes {wanted} parameters, not {given}")]
    ParameterCount {
        kernel: String,
        wanted: usize,
        given: usize,
    },
    #[error("parameter `{name}` of kernel `{kernel}` has {wanted} bytes, not {given}")]
    ParameterSize {
        kernel: String,
        name: String,
        wanted: usize,
        given: usize,
    },
    #[error("kernel `{kernel}`: {dimension} {given:?} is not allowed: {reason}")]
    Dimension {
        kernel: String,
        dimension: &'static str,
        given: [u32; 3],
        reason: String,
    },
    #[error("kernel `{kernel}` needs {bytes} bytes of shared memory; a block has {limit}")]
    SharedMemory {
        kernel: String,
        bytes: usize,
        limit: usize,
    },
}

/// A kernel did what it must not do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("kernel `{kernel}`, line {line} `{text}`, block {block:?}, thread {thread:?}: {kind}")]
pub struct Fault {
    pub kernel: String,
    /// Line of the PTX text, from 1.
    pub line: u32,
    /// That line.
    pub text: String,
    pub block: [u32; 3],
    pub thread: [u32; 3],
    pub kind: FaultKind,
}

/// Which access the other side of a race was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// Block number, x fastest.
    pub block: u32,
    /// Thread number in its block, x fastest.
    pub thread: u32,
    /// Several lanes of that thread's warp made the access.
    pub several: bool,
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let and_others = if self.several {
            " and others of its warp"
        } else {
            ""
        };
        write!(
            f,
            "thread {}{and_others} of block {}",
            self.thread, self.block
        )
    }
}

/// What was wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FaultKind {
    #[error("register {register} is read before it is written")]
    UninitialisedRegister { register: String },
    #[error("{space} address {address:#x} is read before it is written")]
    UninitialisedMemory { space: Space, address: u64 },
    #[error("{bytes} bytes at {space} address {address:#x} are out of bounds")]
    OutOfBounds {
        space: Space,
        address: u64,
        bytes: u32,
    },
    #[error("{space} address {address:#x} is not a multiple of {wanted}")]
    Misaligned {
        space: Space,
        address: u64,
        wanted: u32,
    },
    #[error(
        "race at {space} address {address:#x}: a {this} here and a {that} by {other}, \
         no barrier between them"
    )]
    Race {
        space: Space,
        address: u64,
        this: &'static str,
        that: &'static str,
        other: Other,
    },
    #[error("ld.global.nc reads address {address:#x}, which {other} writes in the same launch")]
    ReadOnlyLoad { address: u64, other: Other },
    #[error(
        "{space} address {address:#x} belongs to a cp.async of thread {owner} that has not been \
         waited for"
    )]
    PendingCopy {
        space: Space,
        address: u64,
        owner: u32,
    },
    #[error("{what} is executed by lanes {active:#010x} of {live:#010x}: it needs all of them")]
    Divergent {
        what: &'static str,
        active: u32,
        live: u32,
    },
    #[error("the mask {mask:#010x} does not fit the active lanes {active:#010x}: {reason}")]
    BadMask {
        mask: u32,
        active: u32,
        reason: &'static str,
    },
    #[error("bra.uni, but the lanes disagree")]
    NotUniform,
    #[error("a lane exchange reads lane {lane}, which is not active")]
    InactiveLane { lane: u32 },
    #[error("operand {what} has the value {value}, which is not allowed")]
    BadOperand { what: &'static str, value: u64 },
    #[error("deadlock at barrier {barrier}: {arrived} of {wanted} threads arrived")]
    Deadlock {
        barrier: u32,
        arrived: u32,
        wanted: u32,
    },
    #[error("barrier {barrier} is waited for with {this} and with {that} threads")]
    BarrierCount { barrier: u32, this: u32, that: u32 },
    #[error("{budget} instructions were not enough: an endless loop?")]
    Budget { budget: u64 },
    #[error("a warp waits at more than {limit} barriers; the interpreter tells no more apart")]
    Barriers { limit: u32 },
    #[error("the kernel runs past its last instruction")]
    NoReturn,
}
