//! Finite scalar quantization (Mentzer et al., "Finite Scalar Quantization: VQ-VAE Made Simple", 2024): every
//! feature is bounded and rounded to one of a few values, without a table.

use super::{Quantized, digits};
use crate::config::FsqConfig;
use bsq_ir::{DType, Tensor};

/// The bound is this much wider than the outermost values, so that they are reached.
const MARGIN: f64 = 1e-3;

/// Features `z` (`[batch, tokens, features]`) between their outermost values, which are whole numbers:
/// `-L/2 .. L/2 - 1` of L levels, that many as they are.
pub(super) fn bounded<'g>(config: &FsqConfig, z: Tensor<'g>) -> Tensor<'g> {
    let half = |levels: f64| (levels - 1.0) * (1.0 + MARGIN) / 2.0;
    let half_width = per_feature(config, z, half);
    // Levels are even: one of them lies at 0, which z = 0 is to reach.
    let shift = per_feature(config, z, |levels| libm::atanh(0.5 / half(levels)));
    (z + shift).tanh() * half_width - 0.5
}

/// Codes of bounded features: whole numbers over half the levels, so -1 .. 1. Gradients pass straight
/// through the rounding. There is no loss.
pub(super) fn quantize<'g>(config: &FsqConfig, bounded: Tensor<'g>) -> Quantized<'g> {
    let rounded = bounded.round().stop_gradient();
    // The difference is exactly zero.
    let straight_through = rounded + (bounded - bounded.stop_gradient());
    let loss = bounded.graph().full(0.0, DType::F32, []);
    Quantized {
        codes: straight_through * scale(config, bounded),
        loss,
    }
}

/// Indices (`u64[batch, tokens]`) of bounded features: the bits of the first feature are most significant.
pub(super) fn pack<'g>(config: &FsqConfig, bounded: Tensor<'g>) -> Tensor<'g> {
    digits::join(values(config, bounded), &widths(config))
}

/// The codes `[batch, tokens, features]` of indices: exactly those that [`quantize`] gave.
pub(super) fn codes_of<'g>(config: &FsqConfig, indices: Tensor<'g>) -> Tensor<'g> {
    let digits = digits::split(indices, &widths(config)).cast(DType::F32);
    let whole = digits - per_feature(config, digits, |levels| levels / 2.0);
    whole * scale(config, whole)
}

/// The entropy in nats (`f32[]`) of how often each value occurs, summed over features.
pub(super) fn usage_entropy<'g>(config: &FsqConfig, bounded: Tensor<'g>) -> Tensor<'g> {
    digits::usage_entropy(values(config, bounded), &config.levels)
}

/// The number of each feature's value, from 0: `i32`, in the features' shape.
fn values<'g>(config: &FsqConfig, bounded: Tensor<'g>) -> Tensor<'g> {
    let from_zero = bounded.round() + per_feature(config, bounded, |levels| levels / 2.0);
    from_zero.stop_gradient().cast(DType::I32)
}

fn widths(config: &FsqConfig) -> Vec<usize> {
    config.bits().collect()
}

/// One over half the levels: a power of two, so that codes are exact.
fn scale<'g>(config: &FsqConfig, like: Tensor<'g>) -> Tensor<'g> {
    per_feature(config, like, |levels| 2.0 / levels)
}

/// A number of each feature, in the shape of `like`.
fn per_feature<'g>(config: &FsqConfig, like: Tensor<'g>, value: impl Fn(f64) -> f64) -> Tensor<'g> {
    let values = config
        .levels
        .iter()
        .map(|&levels| value(levels as f64) as f32);
    let values: Vec<f32> = values.collect();
    like.graph().constant_f32(&values, [values.len()])
}

#[cfg(test)]
mod tests;
