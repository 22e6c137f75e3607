//! A discriminator of overlapping patches (Isola et al., 2017), a stage deeper and half as wide as
//! the usual one.

use bsq_ir::tensor::Init;
use bsq_ir::{Scope, Tensor};
use bsq_nn::layers::{ActNorm, BatchMemory, BatchNorm, Conv, Start, leaky_relu};

/// Side of every kernel.
const KERNEL: usize = 4;
/// Channels grow to at most this many times the first.
const MOST: usize = 8;
/// Of weights as training starts.
pub(super) const DEVIATION: f32 = 0.02;

/// What stands between a convolution and its rectifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchNorm {
    Batch,
    /// Scales and shifts that start with the first batch's statistics.
    Act,
}

/// Convolutions of stride 2, then two of stride 1; the first and the last without a norm.
///
/// Parameters, names as in the reference: `network.{i}.{weight,bias}` of convolutions and batch
/// norms, `network.{i}.{loc,scale}` of ActNorm, numbered with the rectifiers between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchGan {
    /// Of the first convolution.
    pub channels: usize,
    /// Convolutions of stride 2 behind the first.
    pub layers: usize,
    pub norm: PatchNorm,
}

impl PatchGan {
    /// How many patches there are along a side of a picture; `None` if it is too small for one.
    pub fn patches(&self, side: usize) -> Option<usize> {
        let halved = |side: usize| (side + 2).checked_sub(KERNEL).map(|rest| rest / 2 + 1);
        let strided = (0..=self.layers).try_fold(side, |side, _| halved(side));
        strided?.checked_sub(2).filter(|&patches| patches > 0)
    }

    /// `[batch, 3, height, width]` to `[batch, 1, rows, columns]`.
    #[track_caller]
    pub(super) fn logits<'g>(
        &self,
        scope: &Scope<'g>,
        x: Tensor<'g>,
        memory: &mut BatchMemory<'g>,
    ) -> Tensor<'g> {
        let network = scope / "network";
        let conv = |outputs: usize, stride: usize| Conv {
            weight: Start::Fixed(Init::Normal(DEVIATION)),
            bias: Some(Start::ZERO),
            ..Conv::new(outputs, [KERNEL; 2]).stride(stride).padding(1)
        };
        let rectified = |x: Tensor<'g>| leaky_relu(x, 0.2);
        let width = |layer: usize| self.channels * (1 << layer.min(30)).min(MOST);
        let mut x = rectified(conv(self.channels, 2).forward(&network / 0, x));
        let last = width(self.layers.saturating_sub(1));
        let strided = (0..self.layers).map(|layer| conv(width(layer), 2));
        let mut place = 2;
        for conv in strided.chain([conv(last, 1)]) {
            x = conv.forward(&network / place, x);
            let norm = &network / (place + 1);
            x = rectified(match self.norm {
                PatchNorm::Batch => BatchNorm::default().forward(&norm, x, memory),
                PatchNorm::Act => ActNorm.forward(&norm, x, memory),
            });
            place += 3;
        }
        conv(1, 1).forward(&network / place, x)
    }
}
