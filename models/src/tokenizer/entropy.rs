//! The entropy terms of binary spherical quantization (BSQ-ViT paper, section 3.2).
//!
//! A token's features say how likely each code is: by softmax of the inner products, with an
//! inverse temperature. Two entropies follow, both in nats:
//!
//! * **per sample**, the mean over tokens of each token's entropy, which training makes small
//!   (codes are certain);
//! * **of the codebook**, the entropy of the mean distribution over batch and tokens, which
//!   training makes large (all codes are used).
//!
//! The distribution over all codes is the product over bits, so the per-sample entropy is a sum
//! over bits, or over groups of bits, with equal value. The codebook entropy is not: over groups
//! it is exact within a group, over bits it is an upper bound of that.

use crate::config::EntropyMode;
use bsq_ir::{DType, Graph, Tensor};

/// Added to a probability before its logarithm.
const EPSILON: f64 = 1e-8;

/// Code probabilities of every token.
pub(super) enum Probabilities<'g> {
    /// That each bit is 0 and that it is 1: two of `[batch, tokens, bits]`.
    Bits(Tensor<'g>, Tensor<'g>),
    /// Of each code of each group: `[batch, tokens, groups, 2^size]`.
    Groups(Tensor<'g>),
}

impl<'g> Probabilities<'g> {
    /// Of features `u` (`[batch, tokens, bits]`), where the codes are `±scale` per bit.
    ///
    /// A bit is 1 with probability `sigmoid(4 a u scale)`, a the inverse temperature.
    pub fn new(
        mode: EntropyMode,
        u: Tensor<'g>,
        group_size: usize,
        inv_temperature: f64,
        scale: f64,
    ) -> Self {
        match mode {
            EntropyMode::Analytical => {
                let zero = (u * (-4.0 * inv_temperature * scale)).sigmoid();
                Probabilities::Bits(zero, 1.0 - zero)
            }
            EntropyMode::Group => {
                let groups = groups_of(u, group_size);
                Probabilities::Groups(of_values(groups, inv_temperature, scale))
            }
        }
    }

    /// The mean over batch and tokens of a token's entropy, `f32[]`.
    pub fn per_sample(&self) -> Tensor<'g> {
        match *self {
            Probabilities::Bits(zero, one) => (plogp(zero) + plogp(one)).sum(-1).mean(..),
            Probabilities::Groups(p) => plogp(p).sum([-2, -1]).mean(..),
        }
    }

    /// The mean over batch and tokens: `[bits, 2]`, or `[groups, 2^size]`.
    pub fn average(&self) -> Tensor<'g> {
        match *self {
            Probabilities::Bits(zero, one) => {
                let column = |p: Tensor<'g>| p.mean([0, 1]).unsqueeze(-1);
                zero.graph().concat(&[column(zero), column(one)], -1)
            }
            Probabilities::Groups(p) => p.mean([0, 1]),
        }
    }
}

/// Features `[batch, tokens, bits]` in groups, `[batch, tokens, bits / size, size]`.
pub(super) fn groups_of(u: Tensor<'_>, size: usize) -> Tensor<'_> {
    let shape = u.shape();
    u.reshape([shape[0], shape[1], shape[2] / size, size])
}

/// How likely each value of groups of bits is, `[.., 2^size]` of features `[.., size]`: the product over its bits.
pub(super) fn of_values(groups: Tensor<'_>, inv_temperature: f64, scale: f64) -> Tensor<'_> {
    let size = groups.shape()[groups.shape().rank() - 1];
    let patterns = sign_patterns(groups.graph(), size);
    let products = groups.matmul_transposed(patterns);
    (products * (2.0 * inv_temperature * scale)).softmax()
}

/// The entropy of independent distributions, the rows of `p`: `f32[]`.
pub(super) fn entropy(p: Tensor<'_>) -> Tensor<'_> {
    plogp(p).sum(..)
}

/// `-p ln(p + epsilon)`.
fn plogp(p: Tensor<'_>) -> Tensor<'_> {
    -(p * (p + EPSILON).log())
}

/// `[2^size, size]`: the bits of each number, most significant first, as -1 and 1.
fn sign_patterns(graph: &Graph, size: usize) -> Tensor<'_> {
    let shape = [1 << size, size];
    let number = graph.iota(DType::U32, shape, 0);
    let place = (size - 1) as f64 - graph.iota(DType::U32, shape, 1);
    let bit = number.shift_right(place).and(1.0);
    bit.cast(DType::F32) * 2.0 - 1.0
}
