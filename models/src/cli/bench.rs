//! `bsq bench`: what this machine can do, and how much of it a model uses.

use super::error::CliError;
use super::output::Output;
use super::progress::Progress;
use super::{Verdict, functions};
use bsq::executor::Tensors;
use bsq::pipeline::{decode_function, encode_function};
use bsq::tokenizer::Tokenizer;
use bsq_codegen::cpu::microkernel::{Family, fma_peak, selected};
use bsq_ir::{DType, Function, Op};
use bsq_runtime::tensor_data::HostTensor;
use bsq_runtime::threads::available_threads;
use bsq_runtime::{CompileOptions, Executable, Session, compile};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

/// Measures this machine, and a model on it.
#[derive(Args)]
#[command(long_about = "\
Measures this machine, and a model on it.

First the peak of fused multiply-adds with all operands in registers and the bandwidth of copying \
memory, both with as many threads as the model gets. Then encoding, decoding and a training step, \
and the kernels that take most of their time, as fractions of the two. Samples of all of them are \
taken in turn, so that a change of clock frequency meets all alike, and medians are printed. A \
kernel whose data are in the caches can exceed the bandwidth of memory.")]
#[command(after_long_help = "\
Examples:
  bsq bench
  bsq bench --threads 1 --json
  bsq bench --model config.toml --batch 4 --samples 5")]
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
}

/// Kernels that are listed.
const LISTED: usize = 12;
/// Seconds of one sample of the peak.
const PEAK_SECONDS: f64 = 0.05;
/// Floats that each thread copies: larger than caches.
const COPIED: usize = 1 << 24;

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let config = functions::config_of(&arguments.model)?;
    let tokenizer = Tokenizer::new(&config.model)?;
    let threads = match output.threads {
        0 => available_threads(),
        threads => threads,
    };
    let family = selected()?;
    let batch = usize::from(arguments.batch);
    let built = [
        ("encode", encode_function(&tokenizer, batch)),
        ("decode", decode_function(&tokenizer, batch)),
        (
            "training step",
            functions::training_step(&config, &tokenizer, batch),
        ),
    ];
    let parameters = tokenizer.init(0)?;
    let mut programs = Vec::new();
    for (name, function) in built {
        programs.push(Measured::new(name, &function, &parameters, threads)?);
    }
    let samples = usize::from(arguments.samples);
    let progress = Progress::new("measuring", "samples", samples);
    let mut memory = Memory::new(threads);
    // The first pass pays for pages that have never been touched.
    memory.bandwidth();
    let (mut peaks, mut bandwidths) = (Vec::new(), Vec::new());
    for sample in 0..samples {
        peaks.push(peak(family, threads));
        bandwidths.push(memory.bandwidth());
        for program in &mut programs {
            program.sample()?;
        }
        progress.set(sample + 1);
    }
    drop(progress);
    let machine = Machine {
        gflops: median(&mut peaks),
        gbytes: median(&mut bandwidths),
    };
    output.say(format_args!(
        "{family}, {threads} threads: peak {:.1} GFLOP/s, memory {:.1} GB/s",
        machine.gflops, machine.gbytes
    ))?;
    for program in &programs {
        program.say(batch, &machine, output)?;
    }
    output.value(&json!({
        "family": family.to_string(),
        "threads": threads,
        "batch": batch,
        "samples": samples,
        "peak_gflops": machine.gflops,
        "memory_gbytes_per_second": machine.gbytes,
        "programs": programs.iter().map(|p| p.to_json(&machine)).collect::<Vec<Value>>(),
    }))?;
    Ok(Verdict::Good)
}

/// What the machine can do.
struct Machine {
    gflops: f64,
    gbytes: f64,
}

/// GFLOP/s of all threads together, in registers alone.
fn peak(family: Family, threads: usize) -> f64 {
    thread::scope(|scope| {
        let one = || fma_peak(family, PEAK_SECONDS);
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(one)).collect();
        let own = one();
        let joined = others.into_iter().map(|other| other.join());
        own + joined.map(|rate| rate.unwrap_or(0.0)).sum::<f64>()
    })
}

/// What is copied to measure memory: source and destination of each thread.
struct Memory(Vec<(Vec<f32>, Vec<f32>)>);

impl Memory {
    fn new(threads: usize) -> Memory {
        let each = (COPIED / threads).max(1 << 20);
        Memory(
            (0..threads)
                .map(|_| (vec![1.0; each], vec![0.0; each]))
                .collect(),
        )
    }

    /// GB/s read and written by all threads together.
    fn bandwidth(&mut self) -> f64 {
        let floats: usize = self.0.iter().map(|(from, _)| 2 * from.len()).sum();
        let start = Instant::now();
        thread::scope(|scope| {
            for (from, to) in &mut self.0 {
                scope.spawn(|| black_box(to).copy_from_slice(black_box(from)));
            }
        });
        (floats * size_of::<f32>()) as f64 / start.elapsed().as_secs_f64() / 1e9
    }
}

/// A program, ready to run, with the times of its samples in seconds.
struct Measured {
    name: &'static str,
    executable: Executable,
    session: Session,
    inputs: Tensors,
    times: Vec<f64>,
    /// Of each launch that runs every time, its times.
    launches: Vec<Vec<f64>>,
}

/// A kernel's part in a run.
struct KernelShare {
    label: String,
    calls: usize,
    seconds: f64,
    flops: u64,
    bytes: usize,
}

impl Measured {
    fn new(
        name: &'static str,
        function: &Function,
        parameters: &Tensors,
        threads: usize,
    ) -> Result<Measured, CliError> {
        let options = CompileOptions {
            threads,
            ..CompileOptions::default()
        };
        let executable = compile(function, &options)?;
        let mut bound = Tensors::new();
        for (_, name, ty) in function.parameters() {
            // The optimizer's state is no parameter of the model: it starts as zeros.
            let tensor = match parameters.get(name) {
                Some(tensor) => tensor.clone(),
                None => HostTensor::zeros(ty.dtype, ty.shape.to_vec())?,
            };
            bound.insert(name.to_string(), tensor);
        }
        let mut inputs = Tensors::new();
        for node in function.nodes() {
            if let Op::Input { name, ty } = &node.op {
                let mut tensor = HostTensor::zeros(ty.dtype, ty.shape.to_vec())?;
                if ty.dtype == DType::F32 && !ty.shape.is_empty() {
                    let pixels = tensor.as_mut_slice::<f32>()?.iter_mut();
                    for (i, pixel) in pixels.enumerate() {
                        *pixel = ((i * 7919) % 2003) as f32 / 1001.0 - 1.0;
                    }
                }
                inputs.insert(name.clone(), tensor);
            }
        }
        let mut measured = Measured {
            name,
            session: executable.bind(bound)?,
            executable,
            inputs,
            times: Vec::new(),
            launches: Vec::new(),
        };
        // The first run also does what is done only once.
        measured.sample()?;
        measured.times.clear();
        measured.launches.clear();
        Ok(measured)
    }

    /// One run as a whole, and one with each launch measured.
    fn sample(&mut self) -> Result<(), CliError> {
        let inputs: Vec<(&str, &HostTensor)> =
            self.inputs.iter().map(|(name, t)| (&**name, t)).collect();
        let start = Instant::now();
        black_box(self.session.run(&inputs)?);
        self.times.push(start.elapsed().as_secs_f64());
        let (_, launches) = self.session.profile(&inputs)?;
        self.launches.resize(launches.len(), Vec::new());
        for (times, launch) in self.launches.iter_mut().zip(launches) {
            times.push(launch.time.as_secs_f64());
        }
        Ok(())
    }

    fn seconds(&self) -> f64 {
        median(&mut self.times.clone())
    }

    fn gflops(&self) -> f64 {
        self.executable.program().flops() as f64 / self.seconds() / 1e9
    }

    /// The kernels, those that take longest first.
    fn kernels(&self) -> Vec<KernelShare> {
        let program = self.executable.program();
        let every_run = program.launches.iter().filter(|launch| !launch.stable);
        let mut shares: BTreeMap<usize, KernelShare> = BTreeMap::new();
        for (launch, times) in every_run.zip(&self.launches) {
            let bytes = launch
                .arguments
                .iter()
                .map(|&id| program.buffer(id).ty.bytes());
            let share = shares.entry(launch.kernel).or_insert_with(|| KernelShare {
                label: launch.label.clone(),
                calls: 0,
                seconds: 0.0,
                flops: 0,
                bytes: 0,
            });
            share.calls += 1;
            share.seconds += median(&mut times.clone());
            share.flops += launch.flops;
            share.bytes += bytes.sum::<usize>();
        }
        let mut shares: Vec<KernelShare> = shares.into_values().collect();
        shares.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        shares
    }

    fn say(&self, batch: usize, machine: &Machine, output: &Output) -> Result<(), CliError> {
        let (seconds, gflops) = (self.seconds(), self.gflops());
        output.say(format_args!(
            "\n{} of {batch} windows: {:.2} ms, {:.1} windows/s, {gflops:.1} GFLOP/s, {:.0}% of peak; {:.1} MB at most",
            self.name,
            seconds * 1e3,
            batch as f64 / seconds,
            100.0 * gflops / machine.gflops,
            self.executable.program().peak_bytes() as f64 / 1e6
        ))?;
        output.detail(format_args!("{}: {}", self.name, self.executable.report()));
        for share in self.kernels().iter().take(LISTED) {
            let [flops, bytes] = share.rates();
            output.say(format_args!(
                "  {:8.3} ms  {:3} x  {:3.0}% of peak  {:3.0}% of memory  {}",
                share.seconds * 1e3,
                share.calls,
                100.0 * flops / machine.gflops,
                100.0 * bytes / machine.gbytes,
                share.label
            ))?;
        }
        Ok(())
    }

    fn to_json(&self, machine: &Machine) -> Value {
        let kernels = self.kernels().into_iter().map(|share| {
            let [flops, bytes] = share.rates();
            json!({
                "label": share.label,
                "calls": share.calls,
                "seconds": share.seconds,
                "of_peak": flops / machine.gflops,
                "of_memory": bytes / machine.gbytes,
            })
        });
        json!({
            "name": self.name,
            "seconds": self.seconds(),
            "gflops": self.gflops(),
            "of_peak": self.gflops() / machine.gflops,
            "compile_seconds": self.executable.report().total().as_secs_f64(),
            "peak_bytes": self.executable.program().peak_bytes(),
            "kernels": kernels.collect::<Vec<Value>>(),
        })
    }
}

impl KernelShare {
    /// GFLOP/s of contractions, and GB/s of everything that is read or written once.
    fn rates(&self) -> [f64; 2] {
        [self.flops as f64, self.bytes as f64].map(|amount| amount / self.seconds / 1e9)
    }
}

/// The middle one; of an even number the lower of the middle two.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count => values[(count - 1) / 2],
    }
}
