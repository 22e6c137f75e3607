//! What compiling does for every target: rewriting and lowering, each with its time.

use bsq_codegen::lower::{self, LowerError, lower_with};
use bsq_codegen::program::{Buffer, BufferKind, Program};
use bsq_ir::Function;
use bsq_ir::rewrite::{self, Report};
use bsq_ir::verify::verify;
use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

/// What compilation did and how long each part took.
#[derive(Clone, Debug)]
pub struct CompileReport {
    /// What rewriting found.
    pub rewrite: Report,
    pub rewrite_time: Duration,
    pub lower_time: Duration,
    /// Writing code; for a GPU that is in the machine, its driver's assembler included.
    pub code_time: Duration,
    /// Parameters that no output depends on, now or by way of updates: often a mistake, but moving
    /// averages are among them.
    pub unused_parameters: Vec<String>,
    pub kernels: usize,
    pub launches: usize,
    /// The most memory that the program needs at any time, in bytes; for GPUs, the workspace
    /// included.
    pub peak_bytes: usize,
}

/// Rewrites a function, with `exact` only so that every bit is kept, and lowers it. There is no
/// code yet, and no time for it in the report.
pub(crate) fn lowered(
    function: &Function,
    exact: bool,
    options: &lower::Options,
) -> Result<(Program, CompileReport), LowerError> {
    verify(function)?;
    let start = Instant::now();
    let rewriting = rewrite::Options {
        exact,
        ..Default::default()
    };
    let (optimized, rewrite) = rewrite::optimize(function, &rewriting);
    let rewrite_time = start.elapsed();
    let start = Instant::now();
    let mut program = lower_with(&optimized, options)?;
    add_unneeded(&mut program, function);
    let report = CompileReport {
        rewrite,
        rewrite_time,
        lower_time: start.elapsed(),
        code_time: Duration::ZERO,
        unused_parameters: function
            .unused_parameters()
            .into_iter()
            .map(String::from)
            .collect(),
        kernels: program.kernels.len(),
        launches: program.launches.len(),
        peak_bytes: program.peak_bytes(),
    };
    Ok((program, report))
}

/// Buffers for inputs and parameters that rewriting found unneeded: which names a program takes does
/// not depend on what its compiler finds.
fn add_unneeded(program: &mut Program, function: &Function) {
    let kinds = program.buffers.iter().map(|buffer| &buffer.kind);
    let known: HashSet<BufferKind> = kinds.filter(|kind| is_named(kind)).cloned().collect();
    let inputs = function.inputs();
    let inputs = inputs.map(|(_, name, ty)| (BufferKind::Input(name.to_string()), ty));
    let parameters = function.parameters();
    let parameters = parameters.map(|(_, name, ty)| (BufferKind::Parameter(name.to_string()), ty));
    let unneeded = inputs
        .chain(parameters)
        .filter(|(kind, _)| !known.contains(kind));
    program.buffers.extend(unneeded.map(|(kind, ty)| Buffer {
        ty: ty.clone(),
        kind,
        initial: None,
    }));
}

fn is_named(kind: &BufferKind) -> bool {
    matches!(kind, BufferKind::Input(_) | BufferKind::Parameter(_))
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
