//! The residual discriminator of StyleGAN2 (Karras et al., 2020).

use super::deviation::with_deviation;
use super::equalized::{activated, convolution, linear, rectified};
use super::resample::low_pass;
use bsq_ir::tensor::Slide;
use bsq_ir::{Scope, Tensor};
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Blocks that halve the picture down to 4x4, and a verdict on that.
///
/// Parameters, names as in the reference: `b{R}.fromrgb.{weight,bias}` of the first block,
/// `b{R}.conv0.{weight,bias}`, `b{R}.conv1.{weight,bias}` and `b{R}.skip.weight` of each,
/// `b4.conv`, `b4.fc` and `b4.out`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StyleGan {
    /// Side of the pictures, a power of two.
    pub resolution: usize,
    /// A block at resolution r has this over r channels, and [`most_channels`](StyleGan::most_channels)
    /// at most.
    pub channel_base: usize,
    pub most_channels: usize,
    /// Examples that are compared with each other.
    pub group_size: usize,
}

impl StyleGan {
    /// The smallest side: one block, and 4x4.
    pub const SMALLEST: usize = 8;

    /// At most 512 channels, groups of 4.
    pub fn new(resolution: usize, channel_base: usize) -> StyleGan {
        StyleGan {
            resolution,
            channel_base,
            most_channels: 512,
            group_size: 4,
        }
    }

    fn channels(&self, resolution: usize) -> usize {
        (self.channel_base / resolution).min(self.most_channels)
    }

    /// `[batch, 3, R, R]` to `[batch, 1]`.
    #[track_caller]
    pub(super) fn logits<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let side = self.resolution;
        assert!(
            side.is_power_of_two() && side >= StyleGan::SMALLEST && x.shape()[2..] == [side; 2],
            "a discriminator of {side}x{side} pictures sees {}",
            x.ty()
        );
        let place = scope / format!("b{side}") / "fromrgb";
        let channels = self.channels(side);
        let mut x = activated(
            &place,
            convolution(&place, x, channels, 1, Slide::default()),
            SQRT_2,
        );
        let mut resolution = side;
        while resolution > 4 {
            let block = scope / format!("b{resolution}");
            x = halved(&block, x, self.channels(resolution / 2));
            resolution /= 2;
        }
        self.verdict(&(scope / "b4"), x)
    }

    #[track_caller]
    fn verdict<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let channels = x.shape()[1];
        let x = with_deviation(x, self.group_size);
        let place = scope / "conv";
        let x = convolution(&place, x, channels, 3, Slide::padded(1));
        let x = activated(&place, x, SQRT_2);
        let (batch, features) = (x.shape()[0], x.shape().elements() / x.shape()[0].max(1));
        let x = linear(scope / "fc", x.reshape([batch, features]), channels);
        linear(scope / "out", rectified(x, SQRT_2), 1)
    }
}

/// A residual block: `[batch, channels, n, n]` to `[batch, outputs, n/2, n/2]`. Both branches are
/// scaled by √½, so that their sum has the deviation of the input.
#[track_caller]
fn halved<'g>(scope: &Scope<'g>, x: Tensor<'g>, outputs: usize) -> Tensor<'g> {
    let place = scope / "conv0";
    let kept = convolution(&place, x, x.shape()[1], 3, Slide::padded(1));
    let kept = activated(&place, kept, SQRT_2);
    let place = scope / "conv1";
    let stride = Slide {
        stride: 2,
        ..Slide::default()
    };
    let main = convolution(&place, low_pass(kept, 2, 1), outputs, 3, stride);
    // √2 of the rectifier times √½ of the branch.
    let main = activated(&place, main, 1.0);
    let skip = convolution(
        &(scope / "skip"),
        low_pass(x, 1, 2),
        outputs,
        1,
        Slide::default(),
    );
    skip * FRAC_1_SQRT_2 + main
}
