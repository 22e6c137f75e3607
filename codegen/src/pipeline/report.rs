//! What a compilation did, and how long each pass took.

use super::{Pass, Recomputed, Rewritten, Stage, Times};
use crate::program::Program;
use bsq_ir::rewrite;
use std::fmt;
use std::time::Duration;

/// What compilation did and how long each part took.
#[derive(Clone, Debug)]
pub struct Report {
    /// What rewriting found.
    pub rewrite: rewrite::Report,
    /// Pass by pass. For a GPU that is in the machine, the pass `ptx` includes the driver's
    /// assembler.
    pub times: Times,
    /// Parameters that no output depends on, now or by way of updates: often a mistake, but moving
    /// averages are among them.
    pub unused_parameters: Vec<String>,
    pub kernels: usize,
    pub launches: usize,
    /// The most memory that the program needs at any time, in bytes; for GPUs, the workspace
    /// included.
    pub peak_bytes: usize,
    /// What is computed again to keep within a budget of memory.
    pub recomputed: Option<Recomputed>,
}

impl Report {
    pub(super) fn new(rewritten: &Rewritten, program: &Program, times: Times) -> Self {
        let unused = rewritten.given.unused_parameters().into_iter();
        Report {
            rewrite: rewritten.report.clone(),
            times,
            unused_parameters: unused.map(String::from).collect(),
            kernels: program.kernels.len(),
            launches: program.launches.len(),
            peak_bytes: program.peak_bytes(),
            recomputed: None,
        }
    }

    pub fn rewrite_time(&self) -> Duration {
        self.times.of(Stage::Rewrite)
    }

    pub fn lower_time(&self) -> Duration {
        self.times.of(Stage::Lower)
    }

    /// Writing code.
    pub fn code_time(&self) -> Duration {
        self.times.of(Stage::Code)
    }

    /// From graph to ready.
    pub fn total(&self) -> Duration {
        self.times.total()
    }

    /// A line for each pass, with the parts of rewriting below it.
    pub fn passes(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| {
            for (pass, time) in self.times.iter() {
                row(f, pass.name(), 0, time)?;
                if pass == Pass::Rewrite {
                    let parts = &self.rewrite.times;
                    row(f, "canonical form", 2, parts.canonicalise)?;
                    row(f, "regions", 2, parts.partition)?;
                    row(f, "saturation", 2, parts.saturate)?;
                    row(f, "extraction", 2, parts.extract)?;
                    row(f, "stitching", 2, parts.stitch)?;
                }
            }
            Ok(())
        })
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, indent: usize, time: Duration) -> fmt::Result {
    let (ms, width) = (time.as_secs_f64() * 1e3, 20 - indent);
    writeln!(f, "{:indent$}{name:<width$}{ms:8.1} ms", "")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "compiled in {:.0} ms (rewrite {:.0}, lower {:.0}, code {:.0}): \
             {} kernels, {} launches, {:.1} MB at most",
            ms(self.total()),
            ms(self.rewrite_time()),
            ms(self.lower_time()),
            ms(self.code_time()),
            self.kernels,
            self.launches,
            self.peak_bytes as f64 / 1e6,
        )?;
        match &self.recomputed {
            None => Ok(()),
            Some(again) => write!(
                f,
                " ({:.1} without computing {} of {} parts of the forward pass again)",
                again.without_bytes as f64 / 1e6,
                again.parts,
                again.of
            ),
        }
    }
}
