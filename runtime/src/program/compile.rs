//! Compilation: rewriting, lowering, machine code; each with its time.

use super::session::Session;
use super::{CompileReport, ProgramError};
use crate::cuda::{CudaCode, Gpu, PtxOptions, compile_ptx};
use crate::device::Device;
use crate::tensor_data::HostTensor;
use crate::threads::available_threads;
use bsq_codegen::cpu::clif::{self, Compiled};
use bsq_codegen::cpu::microkernel::{self, Family};
use bsq_codegen::lower::{self, Precision};
use bsq_codegen::pipeline::{Pass, Pipeline};
use bsq_codegen::program::Program;
use bsq_codegen::ptx;
use bsq_ir::Function;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// How to compile and run.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// Only rewrites that keep every bit; otherwise also those that round differently.
    pub exact: bool,
    /// The microkernels to use; `None` asks `BSQ_CPU`, then the CPU.
    pub family: Option<Family>,
    /// The format of contractions and attention. All but [`Precision::F32`] are outside the
    /// promise of the same bits everywhere.
    pub precision: Precision,
    /// Whether activations are in bf16, too, where that is asked for, and attention: `None` where the CPU multiplies
    /// it faster than f32. On a GPU they always are.
    pub narrow_activations: Option<bool>,
    /// Threads that run kernels on a CPU; 0 means as many as it has.
    pub threads: usize,
    /// Where to run. In f32 without `tf32` results are the same bits on every device.
    pub device: Device,
    /// On a GPU, contractions in f32 on the tensor cores, their sides rounded to 10 bits of
    /// mantissa: outside the promise of the same bits everywhere.
    pub tf32: bool,
    /// The most bytes that the program may need, parameters and inputs included: of a training step
    /// activations are computed again instead of being kept where it would need more. The bits are the same.
    pub memory: Option<usize>,
    /// Looks at the values of every op before each run: an index outside of the range of a gather
    /// (an embedding, a cross-entropy), a NaN that is given, a NaN or infinity that an op makes
    /// are errors with the op's name and the line that made it. Unchecked, indices are clamped. It
    /// costs an evaluation by the reference evaluator, a thousand times the run's own time.
    pub check_values: bool,
}

impl Default for CompileOptions {
    fn default() -> Self {
        CompileOptions {
            exact: true,
            family: None,
            precision: Precision::F32,
            narrow_activations: None,
            threads: 0,
            device: Device::Cpu,
            tf32: false,
            memory: None,
            check_values: false,
        }
    }
}

/// Code and the program that it belongs to; cheap to clone.
#[derive(Clone)]
pub struct Executable {
    pub(super) program: Arc<Program>,
    pub(super) code: Code,
    report: Arc<CompileReport>,
    /// The function, for checked runs.
    pub(super) checked: Option<Arc<Function>>,
}

/// What a device runs.
#[derive(Clone)]
pub(super) enum Code {
    Cpu { code: Arc<Compiled>, threads: usize },
    Cuda(Arc<CudaCode>),
}

/// Compiles a function for this machine or a GPU in it. The environment variable `BSQ_DUMP` shows
/// what passes do: [`Dump`](bsq_codegen::pipeline::Dump).
///
/// # Errors
/// If the machine lacks what was asked for, or cannot take the program.
pub fn compile(function: &Function, options: &CompileOptions) -> Result<Executable, ProgramError> {
    let mut executable = match options.device {
        Device::Cpu => compile_for_cpu(function, options),
        Device::Cuda { ordinal } => compile_for_gpu(function, options, ordinal),
    }?;
    executable.checked = options.check_values.then(|| Arc::new(function.clone()));
    Ok(executable)
}

fn compile_for_cpu(
    function: &Function,
    options: &CompileOptions,
) -> Result<Executable, ProgramError> {
    let family = match options.family {
        Some(family) => family,
        None => microkernel::selected()?,
    };
    let lowering = lower::Options {
        precision: options.precision,
        narrow_activations: options
            .narrow_activations
            .unwrap_or_else(microkernel::multiplies_bf16_fast),
        memory: options.memory,
        ..Default::default()
    };
    let machine = clif::Options {
        family,
        threads: available_threads(),
    };
    let mut pipeline = Pipeline::from_environment()?;
    let rewritten = pipeline.rewrite(function, options.exact)?;
    let program = pipeline.lower(&rewritten, &lowering)?;
    let code = pipeline.machine_code(&program, &machine)?;
    let report = pipeline.report(&rewritten, &program);

    let threads = match options.threads {
        0 => available_threads(),
        threads => threads,
    };
    Ok(Executable {
        program: Arc::new(program),
        code: Code::Cpu {
            code: Arc::new(code),
            threads,
        },
        report: Arc::new(report),
        checked: None,
    })
}

fn compile_for_gpu(
    function: &Function,
    options: &CompileOptions,
    ordinal: u32,
) -> Result<Executable, ProgramError> {
    // The device is asked for first: what to generate depends on it, and there may be none.
    let gpu = Gpu::open(ordinal)?;
    let options = PtxOptions {
        exact: options.exact,
        precision: options.precision,
        memory: options.memory,
        target: ptx::Options {
            sm: gpu.target(),
            tf32: options.tf32,
        },
    };
    let compiled = compile_ptx(function, &options)?;
    let start = Instant::now();
    let code = gpu.load(&compiled)?;
    let mut report = compiled.report;
    report.times.add(Pass::Ptx, start.elapsed());
    Ok(Executable {
        program: Arc::new(compiled.program),
        code: Code::Cuda(Arc::new(code)),
        report: Arc::new(report),
        checked: None,
    })
}

impl Executable {
    pub fn program(&self) -> &Program {
        &self.program
    }

    pub fn report(&self) -> &CompileReport {
        &self.report
    }

    /// Gives the program its parameters, all of them, by name.
    pub fn bind(&self, parameters: BTreeMap<String, HostTensor>) -> Result<Session, ProgramError> {
        Session::new(self.clone(), parameters)
    }
}
