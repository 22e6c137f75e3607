//! Batch normalisation (Ioffe and Szegedy, 2015).

use super::{BatchMemory, BatchUse, channel_moments, channels_of, per_channel};
use bsq_ir::tensor::Init;
use bsq_ir::{AsScope, Tensor};

/// Batch normalisation of `[batch, channels, places..]`.
///
/// Parameters as in PyTorch, each `[channels]`: `weight`, `bias`, and the memory `running_mean` and
/// `running_var`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance.
    pub epsilon: f64,
    /// The share of a new batch in what is remembered.
    pub momentum: f64,
}

impl Default for BatchNorm {
    /// PyTorch's: epsilon 1e-5, momentum 0.1.
    fn default() -> BatchNorm {
        BatchNorm {
            epsilon: 1e-5,
            momentum: 0.1,
        }
    }
}

impl BatchNorm {
    /// In training the batch's own mean and biased variance; the unbiased variance is remembered.
    ///
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
        let one = |name: &str, start| scope.parameter(name, [channels], Init::Constant(start));
        let weight = one("weight", 1.0);
        let bias = one("bias", 0.0);
        let running = [one("running_mean", 0.0), one("running_var", 1.0)];
        let (mean, variance) = match memory.use_of_batch {
            BatchUse::Inference => {
                let [mean, variance] = running.map(|parameter| memory.current(parameter));
                (mean, variance)
            }
            BatchUse::Training | BatchUse::Starting => {
                let (mean, variance) = channel_moments(x);
                let count = (x.shape().elements() / channels.max(1)) as f64;
                let unbiased = variance * (count / (count - 1.0).max(1.0));
                for (parameter, new) in running.into_iter().zip([mean, unbiased]) {
                    let old = memory.current(parameter);
                    let moved = old + (new.stop_gradient() - old) * self.momentum;
                    memory.change(parameter, moved);
                }
                (mean, variance)
            }
        };
        let gain = (variance + self.epsilon).sqrt().reciprocal();
        let centred = x - per_channel(mean, x);
        centred * per_channel(gain * weight, x) + per_channel(bias, x)
    }
}
