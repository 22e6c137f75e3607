//! An interpreter of PTX for tests: it runs a compiler's kernels without a GPU, and finds faults
//! that a GPU shows only sometimes.
//!
//! [`Module::parse`] reads PTX text for sm_86. It shares no code with whatever wrote the text, and is
//! stricter than NVIDIA's assembler: a register of the wrong type, an `add.f32` that may be fused, an
//! unknown modifier are errors with a line and a column. The instructions are those that the
//! workspace's emitters write and the hand-written kernels of the tests need; any other is an error.
//!
//! A [`Device`] owns allocations, and [`Device::launch`] runs a kernel. Instructions are decoded once,
//! their arithmetic to a function over the 32 lanes of a warp. Blocks run one after another and warps
//! interleaved between barriers, in an order that a seed decides; lanes that part meet again at the
//! immediate post-dominator of the branch. A [`Fault`] ends the launch: it names kernel, line, block,
//! thread and address.
//!
//! ```
//! use bsq_ptx_interpreter::{Device, FaultKind, Launch, Module, Param};
//!
//! let text = ".version 8.0 .target sm_86 .address_size 64
//!     .visible .entry reverse(.param .u64 data) {
//!         .reg .b32 %r<6>; .reg .b64 %rd<3>; .shared .align 4 .b8 words[256];
//!         ld.param.u64 %rd1, [data];
//!         mov.u32 %r1, %tid.x;
//!         mad.wide.u32 %rd2, %r1, 4, %rd1;
//!         ld.global.u32 %r2, [%rd2];
//!         mov.u32 %r3, words;
//!         mad.lo.u32 %r4, %r1, 4, %r3;
//!         st.shared.u32 [%r4], %r2;
//!         bar.sync 0;
//!         sub.u32 %r5, 63, %r1;
//!         mad.lo.u32 %r5, %r5, 4, %r3;
//!         ld.shared.u32 %r2, [%r5];
//!         st.global.u32 [%rd2], %r2;
//!         ret;
//!     }";
//! let run = |text: &str| {
//!     let mut device = Device::new();
//!     let data = device.upload(&Vec::from_iter(0..64u32));
//!     let launch = Launch::new([1, 1, 1], [64, 1, 1]);
//!     device.launch(&Module::parse(text)?, "reverse", launch, &[Param::Pointer(data)])?;
//!     device.download::<u32>(data)
//! };
//! assert_eq!(run(text)?, Vec::from_iter((0..64).rev()));
//!
//! // Without the barrier the warps race, whether or not the result happens to be right.
//! let error = run(&text.replace("bar.sync 0;", "")).unwrap_err();
//! assert!(matches!(
//!     error.fault(),
//!     Some(FaultKind::Race { .. } | FaultKind::UninitialisedMemory { .. })
//! ));
//! # Ok::<(), bsq_ptx_interpreter::Error>(())
//! ```
//!
//! # What it finds
//!
//! Races are found by the order of events, not by luck: two accesses of the same bytes, one of them a
//! write, are a fault unless one thread made both or a barrier lies between them, whatever the
//! schedule was. So are found:
//!
//! - races in shared memory, among the lanes of one warp too, and in global memory within a launch;
//! - reads of registers and bytes that nothing has written;
//! - accesses out of bounds, also from one shared array into the next, and misaligned ones;
//! - barriers and warp-wide instructions that lanes miss, and barriers that never complete;
//! - asynchronous copies that are read, overwritten or whose source is overwritten before they are
//!   waited for;
//! - writes seen through the read-only cache;
//! - endless loops.
//!
//! [`Stats`] counts instructions, bank conflicts, and for each line the sectors of global memory that
//! its requests touch beside the fewest that hold what they want.
//!
//! # What it does not model
//!
//! Time, caches, and any order finer than a barrier: an exchange by flags between blocks is a race
//! here. The tensor cores' order of additions is not documented: a product is summed in f64 and
//! rounded once, so such results are compared with bounds. Approximations (`ex2.approx`) are exact to
//! rounding, or err by as much as the manual allows if [`Options::perturb`] says so.
//!
//! # Where things are
//!
//! | question | file |
//! |---|---|
//! | How is text read? | `parse/` |
//! | What is an instruction, and which are there? | `inst.rs`, one file per family in `decode/` |
//! | Where do lanes meet again? | `cfg.rs` |
//! | What does an instruction do? | `exec/step.rs`; which lane holds which element of a matrix: `exec/matrix.rs` |
//! | What happened before what? | `memory/clocks.rs`: vector clocks that barriers join |
//! | What is a race? | `memory/shadow.rs`: the last writer and readers of each granule of memory |
//! | When is a copied byte there? | `exec/copies.rs`: data of `cp.async` arrives when its group is waited for |
//! | What can be wrong? | `error.rs` |
//! | What does NVIDIA's assembler say? | [`ptxas`], where it is installed |
//!
//! `tests/hand_written/` compares the arithmetic with Rust's, and injects faults into hand-written
//! kernels (`fixtures/`): each must be found.

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
pub mod ptxas;
mod round;
mod stats;
mod types;

pub use device::{Device, Element, Launch, Options, Param};
pub use error::{Error, Fault, FaultKind, LaunchError, ParseError};
pub use module::Module;
pub use stats::{Requests, Stats};
pub use types::Space;
