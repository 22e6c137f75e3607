//! What elements are computed with: exp, log, tanh, erf, sin and cos in `f32`, the half formats, and the
//! elementwise ops of emitted code. The functions are the project's own, because every target must give
//! the same bits and no two system libraries do.
//!
//! Each is written once, over [`Lanes`], as one branch-free sequence of IEEE operations.
//! The reference evaluator runs it on [`Scalar`]; vector code and emitted code implement
//! [`Lanes`] and so execute the same operations in the same order, hence the same bits.
//!
//! | function | largest error, ulp | operations |
//! |---|---|---|
//! | [`exp`] | 1 | 18 |
//! | [`log`] | 1 | 28 |
//! | [`tanh`] | 2 | 27, one of them a division |
//! | [`erf`] | 2 | 26 |
//! | [`sin`], [`cos`], up to [`LARGEST_ANGLE`] | 2 | 37, 35 |
//!
//! The error is the distance to the true value in units of the spacing of `f32` at that value,
//! over all `f32` (tested on a dense sweep). Subnormal arguments and results are as accurate.
//! NaN gives NaN with an unspecified payload.

mod elementwise;
mod fma;
mod functions;
mod half;
mod lanes;
mod scalar;
mod trigonometry;

pub use elementwise::elementwise;
pub use fma::with_fma;
pub use functions::{erf, exp, log, tanh, times_power};
pub use half::{narrow, widen};
pub use lanes::{Comparison, Float, Integer, Lanes, Logic, Shift};
pub use scalar::Scalar;
pub use trigonometry::{LARGEST_ANGLE, cos, sin};

#[cfg(test)]
mod tests;
