//! Tokens as sub-tokens: L bits as G numbers of L / G bits, most significant bits first.

use crate::config::MaskedLmModelConfig;

/// The sub-tokens of tokens, `[tokens, G]`.
///
/// ```
/// # let config = bsq::config::MaskedLmConfig::from_toml("[masked_lm]\nbits = 12\ntokens = 2\n\
/// #     groups = 3\nwidth = 8\nlayers = 1\nheads = 1").unwrap().masked_lm;
/// use bsq::masked_lm::{index_of, sub_tokens_of};
///
/// let sub_tokens = sub_tokens_of(&config, &[0xABC, 0x005]);
/// assert_eq!(sub_tokens, [0xA, 0xB, 0xC, 0, 0, 5]);
/// assert_eq!(index_of(&config, &sub_tokens[..3]), 0xABC);
/// ```
pub fn sub_tokens_of(config: &MaskedLmModelConfig, indices: &[u64]) -> Vec<i32> {
    let (bits, values) = (config.group_bits(), config.vocabulary() as u64);
    let places = (0..config.groups).rev();
    let of_token = |index: &u64| {
        let index = *index;
        places
            .clone()
            .map(move |place| (index >> (place * bits)) as i32 & (values - 1) as i32)
    };
    indices.iter().flat_map(of_token).collect()
}

/// The token of G sub-tokens, none of which is masked.
pub fn index_of(config: &MaskedLmModelConfig, sub_tokens: &[i32]) -> u64 {
    let bits = config.group_bits();
    let add = |index: u64, &sub_token: &i32| index << bits | sub_token as u64;
    sub_tokens.iter().fold(0, add)
}
