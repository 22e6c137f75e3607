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
//! p = lapped(pixels)                [B, R, C, 192]   filter across patch borders, see `lapped`
//! y = p A / s;  y = y + e(y, s)     [B, R, C, K]     analysis A [192, K], encoder's network e
//! u = coarse(y[0..3])               [B, R/4, C/4, 48]   a second lapped transform, of 4x4 patches
//! q = levels(y[3..]), levels(u)                      integers; a dead zone around 0
//! z = q - c sign(q)                                  learned shifts c; coarse^-1 for z[0..3]
//! pixels = lapped^-1((z S + d(z, s) / 4) s)          synthesis S [K, 192], decoder's network d
//! ```
//!
//! A and S start as principal components of filtered patches of the training pictures, e and d at
//! zero. Three parts are coded one after another, each in raster order of its patches: the levels of
//! the second transform; the base, coordinates 3 to 63 of the first, which sees the coarse picture
//! `z[0..3]` on all sides; the detail, coordinates 64 to 191, almost all of which are zero but at
//! fine steps, and which sees the base. What a level's probability is made of is told in
//! [`context`]. Without `second_level` the first three coordinates are part of the base.
//!
//! A pixel's share of the loss is `(squared error / s^2 + rate_weight * bits) (s / 80)^balance`; the
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
pub mod lapped;
mod logistic;
mod network;

pub use context::{ContextModel, Side};
use context::{compressed, surroundings};
pub use lapped::LappedTransform;

use crate::config::{RateDistortionConfig, TransformCodecModelConfig};
use bsq_ir::{Scope, Tensor};
use bsq_nn::quantizers::DeadZone;
use network::Network;
use std::ops::Range;

/// Pixels are this many times an image in -1..1.
pub const PIXEL_SCALE: f64 = 127.5;
/// Coordinates of the first level that go through the second one: the mean of each colour
/// component, as it were.
pub const COARSE: usize = 3;
/// Coordinates in the first group of the detail's ([`ContextModel::groups`]).
const DETAIL_GROUP: usize = 32;
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
    /// What is coded, in this order.
    pub parts: Vec<Part<'g>>,
    /// Bits of each picture, `[B]`: the sum of all parts'.
    pub bits: Tensor<'g>,
}

/// Levels that are coded one after another with a context model of their own.
#[derive(Clone, Copy, Debug)]
pub struct Part<'g> {
    /// What the names of its context model's parameters begin with.
    pub context: &'static str,
    /// `[B, rows, columns, coordinates]`.
    pub levels: Tensor<'g>,
    /// By the context model, `[B]`.
    pub bits: Tensor<'g>,
}

/// Names of the context models, in the order of coding.
pub const CONTEXTS: [&str; 3] = ["coarse_context", "context", "detail_context"];

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

    /// The first transform's coordinates that each of its parts codes: base and detail.
    pub fn coordinates(&self) -> [Range<usize>; 2] {
        let (base, all) = (self.config.base_coordinates, self.config.coordinates);
        let coarse = if self.config.second_level { COARSE } else { 0 };
        [coarse..base, base..all]
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
        let y = self.fine.analysis(&(scope / "transform"), patches);
        let encoder = Network {
            width: self.config.encoder_width,
            blocks: self.config.encoder_blocks,
            outputs: self.config.coordinates,
        };
        let y = y + encoder.forward(&(scope / "encoder"), compressed(y), log_step);

        let [base, detail] = self.coordinates();
        let levels = self.quantizer().levels(y.slice(-1, base.start..detail.end));
        let mut z = self.quantizer().reconstruct(&(scope / "levels"), levels);
        let (mut parts, mut side) = (Vec::new(), None);
        if self.config.second_level {
            let (part, picture) = self.coarse_level(scope, y.slice(-1, 0..COARSE), log_step);
            parts.push(part);
            z = scope.graph().concat(&[picture, z], -1);
            side = Some(surroundings(picture.stop_gradient()));
        }
        let count = base.len();
        let base = levels.slice(-1, 0..count);
        let widths = (self.config.context_width, self.config.level_width, 1);
        parts.push(part(scope, CONTEXTS[1], widths, base, log_step, side));
        if !detail.is_empty() {
            let side = Some(context::of_levels(base.stop_gradient()));
            let detail = levels.slice(-1, count..count + detail.len());
            let widths = (
                self.config.detail_context_width,
                self.config.detail_level_width,
                DETAIL_GROUP,
            );
            parts.push(part(scope, CONTEXTS[2], widths, detail, log_step, side));
        }
        let bits = parts
            .iter()
            .map(|part| part.bits)
            .reduce(|sum, bits| sum + bits);
        Forward {
            pixels: self.decode(scope, z, size, log_step),
            bits: bits.expect("there is a base part"),
            parts,
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
        // At fine steps the first coordinates are hundreds of steps: they must not be seen unbent.
        let base = z.slice(-1, 0..self.config.base_coordinates);
        let around = surroundings(z.slice(-1, 0..COARSE)).features;
        let seen = [base.clamp(-2.0, 2.0), compressed(base), around];
        let seen = scope.graph().concat(&seen, -1);
        let residual = decoder.forward(&(scope / "decoder"), seen, log_step);
        let patches = self.fine.synthesis(&(scope / "transform"), z) + residual * 0.25;
        self.fine.picture(patches * size)
    }

    /// The second level of coordinates `[B, R, C, 3]`: what is coded, in patches of 4x4
    /// (`[B, R/4, C/4, 48]`), and the coordinates that it stands for.
    fn coarse_level<'g>(
        &self,
        scope: &Scope<'g>,
        y: Tensor<'g>,
        log_step: Tensor<'g>,
    ) -> (Part<'g>, Tensor<'g>) {
        let transform = scope / "coarse_transform";
        let patches = self.coarse.filtered_patches(y.transpose(&[0, 3, 1, 2]));
        let levels = self
            .quantizer()
            .levels(self.coarse.analysis(&transform, patches));
        let z = self
            .quantizer()
            .reconstruct(&(scope / "coarse_levels"), levels);
        let picture = self.coarse.picture(self.coarse.synthesis(&transform, z));
        let widths = (self.config.coarse_context_width, self.config.level_width, 1);
        let part = part(scope, CONTEXTS[0], widths, levels, log_step, None);
        (part, picture.transpose(&[0, 2, 3, 1]))
    }
}

/// Levels beside their bits.
#[track_caller]
fn part<'g>(
    scope: &Scope<'g>,
    name: &'static str,
    (width, level_width, first_group): (usize, usize, usize),
    levels: Tensor<'g>,
    log_step: Tensor<'g>,
    side: Option<Side<'g>>,
) -> Part<'g> {
    let context = ContextModel {
        coordinates: levels.shape()[3],
        width,
        level_width,
        first_group,
    };
    Part {
        context: name,
        levels,
        bits: context.bits(&(scope / name), levels, log_step, side),
    }
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
