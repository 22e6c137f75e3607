//! ActNorm (Kingma and Dhariwal, 2018): scales and shifts that start with the first batch's.

use super::{BatchMemory, BatchUse, channel_moments, channels_of, per_channel};
use bsq_ir::tensor::Init;
use bsq_ir::{AsScope, Tensor};

/// `scale (x + loc)` for each channel of `[batch, channels, places..]`.
///
/// Parameters `loc` and `scale`, each `[1, channels, 1..]`. Given the first batch, under
/// [`BatchUse::Starting`], it takes values that give that batch mean 0 and deviation 1; they are
/// trained from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActNorm;

/// Added to the deviation of the first batch.
const EPSILON: f64 = 1e-6;

impl ActNorm {
    /// # Panics
    /// If `x` has no channels, or the scope has these parameters already.
    #[track_caller]
    pub fn forward<'g>(
        &self,
        scope: impl AsScope<'g>,
        x: Tensor<'g>,
        memory: &mut BatchMemory<'g>,
    ) -> Tensor<'g> {
        let scope = scope.as_scope();
        let channels = channels_of(x);
        let mut shape = vec![1; x.rank()];
        shape[1] = channels;
        let loc = scope.parameter("loc", shape.clone(), Init::Constant(0.0));
        let scale = scope.parameter("scale", shape.clone(), Init::Constant(1.0));
        if memory.use_of_batch == BatchUse::Starting && !memory.has_changed(loc) {
            let (mean, variance) = channel_moments(x.stop_gradient());
            let count = (x.shape().elements() / channels.max(1)) as f64;
            let deviation = (variance * (count / (count - 1.0).max(1.0))).sqrt();
            memory.change(loc, (-mean).reshape(shape.clone()));
            let start = (deviation + EPSILON).reciprocal();
            memory.change(scale, start.reshape(shape));
        }
        let [loc, scale] = [loc, scale].map(|own| memory.current(own).reshape([channels]));
        (x + per_channel(loc, x)) * per_channel(scale, x)
    }
}
