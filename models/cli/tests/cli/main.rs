//! The command `bsq` as a user runs it, on real files.

mod bad_input;
mod bench;
mod bench_clips;
mod bench_codec;
mod clips;
mod codec;
mod common;
mod eval;
mod explain;
mod generate;
mod gpu;
mod layouts;
mod levels;
#[cfg(target_os = "linux")]
mod memory;
mod own_codec;
mod pictures;
mod plan_adversarial;
mod ranks;
mod rows;
mod several;
mod token_clips;
mod training;
