//! `bsq bench`: what this machine can do, and how much of it a model uses.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod` | the command's options, and the order of samples |
//! | `machine` | what runs the programs, and its peaks |
//! | `measured` | a program that is ready to run, and the times of its samples |
//! | `kernels` | what each kernel's part in a program is |
//! | `report` | text and JSON |
//! | `trace` | the file that Perfetto opens |
//! | `codec` | `bsq bench codec`: files beside those of other codecs |

mod codec;
mod kernels;
mod machine;
mod measured;
mod report;
mod trace;

use super::Verdict;
use super::device::DeviceArgument;
use super::error::CliError;
use super::functions::{Named, PriorProgram, Subject};
use super::interrupt::uninterrupted;
use super::output::Output;
use super::paths::check_folder;
use super::precision::PrecisionArgument;
use super::progress::Progress;
use bsq::config::TrainPrecision;
use bsq::image_io::write_atomically;
use bsq::pipeline::{decode_function, encode_function};
use bsq_codegen::cpu::microkernel::selected;
use bsq_ir::Function;
use bsq_runtime::threads::available_threads;
use bsq_runtime::{CompileOptions, Precision};
use clap::{Args, Subcommand};
use indicatif::HumanDuration;
use machine::Machine;
use measured::Measured;
use report::Report;
use std::path::PathBuf;
use std::time::Duration;

/// Measurements that take less are not announced.
const WORTH_SAYING: Duration = Duration::from_secs(15);

/// Windows of a batch, unless the user says otherwise.
const DEFAULT_WINDOWS: usize = 16;

/// Measures this machine and a model on it, or our files beside those of other codecs.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(long_about = "\
Measures this machine and a model on it, or with `codec` our files beside those of other codecs.

First the peak of fused multiply-adds with all operands in registers and the bandwidth of copying \
memory, both with as many threads as the model gets. Then encoding, decoding and a training step, \
and the kernels that take most of their time, as fractions of the two. Samples of all of them are \
taken in turn, so that a change of clock frequency meets all alike, and medians are printed. A \
kernel whose data are in the caches can exceed the bandwidth of memory.

With --precision bf16, f16 or int8, encoding and decoding in f32 and in that format are measured side \
by side; so is a training step in bf16, and with the others it is left out.

With --device cuda the programs run on a GPU, and are compared with the peaks of its data sheet, \
where it is one that is known; a profile then has no threads.

Of a prior (a configuration with a section [prior]) it measures all positions at once, as encoding \
runs them, a wavefront with its cache and one sub-token of it, as decoding does, and a training \
step. Priors run in f32 only: coding needs the same bits everywhere.

With --profile every kernel is listed, with its operations (those of contractions) and the bytes \
that it reads and writes, and one run of each program is written as a Chrome trace: a slice for \
each launch, and below it one for each thread. Open it at https://ui.perfetto.dev.")]
#[command(after_long_help = "\
Examples:
  bsq bench
  bsq bench --threads 1 --json
  bsq bench --model config.toml --batch 4 --samples 5
  bsq bench --precision int8
  bsq bench --model models/configs/reference/bsq_256_b36g36.yaml --batch 1 --only encode
  bsq bench --device cuda --batch 64
  bsq bench --batch 1 --profile trace.json
  bsq bench codec --data photos")]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// A model that ships (default), a file of weights, the folder of a training, or a configuration, of a
    /// tokenizer or of a prior; the weights are random
    #[arg(long, value_name = "MODEL", default_value = "default")]
    model: String,
    /// Windows in the batch [default: 16]; of a prior, tiles [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// Samples to take the median of
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    samples: u16,
    #[command(flatten)]
    precision: PrecisionArgument,
    #[command(flatten)]
    device: DeviceArgument,
    /// Measure only programs whose names begin so: encode, decode, training
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// List every kernel, and write a Chrome trace
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    Codec(codec::Arguments),
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    if let Some(What::Codec(arguments)) = arguments.what {
        return codec::run(arguments, output);
    }
    if let Some(path) = &arguments.profile {
        check_folder(path)?;
    }
    let device = arguments.device.open(output)?;
    let subject = Subject::open(&arguments.model, output)?;
    let threads = match output.threads {
        0 => available_threads(),
        threads => threads,
    };
    let family = selected()?;
    let batch = match (arguments.batch, &subject) {
        (Some(batch), _) => usize::from(batch),
        (None, Subject::Tokenizer(..)) => DEFAULT_WINDOWS,
        (None, Subject::Prior(..) | Subject::MaskedLm(..)) => 1,
    };
    let precision = arguments.precision;
    let built = chosen(programs(&subject, batch, precision)?, &arguments.only)?;
    let parameters = subject.init()?;
    let mut programs = Vec::new();
    let preparing = Progress::new("first runs", "programs", built.len());
    let mut once = Duration::ZERO;
    for (name, function, exact, precision) in built {
        let options = CompileOptions {
            exact,
            threads,
            precision,
            device,
            ..CompileOptions::default()
        };
        let program = Measured::new(name, &function, &parameters, &options)?;
        once += program.first_run();
        programs.push(program);
        preparing.set(programs.len());
    }
    drop(preparing);
    let samples = usize::from(arguments.samples);
    let all = once * u32::from(arguments.samples);
    if all >= WORTH_SAYING {
        let names: Vec<&str> = programs
            .iter()
            .map(|program| program.name.as_str())
            .collect();
        output.note(format_args!(
            "{samples} samples of {}: some {} (--samples, --only)",
            names.join(", "),
            HumanDuration(all)
        ));
    }
    let progress = Progress::new("measuring", "samples", samples);
    let mut machine = Machine::new(device, family, threads)?;
    for sample in 0..samples {
        machine.sample();
        for program in &mut programs {
            program.sample()?;
        }
        progress.set(sample + 1);
    }
    drop(progress);
    let report = Report {
        machine,
        batch,
        unit: subject.unit(),
        samples,
        precision: precision.name(),
        programs: &programs,
        all_kernels: arguments.profile.is_some(),
    };
    report.say(output)?;
    if let Some(path) = &arguments.profile {
        let trace = trace::chrome_trace(&programs).to_string();
        uninterrupted(|| write_atomically(path, trace.as_bytes()))?;
        output.note(format_args!("wrote {}", path.display()));
    }
    output.value(&report.to_json())?;
    Ok(Verdict::Good)
}

/// The programs whose names begin as the user says, or all.
fn chosen(built: Vec<Built>, only: &[String]) -> Result<Vec<Built>, CliError> {
    let names: Vec<String> = built.iter().map(|built| built.0.clone()).collect();
    for wanted in only {
        if !names.iter().any(|name| name.starts_with(wanted.as_str())) {
            return Err(CliError::new(format_args!(
                "--only {wanted}: no program's name begins so; there are {}",
                names.join(", ")
            )));
        }
    }
    let is_chosen = |name: &str| only.is_empty() || only.iter().any(|only| name.starts_with(only));
    let chosen = built.into_iter().filter(|built| is_chosen(&built.0));
    Ok(chosen.collect())
}

/// A program's name, and whether it keeps every bit.
type Built = (String, Function, bool, Precision);

fn programs(
    subject: &Subject,
    batch: usize,
    precision: PrecisionArgument,
) -> Result<Vec<Built>, CliError> {
    let f32 = Precision::F32;
    let of_training = precision.of_training(TrainPrecision::F32);
    let trains = precision.get() == f32 || of_training != f32;
    let mut built: Vec<Built> = match subject {
        Subject::Tokenizer(_, tokenizer) => {
            let (encode, decode) = (
                encode_function(tokenizer, batch),
                decode_function(tokenizer, batch),
            );
            let faster = precision.get();
            let mut built = vec![
                ("encode".to_string(), encode.clone(), true, f32),
                ("decode".to_string(), decode.clone(), true, f32),
            ];
            if faster != f32 {
                built.push((precision.title("encode"), encode, true, faster));
                built.push((precision.title("decode"), decode, true, faster));
            }
            built
        }
        Subject::Prior(..) if !trains => {
            let message = "--precision: a prior runs in f32 only, as both sides of a stream need \
                           the same bits; its training step in bf16, too";
            return Err(CliError::new(message));
        }
        Subject::MaskedLm(_) if !trains => {
            let message = "--precision: a masked language model runs in f32 only, as a seed stands \
                           for the same pictures everywhere; its training step in bf16, too";
            return Err(CliError::new(message));
        }
        Subject::MaskedLm(_) => {
            let Named { name, function, .. } = subject.forward(batch);
            vec![(name.to_string(), function, true, f32)]
        }
        Subject::Prior(_, model) => PriorProgram::EVERY
            .map(|program| {
                let function = program.function(model, batch);
                (program.title().to_string(), function, true, f32)
            })
            .into(),
    };
    if trains {
        let (name, function) = ("training step", subject.training_step(batch));
        let exact = subject.trains_exactly();
        built.push((name.to_string(), function.clone(), exact, f32));
        if of_training != f32 {
            built.push((precision.title(name), function, exact, of_training));
        }
    }
    Ok(built)
}
