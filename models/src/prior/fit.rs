//! Whether a prior and a tokenizer belong together.

use crate::config::PriorModelConfig;
use crate::pipeline::ModelFile;

/// A prior's tokens are not of the length that the tokenizer's have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the prior is for tokens of {prior} bits (prior.bits), but those of the tokenizer {tokenizer} \
     have {bits}: set prior.bits to {bits} or leave it out, or name another tokenizer with --model"
)]
pub struct OtherBits {
    /// Bits of the tokens that the prior knows.
    pub prior: usize,
    /// What the tokenizer is called.
    pub tokenizer: String,
    /// Bits of its tokens.
    pub bits: usize,
}

/// That a prior's tokens have as many bits as the tokenizer's.
///
/// # Errors
/// If they do not; nothing that is learned or coded would mean anything.
pub fn check_bits(prior: &PriorModelConfig, tokenizer: &ModelFile) -> Result<(), OtherBits> {
    let bits = tokenizer.tokenizer.config().quantizer.bits_per_token();
    match prior.bits == bits {
        true => Ok(()),
        false => Err(OtherBits {
            prior: prior.bits,
            tokenizer: tokenizer.name.clone(),
            bits,
        }),
    }
}
