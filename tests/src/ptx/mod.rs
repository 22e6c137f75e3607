//! An interpreter of PTX for tests: it runs a compiler's kernels without a GPU, and finds faults
//! that a GPU shows only sometimes.
//!
//! [`Module::parse`] reads PTX text for sm_86 and is stricter than `ptxas` about types. A
//! [`Device`] owns allocations, and [`Device::launch`] runs a kernel: blocks one after another in
//! a seeded random order, their warps interleaved at random between barriers, each warp with an
//! active mask that reconverges at immediate post-dominators.
//!
//! A [`Fault`] ends a launch. It names kernel, line, block, thread and address. Races are found by
//! order of events, not by luck: two accesses of the same bytes, one of them a write, are a fault
//! unless one thread made both or a barrier lies between them, whatever the schedule was.
//!
//! Not modelled: time, caches, fences and other orders finer than a barrier, and the exact
//! rounding of tensor cores (products are summed in f64 here and rounded once).
//!
//! ```
//! use bsq_tests::ptx::{Device, Launch, Module, Param};
//!
//! let module = Module::parse(
//!     ".version 8.0 .target sm_86 .address_size 64
//!     .visible .entry double_it(.param .u64 data) {
//!         .reg .b32 %r<3>; .reg .b64 %rd<4>;
//!         ld.param.u64 %rd1, [data];
//!         mov.u32 %r1, %tid.x;
//!         mul.wide.u32 %rd2, %r1, 4;
//!         add.s64 %rd3, %rd1, %rd2;
//!         ld.global.u32 %r2, [%rd3];
//!         add.u32 %r2, %r2, %r2;
//!         st.global.u32 [%rd3], %r2;
//!         ret;
//!     }",
//! )?;
//! let mut device = Device::new();
//! let data = device.upload(&[1u32, 2, 3, 4]);
//! let launch = Launch::new([1, 1, 1], [4, 1, 1]);
//! device.launch(&module, "double_it", launch, &[Param::Pointer(data)])?;
//! assert_eq!(device.download::<u32>(data)?, [2, 4, 6, 8]);
//! # Ok::<(), bsq_tests::ptx::Error>(())
//! ```

mod cfg;
mod decode;
mod device;
mod error;
mod exec;
mod inst;
mod lanes;
mod memory;
mod module;
mod parse;
mod round;
mod stats;
mod types;

pub use device::{Device, Element, Launch, Options, Param};
pub use error::{Error, Fault, FaultKind, LaunchError, ParseError};
pub use module::Module;
pub use stats::{Requests, Stats};
pub use types::Space;
