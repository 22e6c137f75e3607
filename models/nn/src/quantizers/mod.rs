//! Scalar quantizers: from real features to signs or levels, and back.
//!
//! | | a coordinate becomes | |
//! |---|---|---|
//! | [`ResidualBinary`] | signs, each of what the earlier ones left | a uniform quantizer whose bits are those of binary spherical quantization (BSQ, Zhao et al. 2024), one level deeper each |
//! | [`DeadZone`] | an integer level without bounds | transform coding's uniform quantizer, finer in the middle of the scale than BSQ needs |
//!
//! Quantizers are constant between their thresholds. In training the gradient goes straight through
//! them ([`straight_through`], Bengio et al. 2013).

mod dead_zone;
mod residual_binary;

pub use dead_zone::DeadZone;
pub use residual_binary::ResidualBinary;

use bsq_ir::Tensor;

/// The value of `quantized` with the gradient of `x`, both of one shape.
///
/// What is added to the value is exactly zero wherever `x` is finite.
pub fn straight_through<'g>(quantized: Tensor<'g>, x: Tensor<'g>) -> Tensor<'g> {
    quantized.stop_gradient() + (x - x.stop_gradient())
}

#[cfg(test)]
mod tests;
