//! A masked language model over a tokenizer's tokens, and how it is trained.

use super::checks::{Checked, below_one, between, require};
use super::document::{self, Document, TrainingSections};
use super::{
    ConfigError,
    optimizer::{LrSchedule, OptimizerConfig},
    section::{Section, choices, refuse_unknown, section},
    training::{DataConfig, Initialisation, TrainConfig},
    tree::{self, Node, Table, Value},
};
use crate::tokenizer::bits::MAX_BITS;
use std::collections::BTreeSet;
use std::path::Path;

choices! {
    /// How many entries are masked, for a share of the way r in 0..1.
    pub enum MaskSchedule {
        /// `cos(pi r / 2)`: MaskGIT's.
        Cosine = "cosine",
        /// `2 acos(r) / pi`: MaskBit's.
        Arccos = "arccos",
    }
}

choices! {
    /// What is masked at once.
    pub enum Masking {
        /// Each sub-token by itself.
        SubToken = "sub-token",
        /// All sub-tokens of a token together.
        Token = "token",
    }
}

section! {
    /// The network: a bidirectional transformer over a class and the tokens of a picture.
    pub struct MaskedLmModelConfig {
        /// Bits of a token of the tokenizer.
        bits: usize,
        /// Tokens of a picture.
        tokens: usize,
        /// Names of the classes, in the order of their numbers; a number stands for so many, which are
        /// called 0, 1, 2 and so on. Without any the model is unconditional.
        classes: Vec<String> = Vec::new(),
        /// Sub-tokens of a token, of bits / groups bits each; divides bits.
        groups: usize = 2,
        /// Features per token.
        width: usize,
        /// Transformer blocks.
        layers: usize,
        /// Attention heads; each has width / heads features.
        heads: usize,
        /// Hidden features of a block's MLP, as a multiple of width.
        mlp_ratio: f64 = 4.0,
        /// What is masked and revealed at once: "sub-token" or "token".
        masking: Masking = Masking::SubToken,
        /// How many entries training masks: "cosine" or "arccos" of a uniform number.
        schedule: MaskSchedule = MaskSchedule::Cosine,
        /// The share of the target that goes to all values alike.
        label_smoothing: f64 = 0.1,
        /// Predict the entries that are not masked, too.
        loss_on_known: bool = false,
        /// Share of pictures that are seen without their class, for guidance.
        class_dropout: f64 = 0.2,
        /// Share of features that training sets to 0: of the embedded tokens, and of what attention and
        /// MLPs add. What attention is paid to is not dropped.
        dropout: f64 = 0.0,
    }
}

impl MaskedLmModelConfig {
    /// Bits of a sub-token.
    pub fn group_bits(&self) -> usize {
        self.bits / self.groups
    }

    /// Values that a sub-token can have; this one stands for a masked sub-token.
    pub fn vocabulary(&self) -> usize {
        1 << self.group_bits()
    }

    /// Hidden features of a block's MLP.
    pub fn mlp_width(&self) -> usize {
        (self.width as f64 * self.mlp_ratio) as usize
    }

    /// Entries that are masked and revealed one by one.
    pub fn entries(&self) -> usize {
        match self.masking {
            Masking::SubToken => self.tokens * self.groups,
            Masking::Token => self.tokens,
        }
    }

    /// That its numbers make sense.
    fn check(&self) -> Checked {
        let lm = self;
        require((1..=MAX_BITS).contains(&lm.bits), "masked_lm.bits", || {
            format!(
                "{}: a masked language model takes tokens of 1 to {MAX_BITS} bits",
                lm.bits
            )
        })?;
        between(lm.tokens, 1, 1 << 16, "masked_lm.tokens")?;
        between(lm.groups, 1, lm.bits, "masked_lm.groups")?;
        let divides = lm.bits.is_multiple_of(lm.groups);
        require(divides, "masked_lm.groups", || {
            format!("{} does not divide bits {}", lm.groups, lm.bits)
        })?;
        require(lm.group_bits() <= 16, "masked_lm.groups", || {
            format!(
                "{} groups of {} bits have tables of 2^{} rows: use more groups, of at most 16 bits",
                lm.groups,
                lm.group_bits(),
                lm.group_bits()
            )
        })?;
        let names: BTreeSet<&String> = lm.classes.iter().collect();
        require(names.len() == lm.classes.len(), "masked_lm.classes", || {
            "has a name twice".into()
        })?;
        between(lm.width, 1, 1 << 14, "masked_lm.width")?;
        between(lm.layers, 1, 1 << 8, "masked_lm.layers")?;
        between(lm.heads, 1, lm.width, "masked_lm.heads")?;
        require(lm.width.is_multiple_of(lm.heads), "masked_lm.heads", || {
            format!("{} does not divide width {}", lm.heads, lm.width)
        })?;
        require(lm.mlp_ratio > 0.0, "masked_lm.mlp_ratio", || {
            "must be positive".into()
        })?;
        between(lm.mlp_width(), 1, 1 << 16, "masked_lm.mlp_ratio")?;
        below_one(lm.label_smoothing, "masked_lm.label_smoothing")?;
        below_one(lm.dropout, "masked_lm.dropout")?;
        require(
            (0.0..=1.0).contains(&lm.class_dropout),
            "masked_lm.class_dropout",
            || format!("{} is not between 0 and 1", lm.class_dropout),
        )
    }
}

/// What a configuration may leave to the tokenizer and the pictures at hand.
#[derive(Clone, Debug, Default)]
pub struct MaskedLmDefaults {
    /// Bits of the tokenizer's tokens.
    pub bits: usize,
    /// Tokens of one picture.
    pub tokens: usize,
    /// Names of the classes.
    pub classes: Vec<String>,
}

/// Everything that the training of a masked language model was told.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedLmConfig {
    /// The network.
    pub masked_lm: MaskedLmModelConfig,
    /// Which pictures.
    pub data: DataConfig,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The course of the learning rate; without one it is constant.
    pub schedule: Option<LrSchedule>,
    /// The training loop.
    pub train: TrainConfig,
}

impl MaskedLmConfig {
    /// Whether the text of a configuration file is one of a masked language model: it has a
    /// section `[masked_lm]`.
    pub fn is_masked_lm(text: &str) -> bool {
        document::has_section(text, "masked_lm")
    }

    /// Reads a `.toml` file that may leave out `masked_lm.bits`, `tokens` and `classes`.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file.
    pub fn load_for(
        path: impl AsRef<Path>,
        defaults: &MaskedLmDefaults,
    ) -> Result<MaskedLmConfig, ConfigError> {
        document::load(path.as_ref(), |text| {
            MaskedLmConfig::read(tree::parse_toml(text)?, Some(defaults))
        })
    }

    /// The same of the text of such a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn from_toml_for(
        text: &str,
        defaults: &MaskedLmDefaults,
    ) -> Result<MaskedLmConfig, ConfigError> {
        MaskedLmConfig::read(tree::parse_toml(text)?, Some(defaults))
    }

    /// Reads the text of a TOML file.
    ///
    /// ```
    /// use bsq::config::MaskedLmConfig;
    ///
    /// let config = MaskedLmConfig::from_toml("
    ///     [masked_lm]
    ///     bits = 18
    ///     tokens = 256
    ///     width = 96
    ///     layers = 3
    ///     heads = 3
    /// ")?;
    /// assert_eq!(config.masked_lm.vocabulary(), 512);
    /// assert_eq!(MaskedLmConfig::from_toml(&config.to_toml())?, config);
    /// # Ok::<(), bsq::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn from_toml(text: &str) -> Result<MaskedLmConfig, ConfigError> {
        MaskedLmConfig::read(tree::parse_toml(text)?, None)
    }

    fn read(
        mut root: Table,
        defaults: Option<&MaskedLmDefaults>,
    ) -> Result<MaskedLmConfig, ConfigError> {
        refuse_unknown(&root, "", &[&["masked_lm", "data", "optimizer", "train"]])?;
        let mut section = document::take(&mut root, "masked_lm")?;
        let has = |section: &Table, key: &str| section.entries.iter().any(|entry| entry.key == key);
        let names_classes = has(&section, "classes");
        if let Some(defaults) = defaults {
            for (key, value) in [("bits", defaults.bits), ("tokens", defaults.tokens)] {
                if !has(&section, key) {
                    section.insert_text(key, &value.to_string());
                }
            }
        }
        number_classes(&mut section);
        let mut masked_lm = MaskedLmModelConfig::read(section, "masked_lm")?;
        if let (Some(defaults), false) = (defaults, names_classes) {
            masked_lm.classes = defaults.classes.clone();
        }
        let training = TrainingSections::take(&mut root)?;
        let config = MaskedLmConfig {
            masked_lm,
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
        out.section("masked_lm", &self.masked_lm);
        out.section("data", &self.data);
        out.optimizer(&self.optimizer, self.schedule.as_ref());
        out.section("train", &self.train);
        out.0
    }

    /// That its sections make sense.
    fn check(&self) -> Checked {
        let config = self;
        config.masked_lm.check()?;
        between(config.data.batch_size, 1, 1 << 16, "data.batch_size")?;
        config.data.check_sides()?;
        // Pictures become tokens once, before the first step.
        let varies = config.data.use_rrc || config.data.use_hflip || config.data.gain_jitter > 0.0;
        require(!varies, "data", || {
            "use_rrc, use_hflip and gain_jitter are for tokenizers: leave them out".into()
        })?;
        let random = config.train.init == Initialisation::Random;
        require(random, "train.init", || {
            "a masked language model starts from \"random\" weights".into()
        })?;
        config.optimizer.check(config.schedule.as_ref())?;
        config.train.check()
    }
}

/// `classes = 3` as `classes = ["0", "1", "2"]`.
fn number_classes(section: &mut Table) {
    let mut entries = section.entries.iter_mut();
    let Some(entry) = entries.find(|entry| entry.key == "classes") else {
        return;
    };
    let line = entry.node.line;
    if let Value::Scalar(text) = &entry.node.value
        && let Ok(count) = text.parse()
    {
        let name = |class: u16| Node {
            value: Value::Scalar(class.to_string()),
            line,
        };
        entry.node.value = Value::List((0..count).map(name).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_without_names_are_numbered() {
        let config = MaskedLmConfig::from_toml(&format!("{SIZES}classes = 3\n")).unwrap();
        assert_eq!(config.masked_lm.classes, ["0", "1", "2"]);
        let message = MaskedLmConfig::from_toml(&format!("{SIZES}classes = -3\n")).unwrap_err();
        assert!(message.to_string().contains("classes"), "{message}");
    }

    const SIZES: &str = "[masked_lm]\nbits = 18\ntokens = 4\nlayers = 1\nwidth = 24\nheads = 3\n";

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (line, words) in [
            ("groups = 4", "4 does not divide bits 18"),
            ("groups = 1", "at most 16 bits"),
            ("bits = 64", "takes tokens of 1 to 63 bits"),
            (
                "classes = [\"a\", \"a\"]",
                "masked_lm.classes: has a name twice",
            ),
            ("masking = \"pixel\"", "\"sub-token\" or \"token\""),
            ("label_smoothing = 1.0", "masked_lm.label_smoothing"),
            ("class_dropout = 1.5", "masked_lm.class_dropout"),
            ("dropout = 1.0", "masked_lm.dropout"),
            ("group = 2", "did you mean"),
            ("[data]\nuse_hflip = true", "use_hflip"),
            ("[train]\ninit = \"transform-coder\"", "train.init"),
        ] {
            let sizes = match line.starts_with("bits") {
                true => SIZES.replace("bits = 18\n", ""),
                false => SIZES.to_string(),
            };
            let message = MaskedLmConfig::from_toml(&format!("{sizes}{line}\n"));
            let message = message.unwrap_err().to_string();
            assert!(message.contains(words), "{line}: {message}");
        }
    }

    #[test]
    fn what_is_left_out_is_that_of_tokenizer_and_pictures() {
        let text = "[masked_lm]\nlayers = 1\nwidth = 24\nheads = 3\n";
        let defaults = MaskedLmDefaults {
            bits: 12,
            tokens: 16,
            classes: vec!["cat".into(), "dog".into()],
        };
        let config = MaskedLmConfig::from_toml_for(text, &defaults).unwrap();
        assert_eq!((config.masked_lm.bits, config.masked_lm.tokens), (12, 16));
        assert_eq!(config.masked_lm.classes, defaults.classes);
        let own = format!("{text}classes = [\"x\"]\nbits = 8\n");
        let config = MaskedLmConfig::from_toml_for(&own, &defaults).unwrap();
        assert_eq!(config.masked_lm.bits, 8);
        assert_eq!(config.masked_lm.classes, ["x"]);
        let message = MaskedLmConfig::from_toml(text).unwrap_err().to_string();
        assert!(message.contains("masked_lm.bits is missing"), "{message}");
    }
}
