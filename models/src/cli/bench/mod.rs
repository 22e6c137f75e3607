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

mod kernels;
mod machine;
mod measured;
mod report;
mod trace;

use super::device::DeviceArgument;
use super::error::CliError;
use super::interrupt::uninterrupted;
use super::output::Output;
use super::paths::check_folder;
use super::precision::PrecisionArgument;
use super::progress::Progress;
use super::{Verdict, functions};
use bsq::image_io::write_atomically;
use bsq::pipeline::{decode_function, encode_function};
use bsq::tokenizer::Tokenizer;
use bsq_codegen::cpu::microkernel::selected;
use bsq_runtime::threads::available_threads;
use bsq_runtime::{CompileOptions, Precision};
use clap::Args;
use machine::Machine;
use measured::Measured;
use report::Report;
use std::path::PathBuf;

/// Measures this machine, and a model on it.
#[derive(Args)]
#[command(long_about = "\
Measures this machine, and a model on it.

First the peak of fused multiply-adds with all operands in registers and the bandwidth of copying \
memory, both with as many threads as the model gets. Then encoding, decoding and a training step, \
and the kernels that take most of their time, as fractions of the two. Samples of all of them are \
taken in turn, so that a change of clock frequency meets all alike, and medians are printed. A \
kernel whose data are in the caches can exceed the bandwidth of memory.

With --precision bf16 or int8, encoding and decoding in f32 and in that format are measured side \
by side, and the training step, which is always in f32, is left out.

With --device cuda the programs run on a GPU, and are compared with the peaks of its data sheet, \
where it is one that is known; a profile then has no threads.

With --profile every kernel is listed, with its operations (those of contractions) and the bytes \
that it reads and writes, and one run of each program is written as a Chrome trace: a slice for \
each launch, and below it one for each thread. Open it at https://ui.perfetto.dev.")]
#[command(after_long_help = "\
Examples:
  bsq bench
  bsq bench --threads 1 --json
  bsq bench --model config.toml --batch 4 --samples 5
  bsq bench --precision int8
  bsq bench --device cuda --batch 64
  bsq bench --batch 1 --profile trace.json")]
pub struct Arguments {
    /// A model that ships (default), a file of weights, or a configuration (.toml, .yaml); the
    /// weights are random
    #[arg(long, value_name = "MODEL", default_value = "default")]
    model: String,
    /// Windows in the batch
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Samples to take the median of
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    samples: u16,
    #[command(flatten)]
    precision: PrecisionArgument,
    #[command(flatten)]
    device: DeviceArgument,
    /// List every kernel, and write a Chrome trace
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    if let Some(path) = &arguments.profile {
        check_folder(path)?;
    }
    let device = arguments.device.open(output)?;
    let config = functions::config_of(&arguments.model)?;
    let tokenizer = Tokenizer::new(&config.model)?;
    let threads = match output.threads {
        0 => available_threads(),
        threads => threads,
    };
    let family = selected()?;
    let batch = usize::from(arguments.batch);
    let (precision, f32) = (arguments.precision, Precision::F32);
    let encode = || encode_function(&tokenizer, batch);
    let decode = || decode_function(&tokenizer, batch);
    let mut built = vec![
        ("encode".to_string(), encode(), true, f32),
        ("decode".to_string(), decode(), true, f32),
    ];
    match precision.get() {
        Precision::F32 => built.push((
            "training step".to_string(),
            functions::training_step(&config, &tokenizer, batch),
            config.train.exact,
            f32,
        )),
        faster => {
            built.push((precision.title("encode"), encode(), true, faster));
            built.push((precision.title("decode"), decode(), true, faster));
        }
    }
    let parameters = tokenizer.init(0)?;
    let mut programs = Vec::new();
    for (name, function, exact, precision) in built {
        let options = CompileOptions {
            exact,
            threads,
            precision,
            device,
            ..CompileOptions::default()
        };
        programs.push(Measured::new(name, &function, &parameters, &options)?);
    }
    let samples = usize::from(arguments.samples);
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
