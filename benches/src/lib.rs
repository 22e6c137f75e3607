//! What the benches share: implementations that do the same work in turn, and how they are compared.
//!
//! Machines are noisy, so nothing is compared across runs. A [`Suite`] samples our programs, the
//! same work in other libraries, and what the machine can do in turn, all with the same number of
//! threads; it checks first that results agree, hands the samples to Criterion, and prints medians
//! and their ratios.
//!
//! ```text
//! cargo bench -p bsq-benches                                     ours alone
//! cargo bench -p bsq-benches --features peers                    beside gemm, matrixmultiply, candle
//! cargo bench -p bsq-benches --features peers -- contraction     groups by name
//! RAYON_NUM_THREADS=1 cargo bench -p bsq-benches                 everybody with one thread
//! BSQ_BENCH_FULL=1 cargo bench -p bsq-benches --bench models     the full-size model too
//! ```

mod compare;
pub mod convolutions;
pub mod data;
mod description;
mod implementation;
#[cfg(feature = "peers")]
pub mod peers;
mod program;
pub mod resampling;
mod serve;
mod table;
mod threads;

pub use compare::{Agreement, Comparison, Suite};
pub use description::description;
pub use implementation::{Candidate, Implementation, Peer};
pub use program::{Measure, OurProgram, Tensors};
pub use serve::{Served, peak_bytes, serve};
pub use table::Work;
pub use threads::threads;
