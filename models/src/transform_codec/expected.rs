//! What is known of a predicted frame of a clip before any of its levels: features for the context
//! models and for the decoder's network.
//!
//! ```text
//! p = analysis(expected) / s      what motion makes of the frame before, in the frame's own steps
//! l = analysis(lacked) / s        what the frame before lacked, moved likewise
//! features = e(p, l, s)           [B, R, C, F], zero before training
//! correction = f(z, features, s)  of patches, beside the decoder's network
//! ```
//!
//! Where the frame before lacked much this one will, too; where the expected picture is smooth little
//! can be missing; and the noise that quantization left in it is seen beside what it is noise of.

use super::context::seen;
use super::network::Network;
use super::{PIXEL_SCALE, TransformCodec, log_step, size};
use bsq_ir::{Scope, Tensor};

/// Pictures `[B, 3, height, width]`.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'g> {
    /// What the frame is expected to be, in -1..1.
    pub picture: Tensor<'g>,
    /// What the frame before lacked of what was expected of it: differences of samples over 127.5.
    pub lacked: Tensor<'g>,
}

impl TransformCodec {
    /// Features of patches, `[B, R, C, F]`, of what is expected with steps `[B]`.
    ///
    /// # Panics
    /// If shapes are not those of this codec, or it is one of pictures.
    #[track_caller]
    pub fn expected_features<'g>(
        &self,
        scope: &Scope<'g>,
        expected: Expected<'g>,
        step: Tensor<'g>,
    ) -> Tensor<'g> {
        let config = self.config();
        assert!(config.expected_features > 0, "a codec of predicted frames");
        // The transform of the levels themselves.
        let transform = (scope / "transform").sharing();
        let coordinates = |image: Tensor<'g>| {
            let patches = self.fine().filtered_patches(image * PIXEL_SCALE);
            let patches = patches * size(step).reciprocal();
            let y = self.fine().analysis(&transform, patches);
            seen(y.slice(-1, 0..config.base_coordinates).stop_gradient())
        };
        let pair = [expected.picture, expected.lacked].map(coordinates);
        let seen = scope.graph().concat(&pair, -1);
        let network = self.network(config.expected_features);
        network.forward(&(scope / "expected"), seen, log_step(step))
    }

    /// What a decoder adds to patches of which it knows what was expected, in quarters of a step
    /// `[B, R, C, 192]`; zero before training.
    pub(super) fn correction<'g>(
        &self,
        scope: &Scope<'g>,
        (levels, features): (Tensor<'g>, Tensor<'g>),
        step: Tensor<'g>,
    ) -> Tensor<'g> {
        let seen = scope.graph().concat(&[levels, features], -1);
        let network = self.network(self.fine().features());
        network.forward(&(scope / "correction"), seen, log_step(step))
    }

    fn network(&self, outputs: usize) -> Network {
        let config = self.config();
        Network {
            width: config.expected_width,
            blocks: config.expected_blocks,
            outputs,
        }
    }
}

/// Features of patches of 4x4 patches: their means.
///
/// # Panics
/// If `features` is not `[B, R, C, F]` with sides that four divides.
#[track_caller]
pub(super) fn coarse_features(features: Tensor<'_>) -> Tensor<'_> {
    let [batch, rows, columns, count] = features.shape()[..] else {
        panic!("features of patches, not {}", features.shape())
    };
    features
        .reshape([batch, rows / 4, 4, columns / 4, 4, count])
        .mean(&[2, 4][..])
}
