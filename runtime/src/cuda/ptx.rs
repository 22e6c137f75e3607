//! From a function to PTX: rewriting, lowering, emission; each with its time. Needs no driver.

use crate::program::front::{Lowered, lowered};
use bsq_codegen::lower::{self, Precision};
use bsq_codegen::program::Program;
use bsq_codegen::ptx::{self, Entry, PtxError};
use bsq_ir::Function;
use bsq_ir::rewrite::Report;
use std::fmt;
use std::time::{Duration, Instant};

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct PtxOptions {
    /// Only rewrites that keep every bit; otherwise also those that round differently.
    pub exact: bool,
    /// The format of contractions and attention. All but [`Precision::F32`] are outside the
    /// promise of the same bits everywhere.
    pub precision: Precision,
    /// Compute capability times ten, and whether contractions in f32 may use the tensor cores.
    pub target: ptx::Options,
}

impl Default for PtxOptions {
    fn default() -> Self {
        PtxOptions {
            exact: true,
            precision: Precision::F32,
            target: ptx::Options::default(),
        }
    }
}

/// A program for GPUs: one entry for each of the program's kernels.
#[derive(Clone, Debug)]
pub struct PtxProgram {
    pub program: Program,
    pub entries: Vec<Entry>,
    pub report: PtxReport,
}

/// What compilation did and how long each part took.
#[derive(Clone, Debug)]
pub struct PtxReport {
    /// What rewriting found.
    pub rewrite: Report,
    pub rewrite_time: Duration,
    pub lower_time: Duration,
    pub emit_time: Duration,
    pub kernels: usize,
    pub launches: usize,
    /// The most memory that the program needs at any time, in bytes, the workspace included.
    pub peak_bytes: usize,
}

/// Compiles a function to PTX.
///
/// ```
/// use bsq_ir::{DType, Graph};
/// use bsq_runtime::cuda::{PtxOptions, compile_ptx};
///
/// let g = Graph::new();
/// let x = g.input("x", DType::F32, [8]);
/// let function = g.function([("y", (x + 1.0).id())], []);
/// let compiled = compile_ptx(&function, &PtxOptions::default())?;
/// assert!(compiled.entries[0].text.contains(".target sm_86"));
/// # Ok::<(), bsq_codegen::ptx::PtxError>(())
/// ```
///
/// # Errors
/// If the target is not known, or a kernel does not fit it.
pub fn compile_ptx(function: &Function, options: &PtxOptions) -> Result<PtxProgram, PtxError> {
    let lowering = lower::Options {
        precision: options.precision,
        blocks: options.target.blocks(),
    };
    let Lowered {
        program,
        rewrite,
        rewrite_time,
        lower_time,
    } = lowered(function, options.exact, &lowering);

    let start = Instant::now();
    let entries = ptx::compile(&program, &options.target)?;
    let emit_time = start.elapsed();
    let mut compiled = PtxProgram {
        report: PtxReport {
            rewrite,
            rewrite_time,
            lower_time,
            emit_time,
            kernels: program.kernels.len(),
            launches: program.launches.len(),
            peak_bytes: program.peak_bytes(),
        },
        program,
        entries,
    };
    compiled.report.peak_bytes += compiled.workspace_bytes();
    Ok(compiled)
}

impl PtxProgram {
    /// Bytes of the workspace: launches follow one another, so they share one.
    pub fn workspace_bytes(&self) -> usize {
        let bytes = self.entries.iter().map(|entry| entry.workspace_bytes);
        bytes.max().unwrap_or(0)
    }
}

impl PtxReport {
    /// From graph to text.
    pub fn total(&self) -> Duration {
        self.rewrite_time + self.lower_time + self.emit_time
    }
}

impl fmt::Display for PtxReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "compiled to PTX in {:.0} ms (rewrite {:.0}, lower {:.0}, emit {:.0}): \
             {} kernels, {} launches, {:.1} MB at most",
            ms(self.total()),
            ms(self.rewrite_time),
            ms(self.lower_time),
            ms(self.emit_time),
            self.kernels,
            self.launches,
            self.peak_bytes as f64 / 1e6,
        )
    }
}
