//! Vector quantization: a token is the nearest row of a table, or of several tables side by side, each for its
//! share of the features.

use super::{Quantized, digits};
use crate::config::VqConfig;
use bsq_ir::tensor::Init;
use bsq_ir::{DType, Scope, Tensor};

/// Smallest length that a vector is divided by.
const SMALLEST_NORM: f64 = 1e-12;

/// The tables `[codebooks * codes, features / codebooks]`, one below the other, which the encoder's and the
/// decoder's side share.
pub(super) fn table<'g>(config: &VqConfig, scope: &Scope<'g>) -> Tensor<'g> {
    let bound = (1.0 / config.n_embed as f64) as f32;
    let shape = [config.codebooks * config.n_embed, config.code_features()];
    let place = (scope / "quantize" / "embedding").sharing();
    place.parameter("weight", shape, Init::Uniform(bound))
}

/// Features as they are compared with rows: with `l2_norm` each table's share has unit length.
pub(super) fn normalised<'g>(config: &VqConfig, z: Tensor<'g>) -> Tensor<'g> {
    match config.l2_norm {
        true => by_book(config, z, |share, _| share.l2_normalize(SMALLEST_NORM)),
        false => z,
    }
}

/// The index (`u64`, `[batch, tokens]`) of the row nearest to each of features `z`, the first of several. With
/// several tables those of the first are most significant.
///
/// With `l2_norm` z has unit length and nearest means the largest cosine. Otherwise it means the
/// least squared distance, of which `2 z e - |e|²` is what depends on the row.
pub(super) fn nearest<'g>(config: &VqConfig, table: Tensor<'g>, z: Tensor<'g>) -> Tensor<'g> {
    let nearest = |z: Tensor<'g>, book| {
        let table = book_of(config, table, book);
        let score = match config.l2_norm {
            true => z.matmul_transposed(table.l2_normalize(SMALLEST_NORM)),
            false => z.matmul_transposed(table) * 2.0 - table.square().sum(-1),
        };
        score.argmax(-1)
    };
    match config.codebooks {
        1 => nearest(z, 0).cast(DType::U64),
        _ => {
            let indices = by_book(config, z, |z, book| nearest(z, book).unsqueeze(-1));
            digits::join(indices, &widths(config))
        }
    }
}

/// The rows at `indices` (`u64[batch, tokens]`), `[batch, tokens, features]`; of unit length with `l2_norm`.
pub(super) fn rows<'g>(config: &VqConfig, table: Tensor<'g>, indices: Tensor<'g>) -> Tensor<'g> {
    // Rows are normalised after they are picked: the gradient then touches only these.
    let rows = |indices: Tensor<'g>, book| {
        let rows = book_of(config, table, book).gather(0, indices);
        match config.l2_norm {
            true => rows.l2_normalize(SMALLEST_NORM),
            false => rows,
        }
    };
    match config.codebooks {
        1 => rows(indices, 0),
        books => {
            let digits = digits::split(indices, &widths(config));
            let of_book = |book| rows(digits.slice(-1, book..book + 1).squeeze(-1), book);
            let parts: Vec<_> = (0..books).map(of_book).collect();
            indices.graph().concat(&parts, -1)
        }
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

/// The entropy in nats (`f32[]`) of how often each code occurs, summed over tables.
pub(super) fn usage_entropy<'g>(config: &VqConfig, indices: Tensor<'g>) -> Tensor<'g> {
    let digits = match config.codebooks {
        1 => indices.cast(DType::I32).unsqueeze(-1),
        _ => digits::split(indices, &widths(config)),
    };
    digits::usage_entropy(digits, &vec![config.n_embed; config.codebooks])
}

/// What `f` makes of each table's share of features, side by side.
fn by_book<'g>(
    config: &VqConfig,
    z: Tensor<'g>,
    f: impl Fn(Tensor<'g>, usize) -> Tensor<'g>,
) -> Tensor<'g> {
    let size = config.code_features();
    match config.codebooks {
        1 => f(z, 0),
        books => {
            let part = |book| f(z.slice(-1, book * size..(book + 1) * size), book);
            let parts: Vec<_> = (0..books).map(part).collect();
            z.graph().concat(&parts, -1)
        }
    }
}

fn book_of<'g>(config: &VqConfig, table: Tensor<'g>, book: usize) -> Tensor<'g> {
    match config.codebooks {
        1 => table,
        _ => table.slice(0, book * config.n_embed..(book + 1) * config.n_embed),
    }
}

/// Bits of each table's index.
fn widths(config: &VqConfig) -> Vec<usize> {
    vec![config.n_embed.trailing_zeros() as usize; config.codebooks]
}
