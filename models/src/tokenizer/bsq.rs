//! Binary spherical quantization: a token is the signs of its features.

use super::bits::{MAX_BITS, word_widths};
use super::entropy::{Probabilities, entropy, groups_of, of_values};
use super::{Quantized, SubTokenValues};
use crate::config::BsqConfig;
use bsq_ir::{DType, Tensor};

/// What the loss of binary spherical quantization is made of; all but `average` are `f32[]`.
#[derive(Clone, Copy, Debug)]
pub struct BsqTerms<'g> {
    /// Mean entropy of a token's code distribution, in nats.
    pub persample_entropy: Tensor<'g>,
    /// Entropy of the mean code distribution, in nats.
    pub codebook_entropy: Tensor<'g>,
    /// Mean squared distance of features and code, not yet weighted.
    pub commitment: Tensor<'g>,
    /// The mean code distribution that the codebook entropy is of: `[groups, 2^size]`, or
    /// `[bits, 2]` where bits are taken as independent.
    pub average: Tensor<'g>,
}

/// Codes of features `u` (`[batch, tokens, bits]`) and the loss.
///
/// Codes have the value of [`codes_of`], and the gradient goes straight through to `u`, times the
/// codes' scale.
pub(super) fn quantize<'g>(config: &BsqConfig, u: Tensor<'g>) -> (Quantized<'g>, BsqTerms<'g>) {
    let (a, scale) = (config.inv_temperature, scale(config));
    // The difference is exactly zero, so that the codes are exactly those of the decoder,
    // whatever the size of u.
    let straight_through = signs(u.gt(0.0)) + (u - u.stop_gradient());
    let codes = straight_through * scale;

    let probabilities = |mode| Probabilities::new(mode, u, config.embed_group_size, a, scale);
    let per_sample = probabilities(config.persample_entropy_compute);
    let average = probabilities(config.codebook_entropy()).average();
    let distance = (codes.stop_gradient() - u).square().sum(-1);
    let terms = BsqTerms {
        persample_entropy: per_sample.per_sample(),
        codebook_entropy: entropy(average),
        commitment: distance.mean(..),
        average,
    };
    let difference =
        terms.persample_entropy * config.gamma0 - terms.codebook_entropy * config.gamma;
    let mut loss = difference * (config.zeta / a);
    let beta = config.effective_beta();
    if beta != 0.0 {
        loss = loss + terms.commitment * beta;
    }
    (Quantized { codes, loss }, terms)
}

/// Values of groups of `size` bits of features `u` (`[batch, tokens, bits]`), `[batch, tokens, bits / size, 2^size]`: how
/// likely each is, and one at that which the signs say and zero at the others. The first bit is most significant.
pub(super) fn values<'g>(config: &BsqConfig, u: Tensor<'g>, size: usize) -> SubTokenValues<'g> {
    let groups = groups_of(u, size);
    let soft = of_values(groups, config.inv_temperature, scale(config));
    let shape = soft.shape();
    let value = u.graph().iota(DType::U64, &shape, shape.rank() - 1);
    let hard = value.eq(pack(groups).expand_axes(-1, &shape));
    SubTokenValues {
        hard: hard.cast(DType::F32),
        soft,
    }
}

/// Codes `[.., bits]` of bits (`bool`): plus or minus the codes' scale.
pub(super) fn codes_of<'g>(config: &BsqConfig, bits: Tensor<'g>) -> Tensor<'g> {
    signs(bits) * scale(config)
}

/// 1 / sqrt(bits) where codes have unit length, else 1.
fn scale(config: &BsqConfig) -> f64 {
    match config.post_q_l2_norm {
        true => 1.0 / (config.embed_dim as f64).sqrt(),
        false => 1.0,
    }
}

/// 1 where the bit is set, else -1. A feature of zero gives an unset bit.
pub(super) fn signs(bits: Tensor<'_>) -> Tensor<'_> {
    let one = bits.graph().full(1.0, DType::F32, bits.shape());
    one.where_(bits, -1.0)
}

/// Indices (`u64`) of the signs along the last axis, first bit most significant.
pub(super) fn pack(u: Tensor<'_>) -> Tensor<'_> {
    let shape = u.shape();
    let last = shape.rank() - 1;
    let position = u.graph().iota(DType::U64, &shape, last);
    let amount = (shape[last] - 1) as f64 - position;
    u.gt(0.0).cast(DType::U64).shift_left(amount).sum(-1)
}

/// The inverse of [`pack`]: bits `[.., width]` of indices `[..]`.
pub(super) fn unpack(indices: Tensor<'_>, width: usize) -> Tensor<'_> {
    let mut shape = indices.shape().to_vec();
    shape.push(width);
    let position = indices
        .graph()
        .iota(DType::U64, &shape[..], shape.len() - 1);
    let amount = (width - 1) as f64 - position;
    let repeated = indices.expand_axes(-1, &shape[..]);
    repeated.shift_right(amount).and(1.0).cast(DType::Bool)
}

/// Tokens of the signs along the last axis: [indices](pack) `[..]`, or words `[.., words]` of more than [`MAX_BITS`].
pub(super) fn pack_token(u: Tensor<'_>) -> Tensor<'_> {
    let width = *u.shape().last().expect("an axis of bits");
    if width <= MAX_BITS {
        return pack(u);
    }
    let words: Vec<_> = (0..width)
        .step_by(MAX_BITS)
        .map(|first| pack(u.slice(-1, first..width.min(first + MAX_BITS))))
        .collect();
    u.graph().stack(&words, -1)
}

/// The inverse of [`pack_token`]: bits `[.., width]`.
pub(super) fn unpack_token(tokens: Tensor<'_>, width: usize) -> Tensor<'_> {
    if width <= MAX_BITS {
        return unpack(tokens, width);
    }
    let words: Vec<_> = word_widths(width)
        .enumerate()
        .map(|(word, width)| unpack(tokens.slice(-1, word..word + 1).squeeze(-1), width))
        .collect();
    tokens.graph().concat(&words, -1)
}
