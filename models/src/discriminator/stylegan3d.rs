//! A discriminator of clips: residual blocks of convolutions over time, rows and columns.

use super::deviation::with_deviation;
use super::equalized::{activated, convolution, linear, rectified};
use crate::image_io::ImageSize;
use bsq_ir::tensor::Slide;
use bsq_ir::{Scope, Tensor};
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Blocks that halve rows and columns, and some of them time, and a verdict on what is left.
///
/// Parameters, names as in the reference: `input_conv.0.{weight,bias}`,
/// `conv_blocks.{i}.function_path.{0,3}.{weight,bias}`, `conv_blocks.{i}.skip_path.1.weight`,
/// `output_conv.0.{weight,bias}`, `output_mlp.{1,2}.{weight,bias}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StyleGan3d {
    /// Of the first convolution, then of each block.
    pub channels: Vec<usize>,
    /// How many frames of its input are one of its output, for each block.
    pub temporal: Vec<usize>,
    /// Width of the verdict's layer.
    pub units: usize,
    /// Examples that are compared with each other.
    pub group_size: usize,
}

impl Default for StyleGan3d {
    /// For 16 frames of 128x128 pixels.
    fn default() -> StyleGan3d {
        StyleGan3d {
            channels: vec![64, 128, 256, 256, 256, 256],
            temporal: vec![1, 1, 2, 2, 2],
            units: 256,
            group_size: 4,
        }
    }
}

impl StyleGan3d {
    /// For clips of so many frames of a size, with so many channels before the first block: a block for each
    /// time that both sides are even and above 4. The last ones halve time, too, while it is even and
    /// above 2. With 64 channels it is the [default](StyleGan3d::default) for that one's clips. None if there
    /// is no block.
    pub fn for_clips(channels: usize, frames: usize, size: ImageSize) -> Option<StyleGan3d> {
        let halvings = |length: usize, least: usize| {
            let halves = |&length: &usize| length.is_multiple_of(2) && length > least;
            std::iter::successors(Some(length), |length| Some(length / 2))
                .take_while(halves)
                .count()
        };
        let blocks = halvings(size.height, 4).min(halvings(size.width, 4));
        let in_time = halvings(frames, 2).min(blocks);
        let widths = (0..=blocks).map(|block| channels << block.min(2));
        let temporal = (0..blocks).map(|block| if block + in_time < blocks { 1 } else { 2 });
        (blocks > 0).then(|| StyleGan3d {
            channels: widths.collect(),
            temporal: temporal.collect(),
            units: channels << 2,
            group_size: 4,
        })
    }

    /// `[batch, 3, frames, height, width]` to `[batch, 1]`.
    #[track_caller]
    pub(super) fn logits<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        assert_eq!(
            self.channels.len(),
            self.temporal.len() + 1,
            "channels of the first convolution and of each block"
        );
        let place = scope / "input_conv" / 0;
        let x = convolution(&place, x, self.channels[0], 1, Slide::default());
        let mut x = activated(&place, x, 1.0);
        let blocks = self.channels[1..].iter().zip(&self.temporal);
        for (block, (&outputs, &frames)) in blocks.enumerate() {
            x = halved(&(scope / "conv_blocks" / block), x, outputs, frames);
        }
        let [batch, channels, frames, height, width] = x.shape()[..] else {
            panic!("needs [batch, 3, frames, height, width], not {}", x.ty())
        };
        // Frames below each other.
        let flat = x.reshape([batch, channels, frames * height, width]);
        let x = with_deviation(flat, self.group_size);
        let x = x.reshape([batch, channels + 1, frames, height, width]);
        let place = scope / "output_conv" / 0;
        let x = convolution(&place, x, channels, 3, Slide::padded(1));
        let x = activated(&place, x, 1.0);
        let features = x.shape().elements() / batch.max(1);
        let verdict = scope / "output_mlp";
        let x = linear(&verdict / 1, x.reshape([batch, features]), self.units);
        linear(&verdict / 2, rectified(x, SQRT_2), 1)
    }
}

#[track_caller]
fn halved<'g>(scope: &Scope<'g>, x: Tensor<'g>, outputs: usize, frames: usize) -> Tensor<'g> {
    let pooled = |x: Tensor<'g>| {
        let sizes = [frames, 2, 2];
        let slides = sizes.map(|stride| Slide {
            stride,
            ..Slide::default()
        });
        x.average_pool(&sizes, &slides)
    };
    let path = scope / "function_path";
    let main = convolution(&path / 0, x, outputs, 3, Slide::padded(1));
    let main = pooled(activated(&path / 0, main, SQRT_2));
    let main = convolution(&path / 3, main, outputs, 3, Slide::padded(1));
    let main = activated(&path / 3, main, 1.0);
    let place = scope / "skip_path" / 1;
    let skip = convolution(&place, pooled(x), outputs, 1, Slide::default());
    (main + skip) * FRAC_1_SQRT_2
}
