//! What compiling does for every target: rewriting and lowering, each with its time.

use bsq_codegen::lower::{self, lower_with};
use bsq_codegen::program::Program;
use bsq_ir::Function;
use bsq_ir::rewrite::{self, Report};
use std::time::{Duration, Instant};

/// A program, and how it came about.
pub(crate) struct Lowered {
    pub program: Program,
    pub rewrite: Report,
    pub rewrite_time: Duration,
    pub lower_time: Duration,
}

/// Rewrites a function, with `exact` only so that every bit is kept, and lowers it.
pub(crate) fn lowered(function: &Function, exact: bool, options: &lower::Options) -> Lowered {
    let start = Instant::now();
    let rewriting = rewrite::Options {
        exact,
        ..Default::default()
    };
    let (optimized, rewrite) = rewrite::optimize(function, &rewriting);
    let rewrite_time = start.elapsed();
    let start = Instant::now();
    let program = lower_with(&optimized, options);
    Lowered {
        program,
        rewrite,
        rewrite_time,
        lower_time: start.elapsed(),
    }
}
