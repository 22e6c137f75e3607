//! From a graph to code: what runs together, in which loops, in which memory, by which instructions.
//!
//! A [`Function`](bsq_ir::Function) of `bsq-ir` becomes a [`Program`](program::Program): kernels,
//! the launches that run them in order, and a plan of the memory that they share. Kernels are in
//! Kernel IR, loop nests over arrays that name no machine; from it come machine code for CPUs and
//! PTX for GPUs. Every pass in order is on one page: [`pipeline`].
//!
//! | module | what is in it |
//! |---|---|
//! | [`pipeline`] | all passes, in order and by name; their times; `BSQ_DUMP` |
//! | [`schedule`] | which nodes share a kernel, and when kernels run |
//! | [`lower`] | from groups of nodes to Kernel IR |
//! | [`kernel`] | Kernel IR: its text, its verifier |
//! | [`interpret`] | what Kernel IR means: an interpreter, for tests |
//! | [`program`] | kernels, launches and buffers, and a proof that each launch reads what it should |
//! | [`memory`] | where temporaries lie in the arena |
//! | [`cpu`] | machine code: Cranelift, vector loops of 256 and 512 bits, microkernels |
//! | [`ptx`] | PTX, and how long its launches should take |
//!
//! # From text to a program
//!
//! A sum of squares along rows is one kernel: what is summed is computed in the sum's loop.
//!
//! ```
//! use bsq_codegen::{lower, pipeline};
//!
//! let function: bsq_ir::Function = r#"
//!     %x = input "x" : f32[4,8]
//!     %square = mul %x, %x : f32[4,8]
//!     %sum = sum %square axes=[1] : f32[4]
//!     output "y" %sum
//! "#
//! .parse()?;
//! let program = pipeline::program(&function, true, &lower::Options::default())?;
//! assert_eq!(program.launches.len(), 1);
//! assert_eq!(
//!     program.kernels[0].to_string(),
//!     "\
//! buffer b0: f32[32]
//! buffer b1: f32[4] written
//! grid i0 < 4
//!   vector reduce i1 < 8
//!     v0: f32 = load b0[8*i0 + i1]
//!     v1: f32 = mul v0, v0
//!   v2: f32 = sum v1
//!   b1[i0] = v2
//! "
//! );
//!
//! // Kernel IR reads back.
//! let kernel: bsq_codegen::kernel::Kernel = program.kernels[0].to_string().parse()?;
//! assert_eq!(kernel.to_string(), program.kernels[0].to_string());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With its code, by a pipeline that also says how long each pass took:
//!
//! ```
//! use bsq_codegen::cpu::{clif, microkernel};
//! use bsq_codegen::{lower, pipeline::Pipeline};
//! # let function: bsq_ir::Function = "%x = input \"x\" : f32[4,8]\noutput \"y\" %x".parse()?;
//!
//! let mut pipeline = Pipeline::from_environment()?;
//! let rewritten = pipeline.rewrite(&function, true)?;
//! let program = pipeline.lower(&rewritten, &lower::Options::default())?;
//! let family = microkernel::selected()?;
//! let code = pipeline.machine_code(&program, &clif::Options { family, threads: 1 })?;
//! println!("{}", pipeline.report(&rewritten, &program));
//! # let _ = code;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Environment
//!
//! | variable | what it does |
//! |---|---|
//! | `BSQ_CPU=avx512\|avx2\|portable` | forces a family of instructions: speed, never results ([`selected`](cpu::microkernel::selected)) |
//! | `BSQ_DUMP=PASS,...` | prints what went into passes and what came out, to standard error ([`Dump`](pipeline::Dump)) |

pub mod cpu;
pub mod interpret;
pub mod kernel;
pub mod lower;
pub mod memory;
pub mod pipeline;
pub mod program;
pub mod ptx;
pub mod schedule;
