//! From a function to something that runs: compile, bind parameters, run.
//!
//! ```
//! use bsq_ir::{DType, Graph};
//! use bsq_runtime::{CompileOptions, HostTensor, compile};
//!
//! let g = Graph::new();
//! let x = g.input("x", DType::F32, [2, 2]);
//! let w = g.parameter("w", DType::F32, [2, 2]);
//! let function = g.function([("y", x.matmul(w).id())], []);
//!
//! let executable = compile(&function, &CompileOptions::default())?;
//! let eye = HostTensor::from_slice([2, 2], &[1.0f32, 0.0, 0.0, 1.0])?;
//! let x = HostTensor::from_slice([2, 2], &[1.0f32, 2.0, 3.0, 4.0])?;
//! let mut session = executable.bind([("w".to_string(), eye)].into())?;
//! let y = session.run(&[("x", &x)])?;
//! assert_eq!(y["y"].as_slice::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod addresses;
mod batched;
mod bound;
mod checked;
mod compile;
mod cpu;
mod error;
mod outdated;
mod outputs;
mod programs;
mod session;
mod timeline;

pub use batched::{BatchError, BatchedProgram, powers_of_two};
pub(crate) use bound::BoundProgram;
pub use bsq_codegen::pipeline::Report as CompileReport;
pub use compile::{CompileOptions, Executable, compile};
pub use error::ProgramError;
pub use outputs::Outputs;
pub use programs::BoundPrograms;
pub use session::Session;
pub use timeline::{LaunchTime, Span};
