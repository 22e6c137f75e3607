//! Normalisation: of features, of groups of channels, of batches, and with learned statistics.
//!
//! | layer | mean and deviation are those of |
//! |---|---|
//! | [`LayerNorm`] | the last axis |
//! | [`GroupNorm`] | a group of channels of one example; with a group for each channel an instance norm |
//! | [`BatchNorm`] | a channel over the batch; in inference, averages of past batches |
//! | [`ActNorm`] | a channel of the first batch; trained from then on |
//!
//! The last two remember batches. What they remember are parameters of the model that no optimizer
//! touches: a [`BatchMemory`] hands them from layer to layer and collects their new values.

mod act;
mod batch;
mod group;
mod layer;

pub use act::ActNorm;
pub use batch::BatchNorm;
pub use group::GroupNorm;
pub use layer::LayerNorm;

use bsq_ir::Tensor;

/// What a batch is to layers that remember batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchUse {
    /// It is learned from: its own statistics are used, and remembered.
    Training,
    /// It is learned from, and the first that a memory sees gives the layers their start that
    /// start with the statistics of a batch.
    Starting,
    /// What was remembered is used, and nothing changes.
    Inference,
}

/// The state of layers that remember batches, while a graph is built.
///
/// A network that sees two batches in one graph, real and generated pictures, is built twice with
/// one memory: the second time starts from what the first one remembered.
#[derive(Clone, Debug)]
pub struct BatchMemory<'g> {
    pub use_of_batch: BatchUse,
    changed: Vec<(Tensor<'g>, Tensor<'g>)>,
}

impl<'g> BatchMemory<'g> {
    pub fn new(use_of_batch: BatchUse) -> BatchMemory<'g> {
        BatchMemory {
            use_of_batch,
            changed: Vec::new(),
        }
    }

    /// The parameters that have new values, and these: updates of the function.
    pub fn updates(&self) -> &[(Tensor<'g>, Tensor<'g>)] {
        &self.changed
    }

    fn has_changed(&self, parameter: Tensor<'g>) -> bool {
        self.changed
            .iter()
            .any(|(old, _)| old.id() == parameter.id())
    }

    /// The value that a parameter has by now.
    fn current(&self, parameter: Tensor<'g>) -> Tensor<'g> {
        let is_it = |(old, _): &&(Tensor<'g>, Tensor<'g>)| old.id() == parameter.id();
        let changed = self.changed.iter().find(is_it);
        changed.map_or(parameter, |&(_, new)| new)
    }

    fn change(&mut self, parameter: Tensor<'g>, value: Tensor<'g>) {
        let known = self.changed.iter_mut();
        match known
            .into_iter()
            .find(|(old, _)| old.id() == parameter.id())
        {
            Some((_, new)) => *new = value,
            None => self.changed.push((parameter, value)),
        }
    }
}

/// Mean and biased variance of each channel, `[channels]`, of `[batch, channels, places..]`.
#[track_caller]
fn channel_moments(x: Tensor<'_>) -> (Tensor<'_>, Tensor<'_>) {
    let axes: Vec<isize> = (0..x.rank() as isize).filter(|&axis| axis != 1).collect();
    let mean = x.mean(&axes[..]);
    let centred = x - per_channel(mean, x);
    (mean, centred.square().mean(&axes[..]))
}

/// `[channels]` repeated to the shape of `x`.
#[track_caller]
fn per_channel<'g>(values: Tensor<'g>, x: Tensor<'g>) -> Tensor<'g> {
    values.broadcast_in_dim(x.shape(), &[1])
}

/// The number of channels of `[batch, channels, places..]`.
#[track_caller]
fn channels_of(x: Tensor<'_>) -> usize {
    let shape = x.shape();
    assert!(
        shape.rank() >= 2,
        "needs [batch, channels, places..], not {}",
        x.ty()
    );
    shape[1]
}
