//! BSQ-ViT: a transformer encoder, a quantizer, and a transformer decoder.
//!
//! ```text
//! image [batch, 3, height, width]
//!   -> patches [batch, tokens, 3 p p]        patchify
//!   -> features [batch, tokens, width]       encoder
//!   -> projected [batch, tokens, bits]       quant_embed
//!   -> u, of unit length                     l2_norm
//!   -> codes, ±1/sqrt(bits)                  quantizer
//!   -> [batch, tokens, width]                post_quant_embed
//!   -> raw [batch, 3, height, width]         decoder, unpatchify
//!   -> reconstruction                        clamp
//! ```
//!
//! With a section `[model.transform]` a linear path runs beside both transformers: [`TransformPath`].
//!
//! A [`Tokenizer`] builds these as graphs; parameters have the names and shapes of the reference
//! implementation's checkpoints.
//!
//! ```
//! use bsq::config::Config;
//! use bsq::tokenizer::Tokenizer;
//! use bsq_ir::{DType, Graph, Scope};
//!
//! let config = Config::from_toml(r#"
//!     [model]
//!     embed_dim = 18
//!     l2_norm = true
//!     post_q_l2_norm = true
//!     [model.vitconfig]
//!     image_size = 32
//!     patch_size = 8
//!     width = 64
//!     layers = 2
//!     heads = 4
//!     mlp_ratio = 4
//! "#).unwrap();
//! let tokenizer = Tokenizer::new(&config.model);
//! let g = Graph::new();
//! let image = g.input("image", DType::F32, [1, 3, 32, 32]);
//! let forward = tokenizer.forward(&Scope::root(&g), image);
//! assert_eq!(forward.encoded.indices.ty().to_string(), "u64[1,16]");
//! assert_eq!(forward.decoded.reconstruction.ty().to_string(), "f32[1,3,32,32]");
//! ```

pub mod bits;
mod bsq;
mod clips;
mod decode;
mod digits;
mod encode;
mod entropy;
mod fsq;
pub(crate) mod logit_laplace;
mod parameters;
mod transform_path;
mod vit;
mod vq;

pub use bsq::BsqTerms;
pub(crate) use clips::frames_as_pictures;
pub use decode::DecoderOutput;
pub use encode::{BinaryTokens, EncoderOutput};
pub use parameters::{BUFFERS, LoadError};
pub use transform_path::TransformPath;
pub use vit::FrameStep;

use crate::config::{MaskType, QuantizerConfig, TokenizerConfig, VitConfig};
use bsq_ir::{Scope, Tensor};

/// Colours of a picture.
const CHANNELS: usize = 3;

/// The architecture of one tokenizer: builds graphs, holds no weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokenizer {
    config: TokenizerConfig,
}

/// The values of sub-tokens of a few bits each, `[batch, tokens, sub_tokens, 2^bits]` both.
#[derive(Clone, Copy, Debug)]
pub struct SubTokenValues<'g> {
    /// One at the sub-token's value, zero at the others.
    pub hard: Tensor<'g>,
    /// How likely each value is, as the quantizer's entropies see it: the product over bits of the
    /// probability that it is what it is, `sigmoid(4 a u c)` that it is 1; a is `inv_temperature`, c the codes'
    /// scale.
    pub soft: Tensor<'g>,
}

impl<'g> SubTokenValues<'g> {
    /// The hard values, with the gradients of the probabilities.
    pub fn straight_through(&self) -> Tensor<'g> {
        self.hard + (self.soft - self.soft.stop_gradient())
    }
}

/// Codes and what they cost.
#[derive(Clone, Copy, Debug)]
pub struct Quantized<'g> {
    /// `[batch, tokens, embed_dim]`; gradients pass straight through the rounding.
    pub codes: Tensor<'g>,
    /// The quantizer's loss, `f32[]`.
    pub loss: Tensor<'g>,
}

/// A whole pass from picture to picture, as training needs it.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'g> {
    /// The encoder's side.
    pub encoded: EncoderOutput<'g>,
    /// Codes and the quantizer's loss.
    pub quantized: Quantized<'g>,
    /// The decoder's side.
    pub decoded: DecoderOutput<'g>,
    /// The entropy, in nats, that says how well the codes are used: of the mean code
    /// distribution, or of the batch's histogram in vector quantization.
    pub codebook_entropy: Tensor<'g>,
    /// The terms of binary spherical quantization.
    pub terms: Option<BsqTerms<'g>>,
}

impl Tokenizer {
    /// The architecture of a configuration.
    pub fn new(config: &TokenizerConfig) -> Tokenizer {
        let config = config.clone();
        Tokenizer { config }
    }

    /// What it was made from.
    pub fn config(&self) -> &TokenizerConfig {
        &self.config
    }

    /// The shape of a batch of pictures, `[batch, 3, height, width]`.
    pub fn image_shape(&self, batch: usize) -> [usize; 4] {
        let size = self.config.encoder.image_size;
        [batch, CHANNELS, size.height, size.width]
    }

    /// The shape of a batch of clips, `[batch, 3, frames, height, width]`.
    pub fn clip_shape(&self, batch: usize, frames: usize) -> [usize; 5] {
        let size = self.config.encoder.image_size;
        [batch, CHANNELS, frames, size.height, size.width]
    }

    /// Frames that a clip has at most; 1 if the model is one for pictures.
    pub fn frames(&self) -> usize {
        self.config.encoder.num_frames
    }

    /// Whether patches of a clip's later frames may be predicted from the frame before.
    pub fn predicts(&self) -> bool {
        let transform = self.config.transform.as_ref();
        transform.is_some_and(|transform| transform.frame_delta)
    }

    /// The whole pass, with the quantizer's loss. Of a clip, everything that is `[batch, 3, height,
    /// width]` in the results is `[batch, 3, frames, height, width]`, and tokens are frame by frame.
    ///
    /// # Panics
    /// If the image is neither pictures `[batch, 3, height, width]` of the model's size nor clips
    /// `[batch, 3, frames, height, width]` of as many frames as it has or fewer.
    #[track_caller]
    pub fn forward<'g>(&self, scope: &Scope<'g>, image: Tensor<'g>) -> Forward<'g> {
        let encoded = self.encode(scope, image);
        let (quantized, codebook_entropy, terms) = match &self.config.quantizer {
            QuantizerConfig::Bsq(config) => {
                let (quantized, terms) = bsq::quantize(config, encoded.u);
                (quantized, terms.codebook_entropy, Some(terms))
            }
            QuantizerConfig::Vq(config) => {
                let rows = vq::rows(config, vq::table(config, scope), encoded.indices);
                let quantized = vq::quantize(config, encoded.u, rows);
                (quantized, vq::usage_entropy(config, encoded.indices), None)
            }
            QuantizerConfig::Fsq(config) => {
                let quantized = fsq::quantize(config, encoded.u);
                (quantized, fsq::usage_entropy(config, encoded.u), None)
            }
        };
        let decoded = match (self.transform_path(), encoded.companded) {
            (Some(path), Some(companded)) => {
                // Straight through from the cells' middles: the folds' own slopes alternate.
                let signs = self.signs(quantized.codes.stop_gradient());
                let straight = path.unfold(signs) + (companded - companded.stop_gradient());
                self.decode_companded(scope, &path, (signs, straight), None)
            }
            _ => self.decode_frames(scope, quantized.codes, None),
        };
        let decoded = match image.shape().rank() {
            4 => decoded,
            _ => decoded.clips(encoded.frames),
        };
        Forward {
            encoded,
            quantized,
            decoded,
            codebook_entropy,
            terms,
        }
    }

    /// The values of a token's sub-tokens, groups of so many bits each, of an encoder's `u`.
    ///
    /// # Panics
    /// If the model is another quantizer, which has no bits, or `bits` does not divide those of a token.
    #[track_caller]
    pub fn sub_token_values<'g>(&self, u: Tensor<'g>, bits: usize) -> SubTokenValues<'g> {
        let QuantizerConfig::Bsq(config) = &self.config.quantizer else {
            panic!("only binary spherical quantization has bits");
        };
        bsq::values(config, u, bits)
    }

    /// The shape of tokens' indices, `[batch, tokens]`, or `[batch, tokens, words]` of several [words](bits).
    pub fn indices_shape(&self, batch: usize, tokens: usize) -> Vec<usize> {
        match self.config.quantizer.words_per_token() {
            1 => vec![batch, tokens],
            words => vec![batch, tokens, words],
        }
    }

    /// Whether frames of clips can come one by one: each sees those before it and itself as a whole.
    pub fn streams(&self) -> bool {
        let of = |vit: &VitConfig| {
            let size = usize::try_from(vit.mask_block_size).unwrap_or(0);
            let by_frame = size == 0 || size == vit.tokens();
            vit.mask_type == MaskType::BlockCausal && by_frame && !vit.mask_compat
        };
        self.frames() > 1 && of(&self.config.encoder) && of(&self.config.decoder)
    }

    /// The linear path beside the transformers, if the model has one.
    pub fn transform_path(&self) -> Option<TransformPath> {
        let config = self.config.transform.as_ref()?;
        Some(TransformPath::new(config, &self.config.encoder, CHANNELS))
    }

    fn embed_dim(&self) -> usize {
        self.config.quantizer.embed_dim()
    }
}

#[cfg(test)]
mod tests;
