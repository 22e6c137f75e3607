//! What is between the two transformers: signs of a unit vector, or the nearest of a table.

use super::checks::{Checked, between, not_negative, require};
use super::section::{choices, section};
use crate::leech::MINIMAL_VECTORS;
use crate::tokenizer::bits::{MAX_BITS, MAX_TOKEN_BITS, word_widths, words_of};
use std::path::Path;

choices! {
    /// Over what an entropy term enumerates codes.
    pub enum EntropyMode {
        /// The joint distribution of each group of bits.
        Group = "group",
        /// Each bit on its own.
        Analytical = "analytical",
    }
}

choices! {
    /// How the entropy of the average token is computed.
    pub enum CodebookEntropy {
        /// As the per-sample entropy is: what the reference implementation does.
        FollowPersample = "follow",
        /// The joint distribution of each group of bits.
        Group = "group",
        /// Each bit on its own.
        Analytical = "analytical",
    }
}

section! {
    /// Binary spherical quantization: the signs of a unit vector.
    pub struct BsqConfig {
        /// Bits per token, 1 to 512.
        embed_dim: usize,
        /// Bits per group: of the group indices, and of the joint distributions in mode "group".
        embed_group_size: usize = 9,
        /// Scale features to unit length before taking signs.
        l2_norm: bool = false,
        /// Scale codes to unit length, 1 / sqrt(bits).
        post_q_l2_norm: bool = false,
        /// Entropy of each token, to be made small: "group" or "analytical"; equal in value.
        persample_entropy_compute: EntropyMode = EntropyMode::Group,
        /// Entropy of the average token, to be made large: "follow", "group" or "analytical".
        cb_entropy_compute: CodebookEntropy = CodebookEntropy::FollowPersample,
        /// Sharpness of the bit probabilities in the entropy terms.
        inv_temperature: f64 = 1.0,
        /// Weight of the commitment term, the squared distance of features and code.
        beta: f64 = 0.0,
        /// Use 0.25 for beta whatever is written, as the reference implementation does.
        beta_compat: bool = false,
        /// Weight of the per-sample entropy.
        gamma0: f64 = 1.0,
        /// Weight of the codebook entropy.
        gamma: f64 = 1.0,
        /// Weight of both entropies together.
        zeta: f64 = 1.0,
    }
}

impl BsqConfig {
    /// Groups of bits.
    pub fn groups(&self) -> usize {
        self.embed_dim / self.embed_group_size
    }

    /// The mode of the codebook entropy, with "follow" resolved.
    pub fn codebook_entropy(&self) -> EntropyMode {
        match self.cb_entropy_compute {
            CodebookEntropy::FollowPersample => self.persample_entropy_compute,
            CodebookEntropy::Group => EntropyMode::Group,
            CodebookEntropy::Analytical => EntropyMode::Analytical,
        }
    }

    /// The weight of the commitment term, with `beta_compat` applied.
    pub fn effective_beta(&self) -> f64 {
        if self.beta_compat { 0.25 } else { self.beta }
    }
}

section! {
    /// Vector quantization: the nearest of a table of codes.
    pub struct VqConfig {
        /// Codes in the table.
        n_embed: usize,
        /// Features per token.
        embed_dim: usize,
        /// Tables side by side, each for its share of the features: product quantization. With more
        /// than one, n_embed is a power of two.
        codebooks: usize = 1,
        /// Compare by angle: features and codes are scaled to unit length.
        l2_norm: bool = false,
        /// Weight of the commitment term.
        beta: f64 = 0.25,
        /// "leech" fills the table with the 196,560 minimal vectors of the Leech lattice.
        predefined_codebook: Option<PredefinedCodebook> = None,
        /// The table is not trained.
        freeze_codebook: bool = false,
    }
}

impl VqConfig {
    /// Features per code.
    pub fn code_features(&self) -> usize {
        self.embed_dim / self.codebooks
    }
}

section! {
    /// Finite scalar quantization: every feature is bounded and rounded.
    pub struct FsqConfig {
        /// Values that each feature can have, one number per feature; powers of two.
        levels: Vec<usize>,
    }
}

impl FsqConfig {
    /// Bits of each feature.
    pub fn bits(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.levels.iter().map(|&levels| bits_of(levels))
    }
}

/// Bits that number so many codes.
fn bits_of(codes: usize) -> usize {
    codes.next_power_of_two().trailing_zeros() as usize
}

choices! {
    /// A table of codes that is computed and not learned.
    pub enum PredefinedCodebook {
        /// The minimal vectors of the Leech lattice, scaled to unit length.
        Leech = "leech",
    }
}

/// The quantizer between encoder and decoder.
#[derive(Clone, Debug, PartialEq)]
pub enum QuantizerConfig {
    /// Binary spherical quantization.
    Bsq(BsqConfig),
    /// Vector quantization.
    Vq(VqConfig),
    /// Finite scalar quantization.
    Fsq(FsqConfig),
}

impl QuantizerConfig {
    /// Which of the three it is.
    pub fn kind(&self) -> QuantizerKind {
        match self {
            QuantizerConfig::Bsq(_) => QuantizerKind::Bsq,
            QuantizerConfig::Vq(_) => QuantizerKind::Vq,
            QuantizerConfig::Fsq(_) => QuantizerKind::Fsq,
        }
    }

    /// Features per token between the transformers.
    pub fn embed_dim(&self) -> usize {
        match self {
            QuantizerConfig::Bsq(bsq) => bsq.embed_dim,
            QuantizerConfig::Vq(vq) => vq.embed_dim,
            QuantizerConfig::Fsq(fsq) => fsq.levels.len(),
        }
    }

    /// Bits that a token carries: enough to number its codes.
    pub fn bits_per_token(&self) -> usize {
        match self {
            QuantizerConfig::Bsq(bsq) => bsq.embed_dim,
            QuantizerConfig::Vq(vq) => vq.codebooks * bits_of(vq.n_embed),
            QuantizerConfig::Fsq(fsq) => fsq.bits().sum(),
        }
    }

    /// [Words](crate::tokenizer::bits) of a token: 1 unless it has more bits than an index.
    pub fn words_per_token(&self) -> usize {
        words_of(self.bits_per_token())
    }

    /// For each word of a token how many values it has: words are below it. With one word that is the number of
    /// different tokens.
    pub fn word_limits(&self) -> Vec<u64> {
        match self {
            QuantizerConfig::Vq(VqConfig {
                n_embed,
                codebooks: 1,
                ..
            }) => vec![*n_embed as u64],
            _ => word_widths(self.bits_per_token())
                .map(|bits| 1 << bits)
                .collect(),
        }
    }
}

choices! {
    /// Kinds of quantizer.
    pub enum QuantizerKind {
        /// Binary spherical quantization.
        Bsq = "bsq",
        /// Vector quantization.
        Vq = "vq",
        /// Finite scalar quantization.
        Fsq = "fsq",
    }
}

/// Whether a file is, by its name, the reference's table of Leech lattice vectors.
pub(super) fn is_leech_file(path: &str) -> bool {
    Path::new(path)
        .file_name()
        .is_some_and(|name| name.to_string_lossy().to_lowercase().contains("leech"))
}

impl QuantizerConfig {
    /// That its numbers make sense.
    pub(super) fn check(&self) -> Checked {
        match self {
            QuantizerConfig::Bsq(bsq) => {
                between(bsq.embed_dim, 1, MAX_TOKEN_BITS, "model.embed_dim")?;
                let group = bsq.embed_group_size;
                between(group, 1, MAX_BITS, "model.embed_group_size")?;
                let divides = bsq.embed_dim.is_multiple_of(group);
                require(divides, "model.embed_group_size", || {
                    format!("{group} does not divide embed_dim {}", bsq.embed_dim)
                })?;
                let joint = bsq.persample_entropy_compute == EntropyMode::Group
                    || bsq.codebook_entropy() == EntropyMode::Group;
                require(!joint || group <= 18, "model.embed_group_size", || {
                    format!(
                        "{group} bits have 2^{group} joint probabilities per token: at most 18 with entropy mode \"group\""
                    )
                })?;
                require(bsq.inv_temperature > 0.0, "model.inv_temperature", || {
                    "must be positive".into()
                })?;
                for (value, key) in [
                    (bsq.beta, "model.beta"),
                    (bsq.gamma0, "model.gamma0"),
                    (bsq.gamma, "model.gamma"),
                    (bsq.zeta, "model.zeta"),
                ] {
                    not_negative(value, key)?;
                }
            }
            QuantizerConfig::Vq(vq) => {
                between(vq.n_embed, 2, 1 << 24, "model.n_embed")?;
                between(vq.embed_dim, 1, 1 << 12, "model.embed_dim")?;
                not_negative(vq.beta, "model.beta")?;
                let books = vq.codebooks;
                between(books, 1, vq.embed_dim, "model.codebooks")?;
                let divides = vq.embed_dim.is_multiple_of(books);
                require(divides, "model.codebooks", || {
                    format!("{books} does not divide embed_dim {}", vq.embed_dim)
                })?;
                require(
                    books == 1 || vq.n_embed.is_power_of_two(),
                    "model.n_embed",
                    || {
                        format!(
                            "{} is not a power of two: with several codebooks it must be",
                            vq.n_embed
                        )
                    },
                )?;
                between(self.bits_per_token(), 1, MAX_TOKEN_BITS, "model.codebooks")?;
                if vq.predefined_codebook == Some(PredefinedCodebook::Leech) {
                    let fits = (vq.n_embed, vq.embed_dim, books) == (MINIMAL_VECTORS, 24, 1);
                    require(fits, "model.predefined_codebook", || {
                        format!(
                            "\"leech\" has {MINIMAL_VECTORS} codes of 24 features, not {} of {}",
                            vq.n_embed, vq.embed_dim
                        )
                    })?;
                }
            }
            QuantizerConfig::Fsq(fsq) => {
                between(fsq.levels.len(), 1, MAX_TOKEN_BITS, "model.levels")?;
                for &levels in &fsq.levels {
                    between(levels, 2, 256, "model.levels")?;
                    require(levels.is_power_of_two(), "model.levels", || {
                        format!("{levels} is not a power of two")
                    })?;
                }
                between(self.bits_per_token(), 1, MAX_TOKEN_BITS, "model.levels")?;
            }
        }
        Ok(())
    }
}
