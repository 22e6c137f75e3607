//! Tokens to pictures and clips.

use super::{
    CHANNELS, FrameStep, Tokenizer, TransformPath, bsq, clips, fsq, logit_laplace, transform_path,
    vit, vq,
};
use crate::config::QuantizerConfig;
use bsq_ir::{Scope, Tensor};
use bsq_nn::layers::unpatchify;

/// What the decoder makes of codes.
#[derive(Clone, Copy, Debug)]
pub struct DecoderOutput<'g> {
    /// The decoder's pixels, not limited: `[batch, 3, height, width]`, or six planes with a
    /// logit-Laplace head.
    pub raw: Tensor<'g>,
    /// The picture, `[batch, 3, height, width]`, limited to the model's range.
    pub reconstruction: Tensor<'g>,
}

impl Tokenizer {
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
    pub(super) fn decode_frames<'g>(
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
    pub(super) fn decode_companded<'g>(
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

    /// -1 or 1 of codes.
    pub(super) fn signs<'g>(&self, codes: Tensor<'g>) -> Tensor<'g> {
        bsq::signs(codes.gt(0.0))
    }

    /// The codes `[batch, tokens, embed_dim]` of tokens' indices (`u64[batch, tokens]`, or [words](super::bits)
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
}
