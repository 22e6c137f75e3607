//! The tokenizer: both transformers and the quantizer between them.

use super::checks::{Checked, between, require};
use super::{
    ConfigError,
    field::Field,
    quantizer::{BsqConfig, FsqConfig, QuantizerConfig, QuantizerKind, VqConfig},
    section::{Section, choices, refuse_unknown, section, take_field, write_field},
    transform_path::TransformPathConfig,
    tree::{Entry, Node, Table, Value, from_json},
};
use crate::image_io::ImageSize;
use crate::token_grid::GridShape;

/// One number in a file means a square.
impl Field for ImageSize {
    fn expected() -> String {
        "a whole number, or [height, width]".into()
    }
    fn parse(node: &Node) -> Option<ImageSize> {
        match &node.value {
            Value::List(_) => {
                let [height, width] = Field::parse(node)?;
                Some(ImageSize { height, width })
            }
            _ => usize::parse(node).map(ImageSize::square),
        }
    }
    fn show(&self) -> Option<String> {
        if self.height == self.width {
            self.height.show()
        } else {
            [self.height, self.width].show()
        }
    }
}

choices! {
    /// Which tokens may attend to which.
    pub enum MaskType {
        /// All to all.
        None = "none",
        /// Each to itself and to those before it.
        Causal = "causal",
        /// Each to its own block (a frame) and to those before.
        BlockCausal = "block-causal",
    }
}

section! {
    /// One transformer, encoder or decoder.
    pub struct VitConfig {
        /// Side of the square pictures in pixels, or [height, width].
        image_size: ImageSize,
        /// Side of a patch in pixels: one patch is one token.
        patch_size: usize,
        /// Features per token.
        width: usize,
        /// Transformer blocks.
        layers: usize,
        /// Attention heads; each has width / heads features.
        heads: usize,
        /// Hidden features of a block's MLP, as a multiple of width.
        mlp_ratio: f64 = 4.0,
        /// Frames of a clip; 1 is a picture.
        num_frames: usize = 1,
        /// Tokens attend to tokens of other frames.
        cross_frames: bool = true,
        /// Normalise before the first block (the patch embedding then has no bias).
        ln_pre: bool = true,
        /// Normalise after the last block (decoder only: the encoder always does).
        ln_post: bool = true,
        /// Which tokens may attend to which: none, causal or block-causal.
        mask_type: MaskType = MaskType::None,
        /// Tokens per block of the mask; not positive means tokens per frame.
        mask_block_size: i64 = -1,
        /// As the reference implementation: what a block-causal mask is to hide has 1 added to its
        /// score instead, and is seen. For checkpoints that were trained so.
        mask_compat: bool = false,
        /// Decoder only: a hidden layer with tanh before the projection to pixels.
        use_ffn_output: bool = true,
        /// Decoder only: features of that hidden layer.
        dim_ffn_output: usize = 3072,
    }
}

impl VitConfig {
    /// The grid of patches of one picture.
    pub fn grid(&self) -> GridShape {
        GridShape::still(
            self.image_size.height / self.patch_size,
            self.image_size.width / self.patch_size,
        )
    }

    /// Tokens of one frame.
    pub fn tokens(&self) -> usize {
        self.grid().tokens()
    }

    /// Hidden features of a block's MLP.
    pub fn mlp_width(&self) -> usize {
        (self.width as f64 * self.mlp_ratio) as usize
    }

    /// Features of one attention head.
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }
}

/// A tokenizer as the sections `[model]`, `[model.vitconfig]` and `[model.dvitconfig]` describe it.
///
/// ```
/// let config = bsq::config::Config::from_toml(r#"
///     [model]
///     embed_dim = 36
///     embed_group_size = 1
///     l2_norm = true
///     post_q_l2_norm = true
///     [model.vitconfig]
///     image_size = 64
///     patch_size = 8
///     width = 128
///     layers = 2
///     heads = 4
///     mlp_ratio = 4
/// "#).unwrap();
/// assert_eq!(config.model.encoder.tokens(), 64);
/// assert_eq!(config.model.quantizer.bits_per_token(), 36);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizerConfig {
    /// Pixels to features: `[model.vitconfig]`.
    pub encoder: VitConfig,
    /// Features to pixels: `[model.dvitconfig]`, by default the encoder's.
    pub decoder: VitConfig,
    /// A linear path beside the transformers: `[model.transform]`.
    pub transform: Option<TransformPathConfig>,
    /// Features to bits.
    pub quantizer: QuantizerConfig,
    /// The decoder predicts a distribution of each pixel instead of its value.
    pub logit_laplace: bool,
    /// Smallest and largest value of a reconstruction.
    pub clamp_range: [f64; 2],
}

/// Keys of `[model]` beside those of the quantizer.
const MODEL_KEYS: &[&str] = &[
    "quantizer",
    "logit_laplace",
    "clamp_range",
    "vitconfig",
    "dvitconfig",
    "transform",
];

impl TokenizerConfig {
    /// Reads the model section; `zero_mean` says whether black is -1 or 0, which decides what
    /// reconstructions are clamped to unless the section says so itself.
    pub(super) fn read(mut table: Table, zero_mean: bool) -> Result<Self, ConfigError> {
        let path = "model";
        let kind = take_field(&mut table, path, "quantizer", Some(QuantizerKind::Bsq))?;
        let quantizer_keys = match kind {
            QuantizerKind::Bsq => BsqConfig::KEYS,
            QuantizerKind::Vq => VqConfig::KEYS,
            QuantizerKind::Fsq => FsqConfig::KEYS,
        };
        refuse_unknown(&table, path, &[MODEL_KEYS, quantizer_keys])?;
        let encoder = table.take_table("vitconfig", path)?.unwrap_or_default();
        let encoder = read_vit(encoder, "model.vitconfig")?;
        let decoder = match table.take_table("dvitconfig", path)? {
            Some(table) => read_vit(table, "model.dvitconfig")?,
            None => encoder.clone(),
        };
        let transform = table.take_table("transform", path)?;
        let transform = transform.map(|table| TransformPathConfig::read(table, "model.transform"));
        let logit_laplace = take_field(&mut table, path, "logit_laplace", Some(false))?;
        let clamp_range: Option<[f64; 2]> =
            take_field(&mut table, path, "clamp_range", Some(None))?;
        let quantizer = match kind {
            QuantizerKind::Bsq => QuantizerConfig::Bsq(BsqConfig::take_from(&mut table, path)?),
            QuantizerKind::Vq => QuantizerConfig::Vq(VqConfig::take_from(&mut table, path)?),
            QuantizerKind::Fsq => QuantizerConfig::Fsq(FsqConfig::take_from(&mut table, path)?),
        };
        let config = TokenizerConfig {
            encoder,
            decoder,
            transform: transform.transpose()?,
            quantizer,
            logit_laplace,
            clamp_range: clamp_range.unwrap_or(if zero_mean { [-1.0, 1.0] } else { [0.0, 1.0] }),
        };
        config.check()?;
        Ok(config)
    }

    /// Reads the `model` object of a recorded case: the keys of the reference implementation's
    /// constructors, where an `n_embed` makes it a vector quantizer. The short forms `persample`
    /// and `dim_ffn_output` (of the decoder) are understood beside vitconfig.
    pub fn from_json(model: &serde_json::Value) -> Result<Self, ConfigError> {
        let Value::Table(mut table) = from_json(model).value else {
            return Err(ConfigError::invalid("model", "expected an object"));
        };
        let is_vq = table.entries.iter().any(|entry| entry.key == "n_embed");
        table.insert_text("quantizer", if is_vq { "vq" } else { "bsq" });
        if let Some(entry) = table.take("persample") {
            table.insert(Entry {
                key: "persample_entropy_compute".into(),
                ..entry
            });
        }
        if let Some(ffn) = table.take("dim_ffn_output")
            && let Some(vit) = table.entries.iter().find(|entry| entry.key == "vitconfig")
        {
            let mut decoder = vit.clone();
            decoder.key = "dvitconfig".into();
            if let Value::Table(keys) = &mut decoder.node.value {
                keys.insert(ffn);
            }
            table.insert(decoder);
        }
        TokenizerConfig::read(table, true)
    }

    /// Appends its sections as documented TOML.
    pub(super) fn write(&self, out: &mut String) {
        out.push_str("[model]\n");
        let documentation = [
            " \"bsq\", binary spherical, \"vq\", a table of codes, or \"fsq\", features that are rounded.",
        ];
        write_field(out, "quantizer", &documentation, &self.quantizer.kind());
        match &self.quantizer {
            QuantizerConfig::Bsq(bsq) => bsq.write(out),
            QuantizerConfig::Vq(vq) => vq.write(out),
            QuantizerConfig::Fsq(fsq) => fsq.write(out),
        }
        let documentation =
            [" Predict a distribution of each pixel; needs data.zero_mean = false."];
        write_field(out, "logit_laplace", &documentation, &self.logit_laplace);
        let documentation = [" Smallest and largest value of a reconstruction."];
        write_field(out, "clamp_range", &documentation, &self.clamp_range);
        out.push_str("\n[model.vitconfig]\n");
        self.encoder.write(out);
        out.push_str("\n[model.dvitconfig]\n");
        self.decoder.write(out);
        if let Some(transform) = &self.transform {
            out.push_str("\n[model.transform]\n");
            transform.write(out);
        }
    }
}

/// Keys of the reference implementation that have one usable value, which is also the default.
fn read_vit(mut table: Table, path: &str) -> Result<VitConfig, ConfigError> {
    for key in ["drop_rate", "attn_drop_rate", "drop_path_rate"] {
        if take_field(&mut table, path, key, Some(0.0_f64))? != 0.0 {
            let reason = "must be 0: dropout is not implemented (no released model has any)";
            return Err(ConfigError::invalid(format!("{path}.{key}"), reason));
        }
    }
    for (key, only) in [("act_layer", "gelu"), ("norm_layer", "layer_norm")] {
        let value: Option<String> = take_field(&mut table, path, key, Some(None))?;
        if value.is_some_and(|value| value != only) {
            let reason = format!("must be \"{only}\", the only one there is");
            return Err(ConfigError::invalid(format!("{path}.{key}"), reason));
        }
    }
    let layer_scale: Option<f64> = take_field(&mut table, path, "ls_init_value", Some(None))?;
    if layer_scale.is_some() {
        let reason = "must be absent: layer scale is not implemented (nor usable in the reference)";
        return Err(ConfigError::invalid(
            format!("{path}.ls_init_value"),
            reason,
        ));
    }
    // A mask type of nothing is no mask.
    if let Some(at) = table
        .entries
        .iter()
        .position(|entry| entry.key == "mask_type")
        && table.entries[at].node.value == Value::Null
    {
        table.entries.remove(at);
    }
    VitConfig::read(table, path)
}

impl VitConfig {
    /// That its numbers make sense; `path` is the section's name.
    fn check(&self, path: &str) -> Checked {
        let vit = self;
        let key = |name: &str| format!("{path}.{name}");
        let ImageSize { height, width } = vit.image_size;
        between(height, 1, 1 << 14, &key("image_size"))?;
        between(width, 1, 1 << 14, &key("image_size"))?;
        let patch = vit.patch_size;
        between(patch, 1, 1 << 10, &key("patch_size"))?;
        let divides = height.is_multiple_of(patch) && width.is_multiple_of(patch);
        require(divides, &key("image_size"), || {
            format!("{width}x{height} cannot be cut into patches of {patch} pixels")
        })?;
        between(vit.width, 1, 1 << 16, &key("width"))?;
        between(vit.layers, 1, 1 << 10, &key("layers"))?;
        between(vit.heads, 1, vit.width, &key("heads"))?;
        require(vit.width.is_multiple_of(vit.heads), &key("heads"), || {
            format!("{} does not divide width {}", vit.heads, vit.width)
        })?;
        require(vit.mlp_ratio > 0.0, &key("mlp_ratio"), || {
            "must be positive".into()
        })?;
        between(vit.mlp_width(), 1, 1 << 20, &key("mlp_ratio"))?;
        between(vit.dim_ffn_output, 1, 1 << 20, &key("dim_ffn_output"))?;
        between(vit.num_frames, 1, 1 << 12, &key("num_frames"))?;
        require(
            vit.cross_frames || vit.num_frames == 1,
            &key("cross_frames"),
            || {
                "must be true: frames on their own are clips of one frame (block-causal models take those)".into()
            },
        )?;
        let compat = !vit.mask_compat || vit.mask_type == MaskType::BlockCausal;
        require(compat, &key("mask_compat"), || {
            "is for mask_type = \"block-causal\"".into()
        })
    }
}

impl TokenizerConfig {
    /// That its parts fit together.
    fn check(&self) -> Checked {
        let config = self;
        config.encoder.check("model.vitconfig")?;
        config.decoder.check("model.dvitconfig")?;
        let (encoder, decoder) = (&config.encoder, &config.decoder);
        let same = encoder.image_size == decoder.image_size
            && encoder.patch_size == decoder.patch_size
            && encoder.num_frames == decoder.num_frames;
        require(same, "model.dvitconfig", || {
            "image_size, patch_size and num_frames must equal those of vitconfig".into()
        })?;
        let [low, high] = config.clamp_range;
        require(low < high, "model.clamp_range", || {
            format!("{low} is not below {high}")
        })?;
        config.quantizer.check()?;
        let Some(transform) = &config.transform else {
            return Ok(());
        };
        require(!config.logit_laplace, "model.transform", || {
            "needs model.logit_laplace = false".into()
        })?;
        transform.check(&config.quantizer, encoder)
    }
}
