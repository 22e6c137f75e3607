//! `bsq explain`: every stage of the compiler, readable.

use super::Verdict;
use super::device::TargetArgument;
use super::error::{CliError, Context};
use super::functions::{PriorProgram, Subject};
use super::interrupt::uninterrupted;
use super::memory::MemoryArgument;
use super::output::Output;
use super::precision::RoundingArguments;
use bsq::image_io::write_atomically;
use bsq::train::unused_note;
use bsq_codegen::cpu::{clif, microkernel};
use bsq_codegen::kernel::Kernel;
use bsq_codegen::lower;
use bsq_codegen::pipeline::Pipeline;
use bsq_codegen::program::Program;
use bsq_codegen::ptx;
use bsq_ir::rewrite::Report;
use bsq_ir::text::graphviz;
use bsq_runtime::cuda::{PtxOptions, PtxProgram};
use bsq_runtime::threads::available_threads;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
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
  asm       each kernel in machine instructions, with the vector loops that it calls
  ptx       each kernel once for a GPU, with its launch

The text of `ir`, `fused` and `kernel` parses back. With --target, or where ptx is asked for, `schedule` and \
`kernel` are those of the program for a GPU, whose work is cut in other blocks. No GPU and no driver \
is needed.

The program is the one that `bsq reconstruct` runs, or with --train the training step of the model, with all \
terms of its loss; `bsq plan --train` has the discriminator's, too. Of a prior \
it is the one that `bsq encode` runs, or with --program one of those of `bsq decode`.")]
#[command(after_long_help = "\
Examples:
  bsq explain default
  bsq explain default --stage ir,fused
  bsq explain config.toml --train --stage schedule | less
  bsq explain config.toml --train --batch 32 --memory 2G
  bsq explain default --stage ptx --target sm_89 --precision bf16
  bsq explain prior.toml --program wavefront
  bsq explain default --dot model.dot && dot -Tsvg model.dot > model.svg")]
pub struct Arguments {
    /// A model that ships (default), a file of weights, the folder of a training, or a configuration; a
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
    /// Windows in the batch; of a prior, tiles
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Allow rewrites that round differently, such as folding a gain into a weight; a training
    /// step allows them anyway, unless its configuration says train.exact
    #[arg(long)]
    inexact: bool,
    #[command(flatten)]
    memory: MemoryArgument,
    #[command(flatten)]
    rounding: RoundingArguments,
    #[command(flatten)]
    target: TargetArgument,
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
    Ptx,
}

impl Stage {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_string())
    }
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let target = arguments.target.options(arguments.rounding.tf32)?;
    let subject = Subject::open(&arguments.model, output)?;
    let given = arguments.rounding.precision;
    let precision = match arguments.train {
        true => given.of_training(subject.train_precision()),
        false => given.get(),
    };
    let batch = usize::from(arguments.batch);
    let function = match (&subject, arguments.program) {
        (Subject::Tokenizer(..) | Subject::MaskedLm(..), Some(_)) => {
            let message = "--program is for priors: a configuration with a section [prior]";
            return Err(CliError::new(message)).in_(&arguments.model);
        }
        _ if arguments.train => subject.training(batch, output)?.swap_remove(0).function,
        (Subject::Tokenizer(..) | Subject::MaskedLm(..), None) => subject.forward(batch).function,
        (Subject::Prior(_, model), program) => {
            program.unwrap_or(PriorProgram::All).function(model, batch)
        }
    };
    if let Some(line) = unused_note(function.unused_parameters()) {
        output.note(line);
    }
    let exact = !arguments.inexact && (!arguments.train || subject.trains_exactly());
    let mut pipeline = Pipeline::from_environment()?;
    let rewritten = pipeline.rewrite(&function, exact)?;
    let on_gpu = arguments.target.is_given() || arguments.stage.contains(&Stage::Ptx);
    let on_cpu = [Stage::Clif, Stage::Asm];
    let on_cpu = arguments.stage.iter().any(|stage| on_cpu.contains(stage));
    let for_gpu = PtxOptions {
        exact,
        precision,
        target,
        memory: arguments.memory.memory,
    };
    // Of both only if somebody looks at both.
    let for_gpu = match on_gpu {
        true => Some(PtxProgram::new(&mut pipeline, &rewritten, &for_gpu)?),
        false => None,
    };
    let for_cpu = lower::Options {
        narrow_activations: microkernel::multiplies_bf16_fast(),
        precision,
        memory: arguments.memory.memory,
        ..Default::default()
    };
    let for_cpu = (!on_gpu || on_cpu).then(|| pipeline.lower(&rewritten, &for_cpu));
    let for_cpu = for_cpu.transpose()?;
    let programs = (for_gpu.iter().map(|compiled| &compiled.program)).chain(&for_cpu);
    let program = programs
        .clone()
        .next()
        .expect("there is one for the one or the other");
    let cpu_program = programs.last().expect("as above");
    let (fused, report) = (&rewritten.function, &rewritten.report);
    if let Some(path) = &arguments.dot {
        let drawn = match arguments.stage.as_slice() {
            [Stage::Ir] => &function,
            _ => fused,
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
            Stage::Schedule => program.to_string(),
            Stage::Kernel => program.kernels_text().to_string(),
            Stage::Clif => kernels(cpu_program, |kernel| Ok(listing(kernel)?.clif))?,
            Stage::Asm => kernels(cpu_program, |kernel| Ok(listing(kernel)?.disassembled()))?,
            Stage::Ptx => for_gpu.as_ref().map_or_else(String::new, |compiled| {
                ptx::listing(&compiled.program, &compiled.entries).to_string()
            }),
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
        let compiled = match &for_gpu {
            Some(compiled) => compiled.report.clone(),
            None => {
                let machine = clif::Options {
                    family: microkernel::selected()?,
                    threads: available_threads(),
                };
                pipeline.machine_code(program, &machine)?;
                pipeline.report(&rewritten, program)
            }
        };
        output.say(&compiled)?;
        output.say(compiled.passes().to_string().trim_end())?;
    } else if let Some(compiled) = &for_gpu {
        output.note(&compiled.report);
    }
    output.value(&json!({
        "model": arguments.model,
        "rewriting": report_json(report),
        "kernels": program.kernels.len(),
        "launches": program.launches.len(),
        "flops": program.flops(),
        "peak_bytes": program.peak_bytes(),
        "ptx_seconds": for_gpu.map(|compiled| compiled.report.total().as_secs_f64()),
        "stages": texts,
    }))?;
    Ok(Verdict::Good)
}

fn listing(kernel: &Kernel) -> Result<clif::Listing, CliError> {
    let options = clif::Options {
        family: microkernel::selected()?,
        threads: 1,
    };
    Ok(clif::explain(kernel, &options)?)
}

/// Each kernel's text below its number and what it computes.
fn kernels(
    program: &Program,
    text: impl Fn(&Kernel) -> Result<String, CliError>,
) -> Result<String, CliError> {
    let texts = program
        .kernels
        .iter()
        .map(text)
        .collect::<Result<Vec<_>, _>>()?;
    let listing = program.listing(|kernel, f| f.write_str(&texts[kernel]));
    Ok(listing.to_string())
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
