//! Nanoseconds per element of compiled elementwise and row kernels, and what compiling them cost.
//!
//! `cargo run --release -p bsq-codegen --example kernel_speed`; `BSQ_CPU` picks the CPU family.
//! `... kernel_speed softmax asm` prints the machine code of a case instead.

use bsq_codegen::cpu::clif::{self, Options};
use bsq_codegen::cpu::microkernel::selected;
use bsq_codegen::pipeline;
use bsq_codegen::program::{BufferKind, Program};
use bsq_ir::{DType, Graph, Tensor};
use std::time::Instant;

const ROWS: usize = 64;
const COLUMNS: usize = 1024;

type Case = (&'static str, for<'g> fn(Tensor<'g>) -> Tensor<'g>);

const CASES: [Case; 12] = [
    ("add", |x| x + x.flip(0)),
    ("exp", |x| x.exp()),
    ("log", |x| x.log()),
    ("tanh", |x| x.tanh()),
    ("gelu", |x| x.gelu()),
    ("sum of rows", |x| x.sum(-1)),
    ("max of rows", |x| x.max(-1)),
    ("sum of columns", |x| x.sum(0)),
    ("softmax", |x| x.softmax()),
    ("layer norm", |x| {
        let centered = x - x.mean(-1).expand_axes(-1, x.shape());
        let variance = (centered * centered).mean(-1) + 1e-5;
        centered / variance.sqrt().expand_axes(-1, x.shape())
    }),
    ("bf16 to f32", |x| x.cast(DType::BF16).cast(DType::F32)),
    ("f16 to f32", |x| x.cast(DType::F16).cast(DType::F32)),
];

fn main() {
    let family = selected().expect("a CPU family");
    let options = Options { family, threads: 1 };
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    println!("{family}, {ROWS} x {COLUMNS}");
    for (name, case) in CASES {
        if wanted.first().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let graph = Graph::new();
        let x = graph.input("x", DType::F32, [ROWS, COLUMNS]);
        let function = graph.function([("y", case(x).id())], []);
        let program = pipeline::lower(&function, &Default::default()).expect("a program");
        if wanted.len() > 1 {
            for kernel in &program.kernels {
                let listing = clif::explain(kernel, &options).expect("a listing");
                let code = match wanted[1].as_str() {
                    "asm" => listing.assembly,
                    _ => listing.clif,
                };
                println!("{kernel}\n{code}");
            }
            continue;
        }
        let start = Instant::now();
        let compiled = clif::compile(&program.kernels, &options).expect("machine code");
        let elapsed = start.elapsed();
        let timings = compiled.timings();
        let mut memory = Memory::new(&program);
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let start = Instant::now();
            for _ in 0..20 {
                memory.run(&program, &compiled);
            }
            best = best.min(start.elapsed().as_secs_f64() / 20.0);
        }
        println!(
            "{name:<16} {:6.3} ns per element   compiled {} in {:.2} ms ({:.2} build, {:.2} Cranelift)",
            best * 1e9 / (ROWS * COLUMNS) as f64,
            timings.kernels,
            elapsed.as_secs_f64() * 1e3,
            timings.build.as_secs_f64() * 1e3,
            timings.cranelift.as_secs_f64() * 1e3,
        );
    }
}

/// A program's buffers, temporaries each in separate memory.
struct Memory {
    buffers: Vec<Vec<f32>>,
    scratch: Vec<f32>,
}

impl Memory {
    fn new(program: &Program) -> Self {
        let buffers = program.buffers.iter().map(|buffer| {
            let words = buffer.ty.bytes().div_ceil(4);
            match buffer.kind {
                BufferKind::Input(_) => (0..words).map(|i| (i % 97) as f32 / 16.0 - 3.0).collect(),
                _ => vec![0.0; words],
            }
        });
        let scratch = program.kernels.iter().map(|k| k.scratch_layout().1).max();
        Memory {
            buffers: buffers.collect(),
            scratch: vec![0.0; scratch.unwrap_or(0).div_ceil(4)],
        }
    }

    fn run(&mut self, program: &Program, compiled: &clif::Compiled) {
        for launch in &program.launches {
            let pointer = |id: &bsq_codegen::program::BufferId| {
                self.buffers[id.0 as usize].as_ptr().cast_mut().cast::<u8>()
            };
            let pointers: Vec<*mut u8> = launch.arguments.iter().map(pointer).collect();
            let items = program.kernels[launch.kernel].items();
            let entry = compiled.entry(launch.kernel);
            let scratch = self.scratch.as_mut_ptr().cast();
            // SAFETY: every buffer has the size of its type, and nothing else uses them.
            unsafe { entry(pointers.as_ptr(), scratch, 0, items) };
        }
    }
}
