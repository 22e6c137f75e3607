//! `bsq explain`: every stage of the compiler, readable.

use super::error::{CliError, Context};
use super::functions::{PriorProgram, Subject};
use super::interrupt::uninterrupted;
use super::output::Output;
use super::{Verdict, functions};
use bsq::image_io::write_atomically;
use bsq_codegen::cpu::{clif, microkernel};
use bsq_codegen::lower::lower;
use bsq_codegen::program::{BufferKind, Program};
use bsq_ir::rewrite::{self, Report};
use bsq_ir::text::graphviz;
use bsq_runtime::{CompileOptions, compile};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::PathBuf;

/// Shows every stage of the compiler for a model.
#[derive(Args)]
#[command(long_about = "\
Shows every stage of the compiler for a model.

Without --stage: what rewriting found, which rules fired, the cost before and after, how much \
memory and how many kernels the program has, and how long each part of compiling took. With it, the text of each stage asked for:

  ir        the graph as the model spells it out
  fused     the graph after rewriting
  schedule  buffers with their memory, and kernel launches in order
  kernel    each kernel once, in Kernel IR
  clif      each kernel in Cranelift's IR
  asm       each kernel in machine instructions

The text of `ir` and `fused` parses back. The program is the one that `bsq reconstruct` runs, or \
with --train a whole training step. Of a prior it is the one that `bsq encode` runs, or with \
--program one of those of `bsq decode`.")]
#[command(after_long_help = "\
Examples:
  bsq explain default
  bsq explain default --stage ir,fused
  bsq explain config.toml --train --stage schedule | less
  bsq explain prior.toml --program wavefront
  bsq explain default --dot model.dot && dot -Tsvg model.dot > model.svg")]
pub struct Arguments {
    /// A model that ships (default), a file of weights, or a configuration (.toml, .yaml); a
    /// tokenizer or a prior
    #[arg(value_name = "MODEL")]
    model: String,
    /// Which program of a prior [default: all]
    #[arg(long, value_enum, value_name = "PROGRAM", conflicts_with = "train")]
    program: Option<PriorProgram>,
    /// Which stages to print, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STAGE,...")]
    stage: Vec<Stage>,
    /// A training step instead of a reconstruction
    #[arg(long)]
    train: bool,
    /// Windows in the batch; of a prior, sections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Allow rewrites that round differently, such as folding a gain into a weight; a training
    /// step allows them anyway, unless its configuration says train.exact
    #[arg(long)]
    inexact: bool,
    /// Write the graph as Graphviz source: the one after rewriting, or with --stage ir the one
    /// before
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    Ir,
    Fused,
    Schedule,
    Kernel,
    Clif,
    Asm,
}

impl Stage {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_string())
    }
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let subject = Subject::open(&arguments.model)?;
    let batch = usize::from(arguments.batch);
    let function = match (&subject, arguments.program) {
        (Subject::Tokenizer(..), Some(_)) => {
            let message = "--program is for priors: a configuration with a section [prior]";
            return Err(CliError::new(message)).in_(&arguments.model);
        }
        _ if arguments.train => subject.training_step(batch),
        (Subject::Tokenizer(_, tokenizer), None) => functions::reconstruct(tokenizer, batch),
        (Subject::Prior(_, model), program) => {
            program.unwrap_or(PriorProgram::All).function(model, batch)
        }
    };
    let exact = !arguments.inexact && (!arguments.train || subject.trains_exactly());
    let options = rewrite::Options {
        exact,
        ..Default::default()
    };
    let (fused, report) = rewrite::optimize(&function, &options);
    let program = lower(&fused);
    if let Some(path) = &arguments.dot {
        let drawn = match arguments.stage.as_slice() {
            [Stage::Ir] => &function,
            _ => &fused,
        };
        let source = graphviz(drawn);
        uninterrupted(|| write_atomically(path, source.as_bytes()))?;
        output.note(format_args!("wrote {}", path.display()));
    }
    let mut texts = Map::new();
    for stage in &arguments.stage {
        let text = match stage {
            Stage::Ir => function.to_string(),
            Stage::Fused => fused.to_string(),
            Stage::Schedule => schedule(&program),
            Stage::Kernel => kernels(&program, |kernel| Ok(kernel.to_string()))?,
            Stage::Clif => kernels(&program, |kernel| Ok(listing(kernel)?.clif))?,
            Stage::Asm => kernels(&program, |kernel| Ok(listing(kernel)?.assembly))?,
        };
        if arguments.stage.len() > 1 {
            output.say(format_args!("# stage {}", stage.name()))?;
        }
        output.say(text.trim_end())?;
        texts.insert(stage.name(), Value::from(text));
    }
    let sizes = format!(
        "{} kernels, {} launches, {:.3} GFLOP in contractions, {:.1} MB at most",
        program.kernels.len(),
        program.launches.len(),
        program.flops() as f64 / 1e9,
        program.peak_bytes() as f64 / 1e6
    );
    if arguments.stage.is_empty() {
        output.say(report.to_string().trim_end())?;
        output.say(&sizes)?;
        let options = CompileOptions {
            exact,
            threads: output.threads,
            ..CompileOptions::default()
        };
        output.say(compile(&function, &options)?.report())?;
    }
    output.value(&json!({
        "model": arguments.model,
        "rewriting": report_json(&report),
        "kernels": program.kernels.len(),
        "launches": program.launches.len(),
        "flops": program.flops(),
        "peak_bytes": program.peak_bytes(),
        "stages": texts,
    }))?;
    Ok(Verdict::Good)
}

fn listing(kernel: &bsq_codegen::kernel::Kernel) -> Result<clif::Listing, CliError> {
    let options = clif::Options {
        family: microkernel::selected()?,
        threads: 1,
    };
    Ok(clif::explain(kernel, &options)?)
}

/// Each kernel's text below its number and what it computes.
fn kernels(
    program: &Program,
    text: impl Fn(&bsq_codegen::kernel::Kernel) -> Result<String, CliError>,
) -> Result<String, CliError> {
    let mut result = String::new();
    for (number, kernel) in program.kernels.iter().enumerate() {
        let launches = program.launches.iter().filter(|l| l.kernel == number);
        let label = launches.clone().next().map_or("", |launch| &launch.label);
        result += &format!("# kernel {number}, {} times: {label}\n", launches.count());
        result += text(kernel)?.trim_end();
        result += "\n\n";
    }
    Ok(result)
}

/// Buffers with where their memory is, then launches in order.
fn schedule(program: &Program) -> String {
    let mut text = String::new();
    for (number, buffer) in program.buffers.iter().enumerate() {
        let place = match &buffer.kind {
            BufferKind::Input(name) => format!("input \"{name}\""),
            BufferKind::Parameter(name) => format!("parameter \"{name}\""),
            BufferKind::Constant(bytes) => format!("constant of {} bytes", bytes.len()),
            BufferKind::Temporary { offset } => format!("arena at {offset}"),
            BufferKind::Stable => "kept between runs".to_string(),
        };
        writeln!(text, "b{number} : {} = {place}", buffer.ty).expect("a String takes all");
    }
    writeln!(text, "arena of {} bytes", program.arena_bytes).expect("a String takes all");
    for (number, launch) in program.launches.iter().enumerate() {
        let arguments: Vec<String> = launch
            .arguments
            .iter()
            .map(|b| format!("b{}", b.0))
            .collect();
        let once = if launch.stable { ", once" } else { "" };
        writeln!(
            text,
            "launch {number}: kernel {}({}){once}  # {}, {:.3} MFLOP",
            launch.kernel,
            arguments.join(", "),
            launch.label,
            launch.flops as f64 / 1e6
        )
        .expect("a String takes all");
    }
    for (name, buffer) in &program.outputs {
        writeln!(text, "output \"{name}\" = b{}", buffer.0).expect("a String takes all");
    }
    for (from, to) in &program.copies {
        writeln!(text, "copy b{} to b{}", from.0, to.0).expect("a String takes all");
    }
    text
}

fn report_json(report: &Report) -> Value {
    json!({
        "exact": report.exact,
        "nodes_before": report.nodes_before,
        "nodes_after": report.nodes_after,
        "cost_before_seconds": report.cost_before,
        "cost_after_seconds": report.cost_after,
        "found": report.found,
        "fired": report.fired,
        "regions": report.regions,
        "regions_reused": report.regions_reused,
        "seconds": report.times.total.as_secs_f64(),
        "warnings": report.warnings,
    })
}
