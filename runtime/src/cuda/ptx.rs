//! From a function to PTX. Needs no driver.

use crate::program::CompileReport;
use bsq_codegen::lower::{self, Precision};
use bsq_codegen::pipeline::{Pipeline, PipelineError, Rewritten, Watch};
use bsq_codegen::program::Program;
use bsq_codegen::ptx::{self, Entry};
use bsq_ir::Function;

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
    /// The most bytes that the program may need without its workspace, as
    /// [`CompileOptions::memory`](crate::CompileOptions::memory) says.
    pub memory: Option<usize>,
}

impl Default for PtxOptions {
    fn default() -> Self {
        PtxOptions {
            exact: true,
            precision: Precision::F32,
            target: ptx::Options::default(),
            memory: None,
        }
    }
}

/// A program for GPUs: one entry for each of the program's kernels.
#[derive(Clone, Debug)]
pub struct PtxProgram {
    pub program: Program,
    pub entries: Vec<Entry>,
    pub report: CompileReport,
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
/// # Ok::<(), bsq_codegen::pipeline::PipelineError>(())
/// ```
///
/// # Errors
/// If the function is not well formed, the target not known, or a kernel does not fit it.
pub fn compile_ptx(function: &Function, options: &PtxOptions) -> Result<PtxProgram, PipelineError> {
    let mut pipeline = Pipeline::from_environment()?;
    let rewritten = pipeline.rewrite(function, options.exact)?;
    PtxProgram::new(&mut pipeline, &rewritten, options)
}

impl PtxProgram {
    /// The program of a function that has been rewritten.
    ///
    /// # Errors
    /// As [`compile_ptx`].
    pub fn new<W: Watch>(
        pipeline: &mut Pipeline<W>,
        rewritten: &Rewritten,
        options: &PtxOptions,
    ) -> Result<Self, PipelineError> {
        let lowering = lower::Options {
            precision: options.precision,
            narrow_activations: true,
            tiling: options.target.tiling(options.precision),
            memory: options.memory,
        };
        let program = pipeline.lower(rewritten, &lowering)?;
        let entries = pipeline.ptx(&program, &options.target)?;
        let report = pipeline.report(rewritten, &program);
        let mut compiled = PtxProgram {
            program,
            entries,
            report,
        };
        compiled.report.peak_bytes += compiled.workspace_bytes();
        Ok(compiled)
    }

    /// Bytes of the workspace: launches follow one another, so they share one.
    pub fn workspace_bytes(&self) -> usize {
        let bytes = self.entries.iter().map(|entry| entry.workspace_bytes);
        bytes.max().unwrap_or(0)
    }
}
