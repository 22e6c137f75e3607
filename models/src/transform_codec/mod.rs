//! A learned transform codec: a lapped linear transform with networks beside it, a uniform
//! quantizer, and a context model that codes its levels.
//!
//! The transform alone is a good codec at the first step of training; the networks start at zero
//! and learn what it lacks. One model serves all rates: the quantizer's step is an input.
//!
//! Shapes: B pictures of `3 x height x width` pixels; R = height / 8 rows and C = width / 8 columns
//! of patches; K coordinates of a patch (64); cells are 2x2 patches. Pixels are
//! `127.5 * image`, from -127.5 to 127.5; `s` is the picture's step in the same units.
//!
//! ```text
//! p = lapped(pixels)                [B, R, C, 192]   filter across patch borders, see `lapped`
//! y = p A / s + e(p / s, s)         [B, R, C, K]     analysis A [192, K], encoder's network e
//! u = coarse(y[0..3])               [B, R/4, C/4, 48]   a second lapped transform, of 4x4 patches
//! q = levels(y[3..]), levels(u)                      integers; a dead zone around 0
//! z = q - c sign(q)                                  learned shifts c; coarse^-1 for z[0..3]
//! pixels = lapped^-1((z S + d(z, s) / 4) s)          synthesis S [K, 192], decoder's network d
//! ```
//!
//! A and S start as principal components of filtered patches of the training pictures, e and d at
//! zero. The levels of the second transform are coded first, in raster order of patches; then those
//! of the first, likewise, and these see the coarse picture `z[0..3]` on all sides. What a level's
//! probability is made of is told in [`context`]. Without `second_level` all K coordinates are
//! coded in one go.
//!
//! A pixel's share of the loss is `squared error / s^2 + rate_weight * bits`, with the gradient
//! straight through the quantizer in both terms. That is the Lagrangian of rate and distortion for
//! a slope that is proportional to `s^2`, as at high rates (Sullivan and Wiegand 1998).
//!
//! | part | from |
//! |---|---|
//! | lapped transform as filters before a block transform | Tran, Liang and Tu 2003, "Lapped transform via time-domain pre- and post-filtering"; JPEG XR |
//! | levels with a dead zone | Sullivan 1996; H.264 |
//! | joint training of transform, quantizer and entropy model | Ballé et al. 2017; Minnen et al. 2018 (autoregressive context and mean) |
//! | mixture of discretized logistics | Salimans et al. 2017 (PixelCNN++) |

pub mod context;
pub mod lapped;
mod logistic;
mod network;

pub use context::{ContextModel, Side};
pub use lapped::LappedTransform;

use crate::config::{RateDistortionConfig, TransformCodecModelConfig};
use bsq_ir::{Scope, Tensor};
use bsq_nn::quantizers::DeadZone;
use network::Network;

/// Pixels are this many times an image in -1..1.
pub const PIXEL_SCALE: f64 = 127.5;
/// Coordinates of the first level that go through the second one: the mean of each colour
/// component, as it were.
pub const COARSE: usize = 3;
/// Networks see the logarithm of a step over this one, which is in the middle of the range.
pub const USUAL_STEP: f64 = 80.0;

/// The architecture of a transform codec.
#[derive(Clone, Debug)]
pub struct TransformCodec {
    config: TransformCodecModelConfig,
    fine: LappedTransform,
    coarse: LappedTransform,
}

/// What a picture becomes.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'g> {
    /// Pixels `[B, 3, height, width]`, not rounded.
    pub pixels: Tensor<'g>,
    /// Bits of each picture, `[B]`, by the context models.
    pub bits: Tensor<'g>,
    /// The share of the second level in them, `[B]`.
    pub coarse_bits: Option<Tensor<'g>>,
    /// Levels of the first transform `[B, R, C, ..]`, and of the second.
    pub levels: Tensor<'g>,
    pub coarse_levels: Option<Tensor<'g>>,
}

impl TransformCodec {
    /// The architecture of a configuration, which has been checked.
    pub fn new(config: &TransformCodecModelConfig) -> TransformCodec {
        let transform = |block: usize, coordinates: usize| LappedTransform {
            channels: 3,
            block,
            coordinates,
            steepness: config.steepness,
        };
        TransformCodec {
            config: config.clone(),
            fine: transform(8, config.coordinates),
            coarse: transform(4, 3 * 16),
        }
    }

    pub fn config(&self) -> &TransformCodecModelConfig {
        &self.config
    }

    /// The transform of pixels.
    pub fn fine(&self) -> &LappedTransform {
        &self.fine
    }

    /// The transform of the first transform's first coordinates.
    pub fn coarse(&self) -> &LappedTransform {
        &self.coarse
    }

    /// The context model of the first transform's levels.
    pub fn context(&self) -> ContextModel {
        let coarse = match self.config.second_level {
            true => COARSE,
            false => 0,
        };
        ContextModel {
            coordinates: self.config.coordinates - coarse,
            width: self.config.context_width,
            level_width: self.config.level_width,
        }
    }

    /// That of the second transform's levels.
    pub fn coarse_context(&self) -> ContextModel {
        ContextModel {
            coordinates: self.coarse.coordinates,
            width: self.config.second_context_width,
            level_width: self.config.level_width,
        }
    }

    fn quantizer(&self) -> DeadZone {
        DeadZone {
            rounding: self.config.rounding,
        }
    }

    /// A whole pass over images `[B, 3, height, width]` in -1..1 with steps `[B]`.
    ///
    /// # Panics
    /// If a side is no multiple of
    /// [`alignment`](TransformCodecModelConfig::alignment).
    #[track_caller]
    pub fn forward<'g>(
        &self,
        scope: &Scope<'g>,
        image: Tensor<'g>,
        step: Tensor<'g>,
    ) -> Forward<'g> {
        let batch = step.shape()[0];
        let log_step = (step * (1.0 / USUAL_STEP)).log();
        let size = step.reshape([batch, 1, 1, 1]);
        let patches = self.fine.filtered_patches(image * PIXEL_SCALE) * size.reciprocal();
        let encoder = Network {
            width: self.config.encoder_width,
            blocks: self.config.encoder_blocks,
            outputs: self.config.coordinates,
        };
        let residual = encoder.forward(&(scope / "encoder"), patches, log_step);
        let transform = scope / "transform";
        let y = self.fine.analysis(&transform, patches) + residual;

        let (fine, split) = match self.config.second_level {
            true => (y.slice(-1, COARSE..self.config.coordinates), true),
            false => (y, false),
        };
        let levels = self.quantizer().levels(fine);
        let z = self.quantizer().reconstruct(&(scope / "levels"), levels);
        let coarse = split.then(|| self.coarse_level(scope, y.slice(-1, 0..COARSE), log_step));
        let graph = scope.graph();
        let (z, side) = match &coarse {
            Some(coarse) => {
                let z = graph.concat(&[coarse.features, z], -1);
                (
                    z,
                    Some(context::surroundings(coarse.features.stop_gradient())),
                )
            }
            None => (z, None),
        };
        let own = self
            .context()
            .bits(&(scope / "context"), levels, log_step, side);
        let pixels = self.decode(scope, z, size, log_step);
        Forward {
            pixels,
            bits: coarse.as_ref().map_or(own, |coarse| own + coarse.bits),
            coarse_bits: coarse.as_ref().map(|coarse| coarse.bits),
            levels,
            coarse_levels: coarse.map(|coarse| coarse.levels),
        }
    }

    /// From features `[B, R, C, K]` in units of the step `[B, 1, 1, 1]` to pixels.
    fn decode<'g>(
        &self,
        scope: &Scope<'g>,
        z: Tensor<'g>,
        size: Tensor<'g>,
        log_step: Tensor<'g>,
    ) -> Tensor<'g> {
        let decoder = Network {
            width: self.config.decoder_width,
            blocks: self.config.decoder_blocks,
            outputs: self.fine.features(),
        };
        // The first coordinates are large and smooth: their differences are worth seeing unbent.
        let seen = [
            z.clamp(-2.0, 2.0),
            context::compressed(z),
            z.slice(-1, 0..COARSE) * 0.25,
        ];
        let seen = scope.graph().concat(&seen, -1);
        let residual = decoder.forward(&(scope / "decoder"), seen, log_step);
        let patches = self.fine.synthesis(&(scope / "transform"), z) + residual * 0.25;
        self.fine.picture(patches * size)
    }

    /// The second level of coordinates `[B, R, C, 3]`.
    fn coarse_level<'g>(
        &self,
        scope: &Scope<'g>,
        y: Tensor<'g>,
        log_step: Tensor<'g>,
    ) -> CoarseLevel<'g> {
        let transform = scope / "coarse_transform";
        let patches = self.coarse.filtered_patches(y.transpose(&[0, 3, 1, 2]));
        let levels = self
            .quantizer()
            .levels(self.coarse.analysis(&transform, patches));
        let z = self
            .quantizer()
            .reconstruct(&(scope / "coarse_levels"), levels);
        let picture = self.coarse.picture(self.coarse.synthesis(&transform, z));
        let place = scope / "coarse_context";
        CoarseLevel {
            levels,
            features: picture.transpose(&[0, 2, 3, 1]),
            bits: self.coarse_context().bits(&place, levels, log_step, None),
        }
    }
}

/// A coarse picture as it is coded.
struct CoarseLevel<'g> {
    /// `[B, R/4, C/4, 48]`.
    levels: Tensor<'g>,
    /// What the levels stand for, `[B, R, C, 3]` in units of the step.
    features: Tensor<'g>,
    /// `[B]`.
    bits: Tensor<'g>,
}

/// Loss and figures of a batch.
#[derive(Clone, Debug)]
pub struct RateDistortion<'g> {
    /// `f32[]`.
    pub loss: Tensor<'g>,
    /// Bits per pixel of each picture, `[B]`.
    pub bits_per_pixel: Tensor<'g>,
    /// Mean squared error of each picture, in squared levels of a sample, `[B]`.
    pub mean_squared_error: Tensor<'g>,
}

/// What training minimises, of images in -1..1 that became `forward` with steps `[B]`.
pub fn rate_distortion<'g>(
    config: &RateDistortionConfig,
    forward: &Forward<'g>,
    image: Tensor<'g>,
    step: Tensor<'g>,
) -> RateDistortion<'g> {
    let shape = image.shape();
    let pixels = (shape[2] * shape[3]) as f64;
    let squares = (forward.pixels - image * PIXEL_SCALE).square();
    let error = squares.sum(&[1, 2, 3][..]) * (1.0 / pixels);
    let bits_per_pixel = forward.bits * (1.0 / pixels);
    let loss = error / step.square() + bits_per_pixel * config.rate_weight;
    RateDistortion {
        loss: loss.mean(..),
        bits_per_pixel,
        mean_squared_error: error * (1.0 / 3.0),
    }
}

#[cfg(test)]
mod tests;
