//! An autoregressive prior over a tokenizer's tokens, and how it is trained.

use super::checks::{Checked, between, require};
use super::document::{self, Document, TrainingSections};
use super::{
    ConfigError,
    optimizer::{LrSchedule, OptimizerConfig},
    section::{Section, choices, refuse_unknown, section},
    training::{DataConfig, Initialisation, TrainConfig},
    tree::{self, Table},
};
use crate::codec::MAX_PAYLOAD;
use crate::tokenizer::bits::MAX_TOKEN_BITS;
use std::path::Path;

/// Bits that are predicted at once unless it is said.
const SUB_TOKEN_BITS: usize = 4;

choices! {
    /// How a prior knows where in the tile a token stands.
    pub enum PositionEncoding {
        /// A learned vector for each row and one for each column, added to the input.
        Learned = "learned",
        /// Queries and keys are rotated by angles that grow with row and column.
        Rotary = "rotary",
    }
}

section! {
    /// The prior: a decoder-only transformer over the tokens of a square tile of a photo.
    pub struct PriorModelConfig {
        /// Bits of a token of the tokenizer.
        bits: usize,
        /// Bits that are predicted at once, as one of 2^bits classes; divides bits. Where bits is left
        /// out, the largest that divides it, up to 4.
        sub_token_bits: usize = SUB_TOKEN_BITS,
        /// Rows and columns of a tile, in tokens: the farthest that context reaches. Tiles
        /// are coded independently of one another.
        side: usize = 32,
        /// Columns that a row of tokens runs ahead of the row below it. Tokens of equal
        /// column + slope * row are coded together; slope = side is raster order, one at a time.
        slope: usize = 2,
        /// Tokens already coded around a position whose sub-tokens are its input.
        neighbours: usize = 6,
        /// Tokens of a clip's frame before that are its input, too: the one at the same place, then the nearest
        /// around it. 0 for pictures; a first frame sees none.
        frame_before: usize = 0,
        /// Features per token.
        width: usize,
        /// Transformer blocks.
        layers: usize,
        /// Attention heads; each has width / heads features.
        heads: usize,
        /// Hidden features of a block's MLP, as a multiple of width.
        mlp_ratio: f64 = 4.0,
        /// Hidden features from which each sub-token is predicted.
        head_width: usize = 64,
        /// "learned" or "rotary".
        position: PositionEncoding = PositionEncoding::Learned,
        /// Share of training tiles whose tokens are seen without their last sub-tokens, as a
        /// decoder of a shortened file sees them.
        truncation: f64 = 0.1,
    }
}

impl PriorModelConfig {
    /// Sub-tokens of a token.
    pub fn sub_tokens(&self) -> usize {
        self.bits / self.sub_token_bits
    }

    /// Values that a sub-token can have.
    pub fn classes(&self) -> usize {
        1 << self.sub_token_bits
    }

    /// Hidden features of a block's MLP.
    pub fn mlp_width(&self) -> usize {
        (self.width as f64 * self.mlp_ratio) as usize
    }
}

/// Everything that the training of a prior was told.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorConfig {
    /// The prior.
    pub prior: PriorModelConfig,
    /// Which pictures, and what is cut out of them.
    pub data: DataConfig,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The course of the learning rate; without one it is constant.
    pub schedule: Option<LrSchedule>,
    /// The training loop.
    pub train: TrainConfig,
}

impl PriorConfig {
    /// Whether the text of a configuration file is one of a prior: it has a section `[prior]`.
    pub fn is_prior(text: &str) -> bool {
        document::has_section(text, "prior")
    }

    /// Reads a `.toml` file.
    pub fn load(path: impl AsRef<Path>) -> Result<PriorConfig, ConfigError> {
        document::load(path.as_ref(), PriorConfig::from_toml)
    }

    /// Reads a `.toml` file that may leave out `prior.bits`: the bits of the tokens of the
    /// tokenizer that is at hand.
    pub fn load_for(path: impl AsRef<Path>, bits: usize) -> Result<PriorConfig, ConfigError> {
        document::load(path.as_ref(), |text| PriorConfig::from_toml_for(text, bits))
    }

    /// Reads the text of a TOML file that may leave out `prior.bits`; see
    /// [`load_for`](PriorConfig::load_for).
    pub fn from_toml_for(text: &str, bits: usize) -> Result<PriorConfig, ConfigError> {
        PriorConfig::read(tree::parse_toml(text)?, Some(bits))
    }

    /// Reads the text of a TOML file.
    ///
    /// ```
    /// use bsq::config::PriorConfig;
    ///
    /// let config = PriorConfig::from_toml("
    ///     [prior]
    ///     bits = 36
    ///     width = 96
    ///     layers = 3
    ///     heads = 3
    /// ")?;
    /// assert_eq!(config.prior.sub_tokens(), 9);
    /// assert_eq!(PriorConfig::from_toml(&config.to_toml())?, config);
    /// # Ok::<(), bsq::config::ConfigError>(())
    /// ```
    pub fn from_toml(text: &str) -> Result<PriorConfig, ConfigError> {
        PriorConfig::read(tree::parse_toml(text)?, None)
    }

    fn read(mut root: Table, bits: Option<usize>) -> Result<PriorConfig, ConfigError> {
        refuse_unknown(&root, "", &[&["prior", "data", "optimizer", "train"]])?;
        let mut prior = document::take(&mut root, "prior")?;
        let has = |prior: &Table, key: &str| prior.entries.iter().any(|entry| entry.key == key);
        if let Some(bits) = bits.filter(|_| !has(&prior, "bits")) {
            prior.insert_text("bits", &bits.to_string());
            if !has(&prior, "sub_token_bits") {
                let divides = |part: &usize| bits.is_multiple_of(*part);
                let part = (1..=SUB_TOKEN_BITS).rev().find(divides).unwrap_or(1);
                prior.insert_text("sub_token_bits", &part.to_string());
            }
        }
        let prior = PriorModelConfig::read(prior, "prior")?;
        let training = TrainingSections::take(&mut root)?;
        let config = PriorConfig {
            prior,
            data: training.data,
            optimizer: training.optimizer,
            schedule: training.schedule,
            train: training.train,
        };
        config.check()?;
        Ok(config)
    }

    /// A complete TOML file that reads as this configuration, every key below its documentation.
    pub fn to_toml(&self) -> String {
        let mut out = Document::default();
        out.section("prior", &self.prior);
        out.section("data", &self.data);
        out.optimizer(&self.optimizer, self.schedule.as_ref());
        out.section("train", &self.train);
        out.0
    }

    /// That its sections make sense, alone and together.
    fn check(&self) -> Checked {
        let config = self;
        config.prior.check()?;
        between(config.data.batch_size, 1, 1 << 16, "data.batch_size")?;
        config.data.check_sides()?;
        require(!config.data.use_rrc, "data.use_rrc", || {
            "crops of random proportions are for tokenizers: leave it out".into()
        })?;
        let random = config.train.init == Initialisation::Random;
        require(random, "train.init", || {
            "a prior starts from \"random\" weights".into()
        })?;
        config.optimizer.check(config.schedule.as_ref())?;
        config.train.check()
    }
}

impl PriorModelConfig {
    /// That its numbers make sense.
    fn check(&self) -> Checked {
        let prior = self;
        between(prior.bits, 1, MAX_TOKEN_BITS, "prior.bits")?;
        between(prior.sub_token_bits, 1, 12, "prior.sub_token_bits")?;
        let divides = prior.bits.is_multiple_of(prior.sub_token_bits);
        require(divides, "prior.sub_token_bits", || {
            format!(
                "{} does not divide bits {}",
                prior.sub_token_bits, prior.bits
            )
        })?;
        between(prior.side, 2, 64, "prior.side")?;
        let tile = (prior.side * prior.side * prior.bits).div_ceil(8);
        require(tile <= MAX_PAYLOAD, "prior.side", || {
            format!(
                "{side} x {side} tokens of {} bits are {tile} bytes: a tile of a stream has at most {MAX_PAYLOAD}",
                prior.bits,
                side = prior.side
            )
        })?;
        between(prior.slope, 1, prior.side, "prior.slope")?;
        between(prior.neighbours, 1, 12, "prior.neighbours")?;
        between(prior.frame_before, 0, 9, "prior.frame_before")?;
        between(prior.width, 1, 1 << 14, "prior.width")?;
        between(prior.layers, 1, 1 << 8, "prior.layers")?;
        between(prior.heads, 1, prior.width, "prior.heads")?;
        require(
            prior.width.is_multiple_of(prior.heads),
            "prior.heads",
            || format!("{} does not divide width {}", prior.heads, prior.width),
        )?;
        let quarters = (prior.width / prior.heads).is_multiple_of(4);
        require(
            quarters || prior.position != PositionEncoding::Rotary,
            "prior.position",
            || "\"rotary\" needs width / heads to be a multiple of 4".into(),
        )?;
        require(prior.mlp_ratio > 0.0, "prior.mlp_ratio", || {
            "must be positive".into()
        })?;
        between(prior.mlp_width(), 1, 1 << 16, "prior.mlp_ratio")?;
        between(prior.head_width, 1, 1 << 12, "prior.head_width")?;
        require(
            (0.0..=1.0).contains(&prior.truncation),
            "prior.truncation",
            || format!("{} is not between 0 and 1", prior.truncation),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configurations_that_ship_are_complete() {
        for text in [
            include_str!("../../configs/prior.toml"),
            include_str!("../../configs/prior_clips.toml"),
            include_str!("../../configs/prior_paper.toml"),
        ] {
            assert!(PriorConfig::is_prior(text));
            for bits in [18, 36] {
                let config = PriorConfig::from_toml_for(text, bits).unwrap();
                assert_eq!(PriorConfig::from_toml(&config.to_toml()).unwrap(), config);
            }
        }
        let text = include_str!("../../configs/prior.toml");
        let sub_tokens = |bits| {
            PriorConfig::from_toml_for(text, bits)
                .unwrap()
                .prior
                .sub_tokens()
        };
        assert_eq!([18, 36, 7].map(sub_tokens), [6, 9, 7]);
        let tokenizer = include_str!("../../configs/default-1.toml");
        assert!(!PriorConfig::is_prior(tokenizer));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let message = |line: &str| {
            let bits = if line.starts_with("bits") {
                ""
            } else {
                "bits = 36\n"
            };
            let text = format!("[prior]\n{bits}layers = 1\nwidth = 24\nheads = 3\n{line}\n");
            PriorConfig::from_toml(&text).unwrap_err().to_string()
        };
        for (line, words) in [
            ("sub_token_bits = 5", "5 does not divide bits 36"),
            ("side = 65", "prior.side"),
            ("bits = 513", "prior.bits: 513 is not between 1 and 512"),
            (
                "bits = 512\nside = 23",
                "23 x 23 tokens of 512 bits are 33856 bytes",
            ),
            ("side = 4\nslope = 5", "prior.slope"),
            ("neighbours = 0", "prior.neighbours"),
            ("frame_before = 10", "prior.frame_before"),
            ("position = \"sinus\"", "\"learned\" or \"rotary\""),
            ("truncation = 1.5", "prior.truncation"),
            ("layer = 2", "did you mean"),
            ("[train]\ninit = \"transform-coder\"", "train.init"),
        ] {
            let message = message(line);
            assert!(message.contains(words), "{line}: {message}");
        }
        let odd = "[prior]\nbits = 4\nwidth = 6\nheads = 1\nlayers = 1\nposition = \"rotary\"";
        let message = PriorConfig::from_toml(odd).unwrap_err().to_string();
        assert!(message.contains("multiple of 4"), "{message}");
    }
}
