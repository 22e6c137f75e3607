//! A learned transform codec: a lapped linear transform with networks beside it, a uniform
//! quantizer, and a context model that codes its levels.
//!
//! The transform alone is a good codec at the first step of training; the networks start at zero
//! and learn what it lacks. One model serves all rates: the quantizer's step is an input.
//!
//! Shapes: B pictures of `3 x height x width` pixels; R = height / 8 rows and C = width / 8 columns
//! of patches; K coordinates of a patch (192, of which 64 are the base); cells are 2x2 patches. Pixels are
//! `127.5 * image`, from -127.5 to 127.5; `s` is the picture's step in the same units.
//!
//! ```text
//! p = lapped(pixels)                [B, R, C, 192]   filter across patch borders, see [`lapped`](crate::lapped)
//! y = p A / s;  y = y + e(y, s)     [B, R, C, K]     analysis A [192, K], encoder's network e
//! u = coarse(y[0..3])               [B, R/4, C/4, 48]   a second lapped transform, of 4x4 patches
//! q = levels(y[3..]), levels(u)                      integers; a dead zone around 0
//! z = q - c sign(q)                                  learned shifts c; coarse^-1 for z[0..3]
//! pixels = lapped^-1((z S + d(z, s) / 4) s)          synthesis S [K, 192], decoder's network d
//! ```
//!
//! A and S start as principal components of filtered patches of the training pictures, e and d at
//! zero. Three [`parts`](TransformCodec::parts) are coded one after another, each in raster order of
//! its patches: the levels of the second transform; the base, coordinates 3 to 63 of the first, which sees the coarse picture
//! `z[0..3]` on all sides; the detail, coordinates 64 to 191, almost all of which are zero but at
//! fine steps, and which sees the base. What a level's probability is made of is told in
//! [`context`]. Without `second_level` the first three coordinates are part of the base.
//!
//! A pixel's share of the loss is `(squared error / s^2 + rate_weight * bits) (s / 80)^balance`, to whose
//! squared error a second stage of training adds `ms_ssim_weight * 2500 (1 - MS-SSIM)`; the
//! factor lets coarse steps, which take few bits, count as much as fine ones. The gradient goes
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
mod context_coder;
mod expected;
mod file;
pub mod functions;
pub mod level_coder;
mod levels_file;
mod logistic;
mod network;
mod part_levels;
mod parts;
mod refine;
mod session;
pub mod stream;

pub use crate::lapped::LappedTransform;
pub use context::ContextModel;
use context::{Before, compressed, surroundings};
pub use context_coder::ContextCoder;
pub use expected::Expected;
use expected::coarse_features;
pub use file::TransformCodecFile;
pub use functions::parameter_specs;
pub use levels_file::{LevelsFile, NamedLevels};
pub use part_levels::PartLevels;
pub use parts::{Part, PartKind};
pub use refine::Refinement;
pub use session::{ExpectedFeatures, TransformCodecSession};

use crate::config::{RateDistortionConfig, TransformCodecModelConfig};
use crate::losses::{MS_SSIM_SCALE, ms_ssim};
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
#[derive(Clone, Debug)]
pub struct Forward<'g> {
    /// Pixels `[B, 3, height, width]`, not rounded.
    pub pixels: Tensor<'g>,
    /// Levels of each of the [`parts`](TransformCodec::parts).
    pub levels: Vec<Tensor<'g>>,
    /// Bits of each picture, `[B]`: the sum of all parts'.
    pub bits: Tensor<'g>,
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

    fn quantizer(&self) -> DeadZone {
        DeadZone {
            rounding: self.config.rounding,
        }
    }

    /// A whole pass over images `[B, 3, height, width]` in -1..1 with steps `[B]`; of predicted frames
    /// the images are what they lack of what was `expected`.
    ///
    /// # Panics
    /// If a side is no multiple of
    /// [`alignment`](TransformCodecModelConfig::alignment), or something is expected by a codec of
    /// pictures, or nothing by one of predicted frames.
    #[track_caller]
    pub fn forward<'g>(
        &self,
        scope: &Scope<'g>,
        image: Tensor<'g>,
        step: Tensor<'g>,
        expected: Option<Expected<'g>>,
    ) -> Forward<'g> {
        let levels = self.levels(scope, image, step);
        // Gradients reach levels through their own bits alone.
        let known: Vec<_> = levels.iter().map(|q| q.stop_gradient()).collect();
        let features = expected.map(|expected| self.expected_features(scope, expected, step));
        self.forward_of(scope, levels, &known, step, features)
    }

    /// The same from levels on. `known` are the same levels, as context of others; `expected` are
    /// [`expected_features`](TransformCodec::expected_features).
    ///
    /// # Panics
    /// If shapes are not those of this codec, or tensors of another graph than the scope's.
    #[track_caller]
    pub fn forward_of<'g>(
        &self,
        scope: &Scope<'g>,
        levels: Vec<Tensor<'g>>,
        known: &[Tensor<'g>],
        step: Tensor<'g>,
        expected: Option<Tensor<'g>>,
    ) -> Forward<'g> {
        let picture = self.coarse_picture(scope, &levels);
        let log_step = log_step(step);
        let mut bits = step.full_like(0.0);
        for (index, part) in self.parts().iter().enumerate() {
            let side = part.kind.side(picture, &levels[..index]);
            let before = Before {
                side,
                expected: expected.map(|features| part.kind.expected(features)),
            };
            let place = scope / part.kind.scope();
            let pair = (levels[index], known[index]);
            bits = bits + part.context.bits(&place, pair, log_step, before);
        }
        Forward {
            pixels: self.pixels(scope, &levels, picture, step, expected),
            levels,
            bits,
        }
    }

    /// Levels of each part, `[B, rows, columns, coordinates]`, of images `[B, 3, height, width]` in
    /// -1..1. The gradient goes straight through the quantizer.
    ///
    /// # Panics
    /// If shapes are not those of this codec, or tensors of another graph than the scope's.
    #[track_caller]
    pub fn levels<'g>(
        &self,
        scope: &Scope<'g>,
        image: Tensor<'g>,
        step: Tensor<'g>,
    ) -> Vec<Tensor<'g>> {
        let features = self.features(scope, image, step).into_iter();
        features.map(|y| self.quantizer().levels(y)).collect()
    }

    /// What [`levels`](TransformCodec::levels) rounds, in steps.
    ///
    /// # Panics
    /// If shapes are not those of this codec, or tensors of another graph than the scope's.
    #[track_caller]
    pub fn features<'g>(
        &self,
        scope: &Scope<'g>,
        image: Tensor<'g>,
        step: Tensor<'g>,
    ) -> Vec<Tensor<'g>> {
        let patches = self.fine.filtered_patches(image * PIXEL_SCALE) * size(step).reciprocal();
        let y = self.fine.analysis(&(scope / "transform"), patches);
        let encoder = Network {
            width: self.config.encoder_width,
            blocks: self.config.encoder_blocks,
            outputs: self.config.coordinates,
        };
        let y = y + encoder.forward(&(scope / "encoder"), compressed(y), log_step(step));
        let of_part = |part: &Part| {
            let y = y.slice(-1, part.coordinates.clone());
            match part.kind {
                PartKind::Base | PartKind::Detail => y,
                PartKind::Coarse => {
                    let patches = self.coarse.filtered_patches(y.transpose(&[0, 3, 1, 2]));
                    self.coarse.analysis(&(scope / "coarse_transform"), patches)
                }
            }
        };
        self.parts().iter().map(of_part).collect()
    }

    /// The first transform's first coordinates, `[B, R, C, 3]`, of the second's levels, if it has
    /// one.
    ///
    /// # Panics
    /// If shapes are not those of this codec, or tensors of another graph than the scope's.
    #[track_caller]
    pub fn coarse_picture<'g>(
        &self,
        scope: &Scope<'g>,
        levels: &[Tensor<'g>],
    ) -> Option<Tensor<'g>> {
        if !self.config.second_level {
            return None;
        }
        let z = self
            .quantizer()
            .reconstruct(scope / "coarse_levels", levels[0]);
        let transform = scope / "coarse_transform";
        let picture = self.coarse.picture(self.coarse.synthesis(&transform, z));
        Some(picture.transpose(&[0, 2, 3, 1]))
    }

    /// Pixels `[B, 3, height, width]`, not rounded, of all levels; `picture` is their
    /// [`coarse_picture`](TransformCodec::coarse_picture), `expected` are
    /// [`expected_features`](TransformCodec::expected_features).
    ///
    /// # Panics
    /// If shapes are not those of this codec, or tensors of another graph than the scope's.
    #[track_caller]
    pub fn pixels<'g>(
        &self,
        scope: &Scope<'g>,
        levels: &[Tensor<'g>],
        picture: Option<Tensor<'g>>,
        step: Tensor<'g>,
        expected: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let graph = scope.graph();
        let fine = &levels[usize::from(picture.is_some())..];
        let z = self
            .quantizer()
            .reconstruct(scope / "levels", graph.concat(fine, -1));
        let z = match picture {
            Some(picture) => graph.concat(&[picture, z], -1),
            None => z,
        };
        let decoder = Network {
            width: self.config.decoder_width,
            blocks: self.config.decoder_blocks,
            outputs: self.fine.features(),
        };
        // At fine steps the first coordinates are hundreds of steps: they must not be seen unbent.
        let base = z.slice(-1, 0..self.config.base_coordinates);
        let around = surroundings(z.slice(-1, 0..COARSE)).features;
        let seen = [base.clamp(-2.0, 2.0), compressed(base), around];
        let seen = graph.concat(&seen, -1);
        let mut residual = decoder.forward(&(scope / "decoder"), seen, log_step(step));
        if let Some(features) = expected {
            residual = residual + self.correction(scope, (seen, features), step);
        }
        let patches = self.fine.synthesis(&(scope / "transform"), z) + residual * 0.25;
        self.fine.picture(patches * size(step))
    }
}

/// Whether a parameter comes before the quantizer: a decoder does without it.
pub fn is_of_encoder(name: &str) -> bool {
    name.starts_with("encoder.") || name.ends_with("transform.analysis")
}

/// Steps `[B]` beside patches.
fn size(step: Tensor<'_>) -> Tensor<'_> {
    step.reshape([step.shape()[0], 1, 1, 1])
}

/// What networks see of steps.
fn log_step(step: Tensor<'_>) -> Tensor<'_> {
    (step * (1.0 / USUAL_STEP)).log()
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
///
/// With a weight of MS-SSIM the squared error of a pixel, that of its three samples together, is joined
/// by `ms_ssim_weight * 2500 (1 - MS-SSIM)`: see [`MS_SSIM_SCALE`].
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
    let distortion = match config.ms_ssim_weight {
        0.0 => error,
        weight => {
            let similarity = ms_ssim(image * PIXEL_SCALE, forward.pixels);
            error + (1.0 - similarity) * (weight * MS_SSIM_SCALE)
        }
    };
    let loss = distortion / step.square() + bits_per_pixel * config.rate_weight;
    let weight = ((step * (1.0 / USUAL_STEP)).log() * config.balance).exp();
    let loss = loss * weight;
    RateDistortion {
        loss: loss.mean(..),
        bits_per_pixel,
        mean_squared_error: error * (1.0 / 3.0),
    }
}

#[cfg(test)]
mod tests;
