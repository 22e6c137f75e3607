//! A parsed module: its kernels.

use super::error::{LaunchError, ParseError};
use super::inst::Inst;

/// PTX text, decoded.
#[derive(Debug)]
pub struct Module {
    pub(super) kernels: Vec<Kernel>,
    /// Lines of the text, for reports.
    pub(super) lines: Vec<String>,
}

/// A kernel, ready to run.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    pub name: String,
    pub params: Vec<KernelParam>,
    pub param_bytes: usize,
    pub code: Vec<Inst>,
    /// Where lanes meet again after the branch at this index; `u32::MAX` is nowhere.
    pub reconvergence: Vec<u32>,
    /// Full opcodes, for statistics.
    pub opcodes: Vec<String>,
    /// Names of registers, by index; constants follow them.
    pub registers: Vec<String>,
    pub predicates: Vec<String>,
    /// Values of the constants behind the registers.
    pub constants: Vec<Constant>,
    pub shared: Vec<SharedArray>,
    pub static_shared: usize,
    pub max_threads: Option<[u32; 3]>,
    pub required_threads: Option<[u32; 3]>,
}

/// What stands behind the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Constant {
    Value(u64),
    /// The address of a shared array of the kernel.
    Shared(usize),
}

#[derive(Debug)]
pub(super) struct KernelParam {
    pub name: String,
    pub offset: usize,
    pub bytes: usize,
}

/// A range of a block's shared memory.
#[derive(Debug, Clone)]
pub(super) struct SharedArray {
    pub start: u64,
    /// Dynamic shared memory: as long as the launch says.
    pub dynamic: bool,
    pub bytes: u64,
    pub align: u64,
}

impl Module {
    /// Parses and decodes PTX text.
    pub fn parse(text: &str) -> Result<Module, ParseError> {
        let kernels = super::parse::module(text)?;
        let lines = text.lines().map(|line| line.trim().to_string()).collect();
        Ok(Module { kernels, lines })
    }

    /// The names of the kernels, in the order of the text.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.kernels.iter().map(|kernel| kernel.name.as_str())
    }

    pub(super) fn kernel(&self, name: &str) -> Result<&Kernel, LaunchError> {
        self.kernels
            .iter()
            .find(|kernel| kernel.name == name)
            .ok_or_else(|| {
                let known = self.kernels().collect::<Vec<_>>().join(", ");
                LaunchError::UnknownKernel {
                    name: name.to_string(),
                    known,
                }
            })
    }
}
