//! What is between the two transformers: signs of a unit vector, or the nearest of a table.

use super::section::{choices, section};
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
        /// Bits per token, 1 to 63.
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
        /// Features per code.
        embed_dim: usize,
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
}

impl QuantizerConfig {
    /// Features per token between the transformers.
    pub fn embed_dim(&self) -> usize {
        match self {
            QuantizerConfig::Bsq(bsq) => bsq.embed_dim,
            QuantizerConfig::Vq(vq) => vq.embed_dim,
        }
    }

    /// Bits that a token carries: all of BSQ's, or enough to number VQ's codes.
    pub fn bits_per_token(&self) -> usize {
        match self {
            QuantizerConfig::Bsq(bsq) => bsq.embed_dim,
            QuantizerConfig::Vq(vq) => vq.n_embed.next_power_of_two().trailing_zeros() as usize,
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
    }
}

/// Whether a file is, by its name, the reference's table of Leech lattice vectors.
pub(super) fn is_leech_file(path: &str) -> bool {
    Path::new(path)
        .file_name()
        .is_some_and(|name| name.to_string_lossy().to_lowercase().contains("leech"))
}
