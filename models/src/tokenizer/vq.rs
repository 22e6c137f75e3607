//! Vector quantization: a token is the nearest row of a table.

use super::Quantized;
use crate::config::VqConfig;
use bsq_ir::tensor::Init;
use bsq_ir::{DType, Scope, Tensor};

/// Added to how often each code occurs in a batch before the entropy is taken.
const SMOOTHING: f64 = 1e-4;
/// Smallest length that a vector is divided by.
const SMALLEST_NORM: f64 = 1e-12;

/// The table `[codes, features]`, which the encoder's and the decoder's side share.
pub(super) fn table<'g>(config: &VqConfig, scope: &Scope<'g>) -> Tensor<'g> {
    let bound = (1.0 / config.n_embed as f64) as f32;
    let shape = [config.n_embed, config.embed_dim];
    let place = (scope / "quantize" / "embedding").sharing();
    place.parameter("weight", shape, Init::Uniform(bound))
}

/// The index (`i32`, `[batch, tokens]`) of the row nearest to each of features `z`; the first of
/// several.
///
/// With `l2_norm` z has unit length and nearest means the largest cosine. Otherwise it means the
/// least squared distance, of which `2 z e - |e|²` is what depends on the row.
pub(super) fn nearest<'g>(config: &VqConfig, table: Tensor<'g>, z: Tensor<'g>) -> Tensor<'g> {
    let score = match config.l2_norm {
        true => z.matmul_transposed(table.l2_normalize(SMALLEST_NORM)),
        false => z.matmul_transposed(table) * 2.0 - table.square().sum(-1),
    };
    score.argmax(-1)
}

/// The rows at `indices`, of unit length with `l2_norm`.
pub(super) fn rows<'g>(config: &VqConfig, table: Tensor<'g>, indices: Tensor<'g>) -> Tensor<'g> {
    // Rows are normalised after they are picked: the gradient then touches only these.
    let rows = table.gather(0, indices);
    match config.l2_norm {
        true => rows.l2_normalize(SMALLEST_NORM),
        false => rows,
    }
}

/// Codes for features `z` (`[batch, tokens, features]`) and the loss, given the nearest rows.
///
/// The loss pulls features to their rows (times beta) and rows to their features: squared
/// distances, summed over features, averaged over tokens.
pub(super) fn quantize<'g>(config: &VqConfig, z: Tensor<'g>, rows: Tensor<'g>) -> Quantized<'g> {
    let distance = |x: Tensor<'g>, y: Tensor<'g>| (x - y).square().sum(-1).mean(..);
    let loss = distance(rows.stop_gradient(), z) * config.beta + distance(rows, z.stop_gradient());
    // The difference is exactly zero: the codes are the rows, and the gradient goes to z.
    let codes = rows.stop_gradient() + (z - z.stop_gradient());
    Quantized { codes, loss }
}

/// The entropy in nats (`f32[]`) of how often each code occurs.
pub(super) fn usage_entropy<'g>(config: &VqConfig, indices: Tensor<'g>) -> Tensor<'g> {
    let graph = indices.graph();
    let ones = graph.full(1.0, DType::F32, indices.shape());
    let counts = graph.full(SMOOTHING, DType::F32, [config.n_embed]);
    let counts = counts.scatter_add(0, indices, ones);
    let p = counts / counts.sum(..);
    -(p * p.log()).sum(..)
}
