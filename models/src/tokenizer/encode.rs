//! Pictures and clips to tokens.

use super::{FrameStep, Tokenizer, bsq, clips, fsq, logit_laplace, vit, vq};
use crate::config::QuantizerConfig;
use bsq_ir::{Scope, Tensor};
use bsq_nn::layers::patchify;

/// Smallest length that features are divided by.
const SMALLEST_NORM: f64 = 1e-12;

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
    /// The token's index, `u64[batch, tokens]`, or its [words](super::bits), `u64[batch, tokens, words]`, where it has more
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

impl Tokenizer {
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
}
