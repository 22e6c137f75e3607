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
mod digits;
mod entropy;
mod fsq;
pub(crate) mod logit_laplace;
mod parameters;
mod transform_path;
mod vit;
mod vq;

pub use bsq::BsqTerms;
pub(crate) use clips::frames_as_pictures;
pub use parameters::{BUFFERS, LoadError};
pub use transform_path::TransformPath;
pub use vit::FrameStep;

use crate::config::{MaskType, QuantizerConfig, TokenizerConfig, VitConfig};
use bsq_ir::{Scope, Tensor};
use bsq_nn::layers::{patchify, unpatchify};

/// Smallest length that features are divided by.
const SMALLEST_NORM: f64 = 1e-12;
/// Colours of a picture.
const CHANNELS: usize = 3;

/// The architecture of one tokenizer: builds graphs, holds no weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokenizer {
    config: TokenizerConfig,
}

/// What the encoder makes of a picture.
#[derive(Clone, Copy, Debug)]
pub struct EncoderOutput<'g> {
    /// Frames of each clip: 1 of a picture. `tokens` below are of all of them.
    pub frames: usize,
    /// The encoder's last features, `[batch, tokens, width]`.
    pub features: Tensor<'g>,
    /// Their projection, `[batch, tokens, embed_dim]`; with a linear path the folds of its
    /// coordinates.
    pub projected: Tensor<'g>,
    /// With a linear path the companded coordinates, `[batch, tokens, coordinates]`.
    pub companded: Option<Tensor<'g>>,
    /// The same, of unit length if the model normalises, or bounded: what is quantized.
    pub u: Tensor<'g>,
    /// The token's index, `u64[batch, tokens]`, or its [words](bits), `u64[batch, tokens, words]`, where it has more
    /// bits than an index.
    pub indices: Tensor<'g>,
    /// Bits of binary spherical quantization.
    pub binary: Option<BinaryTokens<'g>>,
}

/// The bits of tokens.
#[derive(Clone, Copy, Debug)]
pub struct BinaryTokens<'g> {
    /// `bool[batch, tokens, bits]`.
    pub bits: Tensor<'g>,
    /// The index of each group of bits, `u64[batch, tokens, groups]`.
    pub group_indices: Tensor<'g>,
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

/// What the decoder makes of codes.
#[derive(Clone, Copy, Debug)]
pub struct DecoderOutput<'g> {
    /// The decoder's pixels, not limited: `[batch, 3, height, width]`, or six planes with a
    /// logit-Laplace head.
    pub raw: Tensor<'g>,
    /// The picture, `[batch, 3, height, width]`, limited to the model's range.
    pub reconstruction: Tensor<'g>,
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

    /// Pictures or clips to tokens, without a loss.
    ///
    /// # Panics
    /// As those of [`forward`](Tokenizer::forward).
    #[track_caller]
    pub fn encode<'g>(&self, scope: &Scope<'g>, image: Tensor<'g>) -> EncoderOutput<'g> {
        self.encode_with(scope, image, None)
    }

    /// The next frame of clips, `[batch, 3, height, width]`, to tokens: those that the whole clips have.
    ///
    /// # Panics
    /// If the model's frames do not [stream](Tokenizer::streams), or the image is not of its size.
    #[track_caller]
    pub fn encode_frame<'g>(
        &self,
        scope: &Scope<'g>,
        image: Tensor<'g>,
        step: &mut FrameStep<'g>,
    ) -> EncoderOutput<'g> {
        assert!(self.streams(), "frames of this model see later ones");
        self.encode_with(scope, image, Some(step))
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

    fn encode_with<'g>(
        &self,
        scope: &Scope<'g>,
        image: Tensor<'g>,
        mut step: Option<&mut FrameStep<'g>>,
    ) -> EncoderOutput<'g> {
        let (image, frames) = self.as_frames(image);
        let (vit, scope) = (&self.config.encoder, &scope.sharing());
        let by_clip = |tokens: Tensor<'g>| clips::tokens_by_clip(tokens, frames);
        let image = match self.config.logit_laplace {
            true => logit_laplace::squeeze(image),
            false => image,
        };
        let (encoder, quant_embed) = (scope / "encoder", scope / "quant_embed");
        let (features, companded, projected) = match self.transform_path() {
            None => {
                let patches = by_clip(patchify(image, vit.patch_size));
                let features = vit::encoder(vit, &encoder, patches, step);
                let projected = features.linear(&quant_embed, self.embed_dim());
                (features, None, projected)
            }
            Some(path) => {
                let place = scope / "transform";
                let coordinates = path.analyse(&place, image).map(by_clip);
                let seen = coordinates.companded;
                let features = vit::encoder(vit, &encoder, seen, step.as_deref_mut());
                let y = path.compand(&place, &quant_embed, coordinates, features);
                let folds = match path.frame_delta(&place, frames) {
                    None => path.fold(y),
                    Some(delta) => delta.folds(coordinates, y, step),
                };
                (features, Some(y), folds)
            }
        };
        let u = match &self.config.quantizer {
            QuantizerConfig::Bsq(config) if config.l2_norm => projected.l2_normalize(SMALLEST_NORM),
            QuantizerConfig::Bsq(_) => projected,
            QuantizerConfig::Vq(config) => vq::normalised(config, projected),
            QuantizerConfig::Fsq(config) => fsq::bounded(config, projected),
        };
        let (indices, binary) = match &self.config.quantizer {
            QuantizerConfig::Bsq(config) => {
                let (shape, size) = (u.shape(), config.embed_group_size);
                let groups = u.reshape([shape[0], shape[1], config.groups(), size]);
                let (bits, group_indices) = (u.gt(0.0), bsq::pack(groups));
                let binary = BinaryTokens {
                    bits,
                    group_indices,
                };
                (bsq::pack_token(u), Some(binary))
            }
            QuantizerConfig::Vq(config) => (vq::nearest(config, vq::table(config, scope), u), None),
            QuantizerConfig::Fsq(config) => (fsq::pack(config, u), None),
        };
        EncoderOutput {
            frames,
            features,
            projected,
            companded,
            u,
            indices,
            binary,
        }
    }

    /// Codes `[batch, tokens, embed_dim]` to pictures.
    ///
    /// # Panics
    /// If the codes have another shape.
    #[track_caller]
    pub fn decode<'g>(&self, scope: &Scope<'g>, codes: Tensor<'g>) -> DecoderOutput<'g> {
        let shape = codes.shape();
        let expected = [self.config.decoder.tokens(), self.embed_dim()];
        let fits = shape.rank() == 3 && shape[1..] == expected;
        assert!(
            fits,
            "codes are [batch, {}, {}], not {shape}",
            expected[0], expected[1]
        );
        self.decode_frames(scope, codes, None)
    }

    /// Codes `[batch, tokens, embed_dim]` of the next frame of clips to pictures: those that the whole
    /// clips have.
    ///
    /// # Panics
    /// If the model's frames do not [stream](Tokenizer::streams), or the codes have another shape.
    #[track_caller]
    pub fn decode_frame<'g>(
        &self,
        scope: &Scope<'g>,
        codes: Tensor<'g>,
        step: &mut FrameStep<'g>,
    ) -> DecoderOutput<'g> {
        assert!(self.streams(), "frames of this model see later ones");
        self.decode_frames(scope, codes, Some(step))
    }

    /// Codes `[batch, frames * tokens, embed_dim]` to clips, `[batch, 3, frames, height, width]`.
    ///
    /// # Panics
    /// If the codes have another shape, or are those of more frames than the model has.
    #[track_caller]
    pub fn decode_clip<'g>(&self, scope: &Scope<'g>, codes: Tensor<'g>) -> DecoderOutput<'g> {
        let shape = codes.shape();
        let (tokens, bits) = (self.config.decoder.tokens(), self.embed_dim());
        let fits = shape.rank() == 3 && shape[2] == bits;
        let frames = shape.get(1).copied().unwrap_or(0) / tokens;
        assert!(
            fits && shape[1] == frames * tokens && (1..=self.frames()).contains(&frames),
            "codes are [batch, frames * {tokens}, {bits}] of at most {} frames, not {shape}",
            self.frames()
        );
        self.decode_frames(scope, codes, None).clips(frames)
    }

    /// Codes of frames to what they look like, `[batch * frames, 3, height, width]`.
    fn decode_frames<'g>(
        &self,
        scope: &Scope<'g>,
        codes: Tensor<'g>,
        step: Option<&mut FrameStep<'g>>,
    ) -> DecoderOutput<'g> {
        let (vit, scope) = (&self.config.decoder, &scope.sharing());
        if let Some(path) = self.transform_path() {
            let signs = self.signs(codes);
            return self.decode_companded(scope, &path, (signs, path.unfold(signs)), step);
        }
        let planes = match self.config.logit_laplace {
            true => 2 * CHANNELS,
            false => CHANNELS,
        };
        let pixels = planes * vit.patch_size * vit.patch_size;
        let embedded = codes.linear(scope / "post_quant_embed", vit.width);
        let place = scope / "decoder";
        let features = vit::decoder(vit, &place, embedded, step);
        let tokens = vit::output(pixels).forward(place / "conv_out", features);
        let tokens = clips::tokens_by_frame(tokens, vit.tokens());
        let grid = vit.grid();
        let raw = unpatchify(tokens, (grid.rows, grid.columns), vit.patch_size);
        let [low, high] = self.config.clamp_range;
        let reconstruction = match self.config.logit_laplace {
            true => logit_laplace::reconstruct(raw),
            false => raw.clamp(low, high),
        };
        DecoderOutput {
            raw,
            reconstruction,
        }
    }

    /// Signs, and the companded coordinates that they stand for, to pictures.
    fn decode_companded<'g>(
        &self,
        scope: &Scope<'g>,
        path: &TransformPath,
        (signs, companded): (Tensor<'g>, Tensor<'g>),
        mut step: Option<&mut FrameStep<'g>>,
    ) -> DecoderOutput<'g> {
        let (vit, scope) = (&self.config.decoder, &scope.sharing());
        let (place, transform) = (scope / "decoder", scope / "transform");
        let by_frame = |tokens: Tensor<'g>| clips::tokens_by_frame(tokens, vit.tokens());
        let embed = |y: Tensor<'g>| y.linear(scope / "post_quant_embed", vit.width);
        let output = transform_path::zero(path.transform.features());
        let frames = companded.shape()[1] / vit.tokens();
        let raw = match path.frame_delta(&transform, frames) {
            None => {
                let features = vit::decoder(vit, &place, embed(companded), step);
                let added = output.forward(place / "conv_out", features);
                path.synthesise(&transform, by_frame(companded), by_frame(added))
            }
            Some(delta) => {
                let decoded = delta.decode(signs, companded, step.as_deref_mut());
                let beside = transform_path::zero(vit.width);
                let beside = beside.forward(scope / "delta_embed", decoded.beside);
                let features = vit::decoder(vit, &place, embed(decoded.companded) + beside, step);
                let [own, predicted] =
                    ["conv_out", "delta_out"].map(|name| output.forward(&place / name, features));
                let added = predicted.where_(decoded.predicted, own);
                path.picture_of(&transform, by_frame(decoded.values), by_frame(added))
            }
        };
        let [low, high] = self.config.clamp_range;
        let reconstruction = raw.clamp(low, high);
        DecoderOutput {
            raw,
            reconstruction,
        }
    }

    /// The linear path beside the transformers, if the model has one.
    pub fn transform_path(&self) -> Option<TransformPath> {
        let config = self.config.transform.as_ref()?;
        Some(TransformPath::new(config, &self.config.encoder, CHANNELS))
    }

    /// -1 or 1 of codes.
    fn signs<'g>(&self, codes: Tensor<'g>) -> Tensor<'g> {
        bsq::signs(codes.gt(0.0))
    }

    /// The codes `[batch, tokens, embed_dim]` of tokens' indices (`u64[batch, tokens]`, or [words](bits)
    /// `u64[batch, tokens, words]`), for [`decode`](Tokenizer::decode): exactly those of the pass that made the indices.
    ///
    /// # Panics
    /// If the indices have another shape.
    #[track_caller]
    pub fn codes<'g>(&self, scope: &Scope<'g>, indices: Tensor<'g>) -> Tensor<'g> {
        match &self.config.quantizer {
            QuantizerConfig::Bsq(config) => {
                bsq::codes_of(config, bsq::unpack_token(indices, config.embed_dim))
            }
            QuantizerConfig::Vq(config) => vq::rows(config, vq::table(config, scope), indices),
            QuantizerConfig::Fsq(config) => fsq::codes_of(config, indices),
        }
    }

    /// The same of the indices of groups of bits (`u64[batch, tokens, groups]`).
    ///
    /// # Panics
    /// If the model is another quantizer, which has no groups, or the groups are not its.
    #[track_caller]
    pub fn codes_of_groups<'g>(&self, group_indices: Tensor<'g>) -> Tensor<'g> {
        let QuantizerConfig::Bsq(config) = &self.config.quantizer else {
            panic!("only binary spherical quantization has groups of bits");
        };
        let shape = group_indices.shape();
        let bits = bsq::unpack(group_indices, config.embed_group_size);
        bsq::codes_of(config, bits.reshape([shape[0], shape[1], config.embed_dim]))
    }

    fn embed_dim(&self) -> usize {
        self.config.quantizer.embed_dim()
    }
}

#[cfg(test)]
mod tests;
