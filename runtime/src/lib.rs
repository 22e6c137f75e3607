//! Compiled programs at work: memory, threads and GPUs, tensors of the host, checkpoints.
//!
//! [`compile`] takes a [`Function`](bsq_ir::Function) to machine code, or to PTX for a GPU; the
//! [`Executable`] is bound to its parameters once, and the [`Session`] runs as often as it is called.
//! Parameters that the function updates change with every run.
//!
//! | module | what is in it |
//! |---|---|
//! | [`program`] | compiling, binding, running; checked runs; programs kept by key; batches of any size |
//! | [`executor`] | a function run once, compiled or by the reference evaluator |
//! | [`tensor_data`] | [`HostTensor`]: what goes in and comes out |
//! | [`checkpoint`] | weights in safetensors and in PyTorch's formats, read without running anything |
//! | [`device`], [`cuda`] | CPUs and GPUs; the driver's calls; export for other loaders |
//! | [`threads`], [`buffer`], [`atomic_file`] | workers, aligned memory, files that are whole or not there |
//!
//! # Compile, run, save, load
//!
//! ```
//! use bsq_ir::{DType, Graph};
//! use bsq_runtime::checkpoint::{self, Weights, safetensors};
//! use bsq_runtime::{CompileOptions, HostTensor, compile};
//!
//! // y = x w, and w is w + x^T x after each run.
//! let g = Graph::new();
//! let x = g.input("x", DType::F32, [1, 2]);
//! let w = g.parameter("w", DType::F32, [2, 2]);
//! let outer = x.transpose(&[1, 0]).matmul(x);
//! let function = g.function([("y", x.matmul(w).id())], [(w.id(), (w + outer).id())]);
//!
//! let executable = compile(&function, &CompileOptions::default())?;
//! let start = HostTensor::from_slice([2, 2], &[1.0f32, 0.0, 0.0, 1.0])?;
//! let mut session = executable.bind([("w".to_string(), start)].into())?;
//! let x = HostTensor::from_slice([1, 2], &[1.0f32, 2.0])?;
//! assert_eq!(session.run(&[("x", &x)])?["y"].as_slice::<f32>()?, [1.0, 2.0]);
//! assert_eq!(session.run(&[("x", &x)])?["y"].as_slice::<f32>()?, [6.0, 12.0]);
//!
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("w.safetensors");
//! safetensors::save(&file, session.parameters()?, &Default::default())?;
//! let loaded = checkpoint::load(&file, Weights::Raw)?;
//! assert_eq!(&loaded.tensors["w"], session.parameter("w")?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Promises
//!
//! In `f32` a result is the same bits on every CPU and GPU, with any number of threads (*the same
//! bits everywhere*); `BSQ_CPU=avx512|avx2|portable` forces a family of instructions and changes
//! nothing but speed.

pub mod atomic_file;
pub mod buffer;
pub mod checkpoint;
pub mod cuda;
pub mod device;
pub mod executor;
pub mod names;
pub mod program;
pub mod tensor_data;
pub mod threads;

pub use bsq_codegen::lower::Precision;
pub use device::Device;
pub use program::{
    BatchError, BatchedProgram, BoundPrograms, CompileOptions, Executable, Outputs, ProgramError,
    Session, compile,
};
pub use tensor_data::HostTensor;
