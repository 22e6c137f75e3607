//! Group normalisation (Wu and He, 2018), and with it instance normalisation.

use super::{channels_of, per_channel};
use bsq_ir::tensor::Init;
use bsq_ir::{AsScope, Tensor};

/// Normalises groups of channels of each example of `[batch, channels, places..]`.
///
/// Parameters, each `[channels]`: `weight`, `bias`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// How many groups; `None` is a group for each channel.
    pub groups: Option<usize>,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether there are a weight and a bias.
    pub affine: bool,
}

impl GroupNorm {
    /// As in PyTorch: epsilon 1e-5, with weight and bias.
    pub fn new(groups: usize) -> GroupNorm {
        GroupNorm {
            groups: Some(groups),
            epsilon: 1e-5,
            affine: true,
        }
    }

    /// Each channel by itself: PyTorch's `InstanceNorm`, which has no weight and bias unless it is
    /// asked for them.
    pub fn instance() -> GroupNorm {
        GroupNorm {
            groups: None,
            epsilon: 1e-5,
            affine: false,
        }
    }

    /// # Panics
    /// If the groups do not divide the channels, or the scope has these parameters already.
    #[track_caller]
    pub fn forward<'g>(&self, scope: impl AsScope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let scope = scope.as_scope();
        let channels = channels_of(x);
        let groups = self.groups.unwrap_or(channels);
        assert!(
            groups > 0 && channels.is_multiple_of(groups),
            "{channels} channels are no {groups} equal groups"
        );
        let shape = x.shape();
        let width = shape.elements() / (shape[0] * groups).max(1);
        let rows = x.reshape([shape[0], groups, width]);
        let rows_shape = rows.shape();
        let centred = rows - rows.mean(-1).expand_axes(-1, &rows_shape);
        let variance = centred.square().mean(-1) + self.epsilon;
        let gain = variance.sqrt().reciprocal();
        let y = (centred * gain.expand_axes(-1, &rows_shape)).reshape(&shape);
        if !self.affine {
            return y;
        }
        let one = |name: &str, start| scope.parameter(name, [channels], Init::Constant(start));
        y * per_channel(one("weight", 1.0), x) + per_channel(one("bias", 0.0), x)
    }
}
