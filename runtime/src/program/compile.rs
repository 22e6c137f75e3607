//! Compilation: rewriting, lowering, machine code; each with its time.

use super::ProgramError;
use super::session::Session;
use crate::tensor_data::HostTensor;
use crate::threads::available_threads;
use bsq_codegen::cpu::clif::{self, Compiled};
use bsq_codegen::cpu::microkernel::{self, Family};
use bsq_codegen::lower::{self, Precision, lower_with};
use bsq_codegen::program::Program;
use bsq_ir::Function;
use bsq_ir::rewrite::{self, Report};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Threads that run kernels; 0 means as many as the CPU has.
    pub threads: usize,
}

impl Default for CompileOptions {
    fn default() -> Self {
        CompileOptions {
            exact: true,
            family: None,
            precision: Precision::F32,
            threads: 0,
        }
    }
}

/// Machine code and the program that it belongs to; cheap to clone.
#[derive(Clone)]
pub struct Executable {
    pub(super) program: Arc<Program>,
    pub(super) code: Arc<Compiled>,
    pub(super) threads: usize,
    /// Scratch of one thread.
    pub(super) scratch_bytes: usize,
    report: Arc<CompileReport>,
}

/// What compilation did and how long each part took.
#[derive(Clone, Debug)]
pub struct CompileReport {
    /// What rewriting found.
    pub rewrite: Report,
    pub rewrite_time: Duration,
    pub lower_time: Duration,
    pub code_time: Duration,
    pub kernels: usize,
    pub launches: usize,
    /// The most memory that the program needs at any time, in bytes.
    pub peak_bytes: usize,
}

/// Compiles a function for this machine.
pub fn compile(function: &Function, options: &CompileOptions) -> Result<Executable, ProgramError> {
    let family = match options.family {
        Some(family) => family,
        None => microkernel::selected()?,
    };
    let start = Instant::now();
    let rewriting = rewrite::Options {
        exact: options.exact,
        ..Default::default()
    };
    let (optimized, rewrite) = rewrite::optimize(function, &rewriting);
    let rewrite_time = start.elapsed();

    let start = Instant::now();
    let lowering = lower::Options {
        precision: options.precision,
        ..Default::default()
    };
    let program = lower_with(&optimized, &lowering);
    let lower_time = start.elapsed();

    let start = Instant::now();
    let code = clif::compile(
        &program.kernels,
        &clif::Options {
            family,
            threads: available_threads(),
        },
    )?;
    let code_time = start.elapsed();

    let threads = match options.threads {
        0 => available_threads(),
        threads => threads,
    };
    let report = CompileReport {
        rewrite,
        rewrite_time,
        lower_time,
        code_time,
        kernels: program.kernels.len(),
        launches: program.launches.len(),
        peak_bytes: program.peak_bytes(),
    };
    let scratch = program
        .kernels
        .iter()
        .map(|kernel| kernel.scratch_layout().1);
    let scratch_bytes = scratch.max().unwrap_or(0);
    let (program, code, report) = (Arc::new(program), Arc::new(code), Arc::new(report));
    Ok(Executable {
        program,
        code,
        threads,
        scratch_bytes,
        report,
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

impl CompileReport {
    /// From graph to ready.
    pub fn total(&self) -> Duration {
        self.rewrite_time + self.lower_time + self.code_time
    }
}

impl fmt::Display for CompileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "compiled in {:.0} ms (rewrite {:.0}, lower {:.0}, code {:.0}): \
             {} kernels, {} launches, {:.1} MB at most",
            ms(self.total()),
            ms(self.rewrite_time),
            ms(self.lower_time),
            ms(self.code_time),
            self.kernels,
            self.launches,
            self.peak_bytes as f64 / 1e6,
        )
    }
}
