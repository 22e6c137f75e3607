//! Where batches come from: [`Batches`], a pure function of the step, and ways to be one.

mod draw;
mod fingerprint;
mod loader;
mod order;
mod read_ahead;
mod sources;

pub use draw::{Draw, SAMPLE, SHUFFLE};
pub use fingerprint::DataFingerprint;
pub use loader::{Loader, Samples, TensorSamples};
pub use order::EpochOrders;
pub use read_ahead::ReadAhead;
pub use sources::{ByStep, FromIterator, by_step, from_iterator};

use crate::BoxError;
use bsq_runtime::HostTensor;

/// A batch for a program: tensors by the names of its inputs.
pub type NamedTensors = Vec<(&'static str, HostTensor)>;

/// What batches come from: each is a function of its step alone, so that a resumed training needs
/// no state of the data.
pub trait Batches: Send + Sync + 'static {
    type Batch: Send;

    /// The batch of a step.
    ///
    /// # Errors
    /// If there is none; the training ends, and what was done is saved.
    fn batch(&self, step: u64) -> Result<Self::Batch, BoxError>;

    /// What tells this data from other data: a training is not resumed on other data unasked.
    fn fingerprint(&self) -> DataFingerprint {
        DataFingerprint::default()
    }

    /// What the user should know of the data, a line each, and has not been asked for yet.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// Samples that were found broken.
    fn broken(&self) -> usize {
        0
    }
}
