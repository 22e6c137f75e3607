//! From a graph to a program and its code: every pass, in order, on one page.
//!
//! | stage | passes | from what to what |
//! |---|---|---|
//! | rewrite | `verify`, `rewrite` | a function, to an equal one that costs less |
//! | lower | `store`, of trainings in bf16 | to a function whose forward pass keeps its values in bf16 |
//! | | `recompute`, with a budget of memory | to a function that keeps less of its forward pass |
//! | | `verify`, `prepare`, `empty`, `precision` | to the primitives that kernels are made of |
//! | | `schedule`, `order`, `lower`, `in-place` | to groups of nodes, to Kernel IR |
//! | | `assemble`, `memory`, `check` | to launches over planned memory |
//! | code | `code` or `ptx` | to machine code or PTX |
//!
//! A [`Pipeline`] runs passes, measures them, and shows what goes in and what comes out to whoever
//! watches. Outside of tests that is the environment variable `BSQ_DUMP`: `BSQ_DUMP=schedule,lower`
//! prints to standard error what went into these passes and what came out ([`Dump`]).
//!
//! | file | what is in it |
//! |---|---|
//! | `pass` | the passes by name, and the time of each |
//! | `watch` | who sees what goes in and comes out; `BSQ_DUMP` |
//! | `report` | what a compilation did |
//! | `budget` | what is computed again to keep within a budget of memory |
//! | `error` | why there is no program or no code |

mod budget;
mod error;
mod pass;
mod report;
mod watch;

pub use budget::Recomputed;
pub use error::PipelineError;
pub use pass::{Pass, Stage, Times};
pub use report::Report;
pub use watch::{Dump, UnknownPass, Watch};

use crate::cpu::clif::{self, Compiled};
use crate::lower::{self, Findings, LowerError, Lowering, Options, Precision};
use crate::memory;
use crate::program::Program;
use crate::ptx::{self, Entry};
use crate::schedule::{Groups, order, schedule};
use bsq_ir::verify::verify;
use bsq_ir::{Function, rewrite};
use std::convert::Infallible;
use std::fmt::{self, Display, Formatter};

/// Runs passes: measured, and watched by `W`.
pub struct Pipeline<W> {
    watch: W,
    times: Times,
    recomputed: Option<Recomputed>,
}

/// A function as it is to be lowered, and as it was given.
pub struct Rewritten<'f> {
    pub given: &'f Function,
    pub function: Function,
    /// What rewriting did.
    pub report: rewrite::Report,
}

/// Rewrites and lowers a function. With `exact` every bit is kept, otherwise rewriting may round
/// differently. `BSQ_DUMP` is heeded.
///
/// # Errors
/// If the function is not well formed, or `BSQ_DUMP` names something that is no pass.
pub fn program(
    function: &Function,
    exact: bool,
    options: &Options,
) -> Result<Program, PipelineError> {
    let mut pipeline = Pipeline::from_environment()?;
    let rewritten = pipeline.rewrite(function, exact)?;
    pipeline.lower(&rewritten, options)
}

/// Lowers a function as it is, without rewriting. `BSQ_DUMP` is heeded.
///
/// # Errors
/// As [`program`].
pub fn lower(function: &Function, options: &Options) -> Result<Program, PipelineError> {
    let mut pipeline = Pipeline::from_environment()?;
    pipeline.lower(&Rewritten::unchanged(function), options)
}

impl Pipeline<Dump> {
    /// A pipeline that prints what `BSQ_DUMP` asks for.
    ///
    /// # Errors
    /// If that names something that is no pass.
    pub fn from_environment() -> Result<Self, PipelineError> {
        Ok(Pipeline::watched(Dump::from_environment()?))
    }
}

impl<W: Watch> Pipeline<W> {
    /// A pipeline that shows every pass to `watch`.
    pub fn watched(watch: W) -> Self {
        Pipeline {
            watch,
            times: Times::default(),
            recomputed: None,
        }
    }

    /// Finds what is cheaper to run and, with `exact`, has the same bits.
    ///
    /// # Errors
    /// If the function is not well formed.
    pub fn rewrite<'f>(
        &mut self,
        given: &'f Function,
        exact: bool,
    ) -> Result<Rewritten<'f>, PipelineError> {
        self.check(Pass::Verify, given, well_formed)?;
        let rewritten = self.pass(Pass::Rewrite, given, |given| Rewritten::new(given, exact));
        Ok(rewritten)
    }

    /// Lowers to kernels, launches and a memory plan.
    ///
    /// Nodes are fused where their loops suit. Where they turn out not to, nodes get buffers of
    /// their own, and scheduling starts over with them. With a budget of memory activations are computed
    /// again, if need be.
    ///
    /// # Errors
    /// If the function is not well formed, or the budget is too small; or if there is no loop for a node
    /// after all, a mistake of this crate.
    pub fn lower(
        &mut self,
        rewritten: &Rewritten,
        options: &Options,
    ) -> Result<Program, PipelineError> {
        self.recomputed = None;
        let mut function = &rewritten.function;
        let stored;
        if options.precision.stores_narrow() {
            stored = self.pass(Pass::Store, function, lower::stored);
            function = &stored;
        }
        let program = self.lower_function(rewritten, function, options)?;
        match options.memory {
            Some(budget) if program.peak_bytes() > budget => {
                self.within(budget, (rewritten, function), options, &program)
            }
            _ => Ok(program),
        }
    }

    /// Lowers a function that is the rewritten one but for what it computes again.
    fn lower_function(
        &mut self,
        rewritten: &Rewritten,
        function: &Function,
        options: &Options,
    ) -> Result<Program, PipelineError> {
        self.check(Pass::Verify, function, well_formed)?;
        let tiling = &options.tiling;
        let prepare = |function: &_| lower::prepare(function, tiling);
        let function = self.pass(Pass::Prepare, function, prepare);
        let function = self.pass(Pass::Empty, function, lower::without_empty_operands);
        let function = self.pass(Pass::Precision, function, |f| {
            options.precision.apply(f, options.narrow_activations)
        });

        let function = &function;
        let narrow = options.precision != Precision::F32;
        let rematerialized = lower::rematerialized(function);
        let mut findings = Findings::new(function);
        let (kernels, in_place) = loop {
            let Findings {
                materialized,
                apart,
            } = &findings;
            let groups = self.pass(Pass::Schedule, function, |f| {
                Groups::new(f, schedule(f, materialized, narrow))
            });
            let groups = self.pass(Pass::Order, groups, |groups| {
                groups.ordered(|f, schedule| order(f, schedule, &rematerialized, apart))
            });
            let kernels = self.attempt(Pass::Lower, &groups, |g| lower::lower(g, options));
            let kernels: Lowering = match kernels {
                Ok(kernels) => kernels,
                Err(obstacles) => {
                    findings.store(&groups, &obstacles)?;
                    continue;
                }
            };
            let in_place = self.attempt(Pass::InPlace, &kernels, |kernels| {
                lower::in_place(function, kernels, &groups.order.in_place)
            });
            match in_place {
                Ok(in_place) => break (kernels, in_place),
                Err(values) => findings.keep_apart(values),
            }
        };

        let program = self.pass(Pass::Assemble, kernels, |kernels| {
            lower::assemble(function, kernels, &in_place).with_names_of(rewritten.given)
        });
        let program = self.pass(Pass::Memory, program, memory::plan);
        let Ok(()) = self.check(Pass::Check, &program, |program| {
            program.check();
            Ok::<(), Infallible>(())
        });
        Ok(program)
    }

    /// The program's kernels as machine code.
    ///
    /// # Errors
    /// If this machine is not known, or a kernel is refused.
    pub fn machine_code(
        &mut self,
        program: &Program,
        options: &clif::Options,
    ) -> Result<Compiled, PipelineError> {
        self.watch.before(Pass::Code, &program.kernels_text());
        let compile = || clif::compile(&program.kernels, options);
        let compiled = self.times.measure(Pass::Code, compile)?;
        let assembly = |kernel: usize, f: &mut Formatter| match clif::explain(
            &program.kernels[kernel],
            options,
        ) {
            Ok(listing) => listing.assembly.fmt(f),
            Err(error) => write!(f, "# {error}"),
        };
        self.watch.after(Pass::Code, &program.listing(assembly));
        Ok(compiled)
    }

    /// The program's kernels as PTX.
    ///
    /// # Errors
    /// If the target is not known, or a kernel does not fit it.
    pub fn ptx(
        &mut self,
        program: &Program,
        options: &ptx::Options,
    ) -> Result<Vec<Entry>, PipelineError> {
        self.watch.before(Pass::Ptx, &program.kernels_text());
        let entries = (self.times).measure(Pass::Ptx, || ptx::compile(program, options))?;
        self.watch
            .after(Pass::Ptx, &ptx::listing(program, &entries));
        Ok(entries)
    }

    /// What has been done so far, and how long it took.
    pub fn report(&self, rewritten: &Rewritten, program: &Program) -> Report {
        Report {
            recomputed: self.recomputed,
            ..Report::new(rewritten, program, self.times.clone())
        }
    }

    fn pass<I: Display, O: Display>(
        &mut self,
        pass: Pass,
        input: I,
        work: impl FnOnce(I) -> O,
    ) -> O {
        self.watch.before(pass, &input);
        let output = self.times.measure(pass, || work(input));
        self.watch.after(pass, &output);
        output
    }

    /// A pass that may find out why it has to be tried again.
    fn attempt<I: Display, O: Display, E: Display>(
        &mut self,
        pass: Pass,
        input: &I,
        work: impl FnOnce(&I) -> Result<O, E>,
    ) -> Result<O, E> {
        self.watch.before(pass, input);
        let result = self.times.measure(pass, || work(input));
        match &result {
            Ok(output) => self.watch.after(pass, output),
            Err(why) => self.watch.after(pass, why),
        }
        result
    }

    /// A pass that changes nothing.
    fn check<I: Display, E>(
        &mut self,
        pass: Pass,
        input: &I,
        work: impl FnOnce(&I) -> Result<(), E>,
    ) -> Result<(), E> {
        self.watch.before(pass, input);
        self.times.measure(pass, || work(input))
    }
}

fn well_formed(function: &Function) -> Result<(), LowerError> {
    Ok(verify(function)?)
}

impl<'f> Rewritten<'f> {
    fn new(given: &'f Function, exact: bool) -> Self {
        let options = rewrite::Options {
            exact,
            ..Default::default()
        };
        let (function, report) = rewrite::optimize(given, &options);
        Rewritten {
            given,
            function,
            report,
        }
    }

    /// A function that is lowered as it was given.
    pub fn unchanged(given: &'f Function) -> Self {
        Rewritten {
            given,
            function: given.clone(),
            report: rewrite::Report::default(),
        }
    }
}

impl Display for Rewritten<'_> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        self.function.fmt(f)
    }
}
