//! `bsq plan`: how long a model should take on a GPU that is not there.

mod devices;
mod step;

use super::Verdict;
use super::device::TargetArgument;
use super::error::CliError;
use super::functions::{Named, Subject};
use super::memory::MemoryArgument;
use super::output::Output;
use super::precision::RoundingArguments;
use bsq::train::unused_note;
use bsq_codegen::pipeline::{PipelineError, Recomputed};
use bsq_codegen::ptx::cost::{Bottleneck, KernelCost, Unit};
use bsq_codegen::ptx::{DEVICES, Device};
use bsq_ir::Function;
use bsq_nn::optimizer::{Halves, MEAN_PREFIX};
use bsq_nn::train::Turn;
use bsq_runtime::cuda::{PtxOptions, PtxProgram, compile_ptx};
use clap::Args;
use devices::{DevicesArguments, Programs, Shared};
use serde_json::{Value, json};
use step::Step;

/// Kernels that are listed, unless all are asked for.
const LISTED: usize = 12;
/// Columns of the table that a label gets.
const LABEL: usize = 28;

/// Says how long a model should take on a GPU, by counting.
#[derive(Args)]
#[command(long_about = "\
Says how long a model should take on a GPU, by counting. No GPU is needed, and none is asked.

For each kernel: the bytes that it touches, its operations, the registers and the shared memory of a \
block and with them the occupancy of a multiprocessor, and the instructions of its main loop in PTX. \
A launch takes the longest of three times: arithmetic at the rate at which the main loop can issue it, \
memory at the device's bandwidth, and 2.5 us for starting it. Caches, latencies and clocks are left \
out: this is what to compare a measurement with, not one.

With --train the programs of a training step are planned, too: the model's own with all terms of its loss, and \
the discriminator's, with and without R1, where there is one; a line says what all of a step take in the mean. \
They run in train.precision, or with --precision bf16 in bf16; --memory is for all of them together.

With --devices a training step is shared by data-parallel devices: what each computes and exchanges, the \
memory that it takes, and how much of its speed is left. Exchange does not overlap with computing, and \
gradients go by way of the host, as in training (docs/distributed.md). Links inside a server count as \
20 GB/s in each direction.

`issue` is the share of the unit's peak that the main loop's instructions leave: the unit is fma (f32) \
or tf32, bf16, f16 or int8 on the tensor cores. -v lists all kernels, with the instructions of main loops.")]
#[command(after_long_help = "\
Examples:
  bsq plan default
  bsq plan models/configs/reference/bsq_256_b36g36.yaml --precision bf16
  bsq plan config.toml --train --batch 32 --device-spec a100 --json
  bsq plan config.toml --train --batch 32 --memory 8G
  bsq plan models/configs/reference/bsq_256_b18g18.yaml --train --batch 16 --precision bf16
  bsq plan config.toml --batch 32 --devices 16 --device a5000 --network 100G")]
pub struct Arguments {
    /// A model that ships (default), a file of weights, the folder of a training, or a configuration; of a
    /// tokenizer or a prior
    #[arg(value_name = "MODEL")]
    model: String,
    /// A training step, too
    #[arg(long)]
    train: bool,
    /// Windows, or tiles, in the batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// The GPU to plan for: a5000, a6000, a100, h100 or rtx4090
    #[arg(
        long,
        visible_alias = "device",
        value_name = "NAME",
        default_value = "a5000"
    )]
    device_spec: String,
    #[command(flatten)]
    memory: MemoryArgument,
    #[command(flatten)]
    devices: DevicesArguments,
    #[command(flatten)]
    target: TargetArgument,
    #[command(flatten)]
    rounding: RoundingArguments,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let device = Device::find(&arguments.device_spec).ok_or_else(|| {
        let known: Vec<&str> = DEVICES.iter().map(|device| device.key).collect();
        CliError::new(format_args!(
            "{}: no such device; there are {}",
            arguments.device_spec,
            known.join(", ")
        ))
    })?;
    let target = arguments
        .target
        .options_for(device.sm, arguments.rounding.tf32)?;
    let model = Subject::open(&arguments.model, output)?;
    let batch = usize::from(arguments.batch);
    let given = arguments.rounding.precision;
    let of_training = given.of_training(model.train_precision());
    let exact = model.trains_exactly();
    let of_step = |of, keeps, name, function| Asked {
        name,
        function,
        of,
        keeps,
        options: PtxOptions {
            exact,
            precision: of_training,
            target,
            memory: None,
        },
    };
    let mut asked: Vec<Asked> = Vec::new();
    for Named {
        name,
        function,
        exact,
    } in model.inference(batch)
    {
        let options = PtxOptions {
            exact,
            precision: given.get(),
            target,
            memory: None,
        };
        asked.push(Asked {
            name,
            function,
            of: Of::Running,
            keeps: false,
            options,
        });
    }
    let is_shared = arguments.devices.are_given();
    let parts = match arguments.train || is_shared {
        true => model.training(batch, output)?,
        false => Vec::new(),
    };
    let first_part = asked.len();
    let turns: Vec<Turn> = parts.iter().map(|part| part.turn).collect();
    let halves = parts.first().filter(|_| is_shared);
    let halves = halves.map(|part| part.halves.clone());
    for (number, part) in parts.into_iter().enumerate() {
        // What trains alone has activations to keep.
        asked.push(of_step(Of::Step, number == 0, part.name, part.function));
    }
    if let Some(halves) = &halves {
        let share = halves.shard(0, arguments.devices.count()).update;
        if let Some(statistics) = halves.statistics.clone() {
            asked.push(of_step(
                Of::Shared,
                false,
                "means over the step",
                statistics,
            ));
        }
        let micro_batch = halves.micro_batch.clone();
        asked.push(of_step(Of::Shared, true, "gradients", micro_batch));
        asked.push(of_step(Of::Shared, false, "update", halves.update.clone()));
        asked.push(of_step(Of::Share, false, "share of the update", share));
    }
    let tera = |rate: f64| rate / 1e12;
    output.say(format_args!(
        "{} (sm_{}): {:.1} TFLOP/s f32, {:.1} tf32, {:.0} bf16/f16, {:.0} int8; {:.0} GB/s; estimated",
        device.name,
        target.sm,
        tera(device.fma),
        tera(device.tf32),
        tera(device.half),
        tera(device.int8),
        device.bytes_per_second / 1e9
    ))?;
    let planned = planned(&asked, arguments.memory.memory, (batch, device))?;
    for plan in &planned {
        let unused = plan.unused.iter();
        if let Some(line) = unused_note(unused.map(String::as_str)) {
            output.note(format_args!("{}: {line}", plan.name));
        }
        plan.say(device, output)?;
    }
    let step = Step(planned[first_part..].iter().zip(turns).collect());
    step.say(device, output)?;
    let shared = match (&halves, &planned[..]) {
        (Some(halves), [.., micro_batch, update, share]) => {
            let before = &planned[..planned.len() - 3];
            let programs = Programs {
                whole: &planned[first_part],
                statistics: before.last().filter(|_| halves.statistics.is_some()),
                micro_batch,
                update,
                share,
                exchanged: exchanged_bytes(halves),
            };
            let shared = Shared::of(&programs, &arguments.devices);
            shared.say(device, output)?;
            shared.to_json()
        }
        _ => Value::Null,
    };
    output.value(&json!({
        "model": arguments.model,
        "device": device.name,
        "target": format!("sm_{}", target.sm),
        "precision": given.name(),
        "tf32": target.tf32,
        "batch": batch,
        "programs": planned.iter().map(Plan::to_json).collect::<Vec<Value>>(),
        "step": (!step.0.is_empty()).then(|| step.to_json()),
        "shared": shared,
    }))?;
    Ok(Verdict::Good)
}

/// What a program is of; those of a step share a budget of memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Running,
    Step,
    /// A step that several devices share.
    Shared,
    Share,
}

/// A program to plan.
struct Asked {
    name: &'static str,
    function: Function,
    of: Of,
    /// Whether it has activations to keep: of a budget it gets what the others of its step leave.
    keeps: bool,
    options: PtxOptions,
}

/// The plans of programs, in order.
fn planned(
    asked: &[Asked],
    memory: Option<usize>,
    (batch, device): (usize, &Device),
) -> Result<Vec<Plan>, CliError> {
    let plan = |asked: &Asked, memory| {
        let options = PtxOptions {
            memory,
            ..asked.options
        };
        let compiled = compile_ptx(&asked.function, &options)?;
        Ok::<_, PipelineError>(Plan::new(asked.name, batch, &compiled, device))
    };
    let mut plans: Vec<Option<Plan>> = Vec::new();
    for asked in asked {
        plans.push((!asked.keeps).then(|| plan(asked, None)).transpose()?);
    }
    for (at, own) in asked.iter().enumerate().filter(|(_, own)| own.keeps) {
        let others = asked
            .iter()
            .zip(&plans)
            .filter(|(other, _)| other.of == own.of);
        let needed = others.filter_map(|(_, plan)| Some(plan.as_ref()?.peak_bytes));
        let needed: usize = needed.sum();
        let left = memory.map(|budget| budget.saturating_sub(needed));
        let made = plan(own, left).map_err(|error| match (memory, error) {
            (Some(budget), PipelineError::Memory { smallest, .. }) => PipelineError::Memory {
                budget,
                smallest: smallest + needed,
            },
            (_, error) => error,
        });
        plans[at] = Some(made?);
    }
    Ok(plans.into_iter().flatten().collect())
}

/// Bytes of what is averaged over micro-batches, but for a few scalars.
fn exchanged_bytes(halves: &Halves) -> usize {
    let outputs = halves.micro_batch.outputs().iter();
    let means = outputs.filter(|(name, _)| name.starts_with(MEAN_PREFIX));
    let count = |id| {
        halves
            .micro_batch
            .node(id)
            .shape()
            .iter()
            .product::<usize>()
    };
    means.map(|(_, id)| 4 * count(*id)).sum()
}

/// The estimate of one program.
struct Plan {
    name: &'static str,
    batch: usize,
    seconds: f64,
    flops: u64,
    launches: usize,
    peak_bytes: usize,
    /// What is computed again to keep within --memory.
    recomputed: Option<Recomputed>,
    /// Parameters that nothing depends on.
    unused: Vec<String>,
    /// Those that take longest first.
    kernels: Vec<Share>,
}

/// A kernel's part.
struct Share {
    label: String,
    calls: usize,
    seconds: f64,
    flops: u64,
    /// What takes most of its launches' time.
    bottleneck: Bottleneck,
    threads: u32,
    shared_bytes: usize,
    cost: KernelCost,
}

impl Plan {
    fn new(name: &'static str, batch: usize, compiled: &PtxProgram, device: &Device) -> Plan {
        let program = &compiled.program;
        let mut kernels = Vec::new();
        for (index, entry) in compiled.entries.iter().enumerate() {
            // What runs once is no part of a run.
            let launches = program.launches.iter();
            let launches = launches.filter(|launch| launch.kernel == index && !launch.invariant);
            let launches: Vec<_> = launches.filter(|_| entry.blocks > 0).collect();
            let Some(first) = launches.first() else {
                continue;
            };
            let cost = KernelCost::new(&program.kernels[index], entry, device);
            let predictions = launches.iter().map(|l| cost.predict(l.flops, device));
            kernels.push(Share {
                label: first.label.clone(),
                calls: launches.len(),
                seconds: predictions.map(|prediction| prediction.seconds).sum(),
                flops: launches.iter().map(|launch| launch.flops).sum(),
                bottleneck: cost.predict(first.flops, device).bottleneck,
                threads: entry.threads,
                shared_bytes: entry.shared_bytes,
                cost,
            });
        }
        kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Plan {
            name,
            batch,
            seconds: kernels.iter().map(|share| share.seconds).sum(),
            flops: kernels.iter().map(|share| share.flops).sum(),
            launches: kernels.iter().map(|share| share.calls).sum(),
            peak_bytes: compiled.report.peak_bytes,
            recomputed: compiled.report.recomputed,
            unused: compiled.report.unused_parameters.clone(),
            kernels,
        }
    }

    /// The unit of most operations of contractions.
    fn main_unit(&self) -> Unit {
        let of = |unit| -> u64 {
            let kernels = self.kernels.iter();
            let kernels = kernels.filter(|k| k.cost.mix.as_ref().is_some_and(|m| m.unit == unit));
            kernels.map(|kernel| kernel.flops).sum()
        };
        let units = [Unit::Fma, Unit::Tf32, Unit::Bf16, Unit::F16, Unit::Int8];
        let most = units.into_iter().max_by_key(|&unit| of(unit));
        most.unwrap_or(Unit::Fma)
    }

    fn say(&self, device: &Device, output: &Output) -> Result<(), CliError> {
        let unit = self.main_unit();
        output.say(format_args!(
            "\n{} of {}: {:.2} ms, {:.0}/s; {:.1} GFLOP, {:.0}% of the {} peak; {} launches, {:.1} MB",
            self.name,
            self.batch,
            self.seconds * 1e3,
            self.batch as f64 / self.seconds,
            self.flops as f64 / 1e9,
            100.0 * self.flops as f64 / self.seconds / device.peak(unit),
            unit.name(),
            self.launches,
            self.peak_bytes as f64 / 1e6,
        ))?;
        if let Some(again) = &self.recomputed {
            output.say(format_args!(
                "  within --memory: {} of {} parts of the forward pass are computed again, {:.1} GFLOP of these; {:.1} MB without",
                again.parts,
                again.of,
                again.flops as f64 / 1e9,
                again.without_bytes as f64 / 1e6,
            ))?;
        }
        output
            .say("      us  share calls   GFLOP      MB  bound   regs   occ  unit issue  kernel")?;
        let listed = match output.is_verbose() {
            true => self.kernels.len(),
            false => LISTED,
        };
        for share in self.kernels.iter().take(listed) {
            let cost = &share.cost;
            let (unit, issue) = match &cost.mix {
                Some(mix) if share.flops > 0 => {
                    (mix.unit.name(), format!("{:.0}%", 100.0 * mix.share))
                }
                _ => ("", String::new()),
            };
            output.say(format_args!(
                "{:8.1} {:5.1}% {:5} {:7.2} {:7.2}  {:6} {:5} {:4.0}%  {unit:4} {issue:>5}  {}",
                share.seconds * 1e6,
                100.0 * share.seconds / self.seconds,
                share.calls,
                share.flops as f64 / 1e9,
                share.calls as f64 * cost.traffic.bytes / 1e6,
                share.bottleneck.name(),
                cost.registers,
                100.0 * cost.occupancy,
                shortened(&share.label),
            ))?;
            if let (true, Some(mix)) = (output.is_verbose() && share.flops > 0, &cost.mix) {
                output.say(format_args!(
                    "         main loop: {} {}, {} loads, {} copies, {} global, {} barriers, {} others",
                    mix.multiplies,
                    mix.unit.name(),
                    mix.loads,
                    mix.copies,
                    mix.global,
                    mix.barriers,
                    mix.others
                ))?;
            }
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let kernels = self.kernels.iter().map(|share| {
            let cost = &share.cost;
            let main_loop = cost.mix.as_ref().filter(|_| share.flops > 0).map(|mix| {
                json!({
                    "unit": mix.unit.name(),
                    "multiplies": mix.multiplies,
                    "loads": mix.loads,
                    "copies": mix.copies,
                    "global": mix.global,
                    "barriers": mix.barriers,
                    "others": mix.others,
                    "unit_cycles": mix.unit_cycles,
                    "issue_cycles": mix.issue_cycles,
                    "shared_cycles": mix.shared_cycles,
                    "share_of_peak": mix.share,
                })
            });
            json!({
                "label": share.label,
                "calls": share.calls,
                "seconds": share.seconds,
                "flops": share.flops,
                "bytes": cost.traffic.bytes,
                "accessed_bytes": cost.traffic.accessed,
                "operations": cost.traffic.operations,
                "bound": share.bottleneck.name(),
                "blocks": cost.blocks,
                "threads": share.threads,
                "shared_bytes": share.shared_bytes,
                "registers": cost.registers,
                "resident_blocks": cost.resident_blocks,
                "occupancy": cost.occupancy,
                "main_loop": main_loop,
            })
        });
        json!({
            "name": self.name,
            "seconds": self.seconds,
            "flops": self.flops,
            "launches": self.launches,
            "peak_bytes": self.peak_bytes,
            "recomputed": self.recomputed.map(|again| json!({
                "parts": again.parts,
                "of": again.of,
                "flops": again.flops,
                "without_bytes": again.without_bytes,
            })),
            "kernels": kernels.collect::<Vec<Value>>(),
        })
    }
}

/// A label's beginning, of one line of the table.
fn shortened(label: &str) -> String {
    match label.chars().count() > LABEL {
        false => label.to_string(),
        true => label.chars().take(LABEL - 2).chain("..".chars()).collect(),
    }
}
