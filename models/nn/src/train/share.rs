//! Which micro-batches of a step are a rank's own, and where they come from.

use super::TrainError;
use crate::BoxError;
use crate::data::{Batches, DataFingerprint};
use bsq_collectives::Ranks;
use std::ops::Range;
use std::sync::Arc;

/// A rank's share of the micro-batches of a step.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// Of all ranks.
    pub micro_batches: usize,
    own: Range<usize>,
}

impl Share {
    /// Equal shares of consecutive micro-batches.
    ///
    /// # Errors
    /// If ranks cannot have shares that are subtrees of the sum over all.
    pub fn of(micro_batches: usize, ranks: &Ranks) -> Result<Share, TrainError> {
        let size = ranks.size();
        let count = micro_batches / size;
        let is_whole = micro_batches.is_multiple_of(size);
        if !is_whole || size > 1 && !count.is_power_of_two() || count == 0 {
            return Err(TrainError::Shares {
                micro_batches,
                ranks: size,
            });
        }
        Ok(Share {
            micro_batches,
            own: ranks.rank() * count..(ranks.rank() + 1) * count,
        })
    }

    /// Whether a step is one program and not two.
    pub fn is_whole_step(&self) -> bool {
        self.micro_batches == 1
    }

    /// Indices of the batches of a step, of the training's.
    fn batches(&self, step: u64) -> Range<u64> {
        let first = step * self.micro_batches as u64;
        first + self.own.start as u64..first + self.own.end as u64
    }
}

/// The batches of a share, all of a step together, with their indices.
pub(super) struct ShareOf<B> {
    pub share: Share,
    pub batches: Arc<B>,
}

impl<B: Batches> Batches for ShareOf<B> {
    type Batch = Vec<(u64, B::Batch)>;

    fn batch(&self, step: u64) -> Result<Self::Batch, BoxError> {
        let indices = self.share.batches(step);
        let batch = |index| Ok((index, self.batches.batch(index)?));
        indices.map(batch).collect()
    }

    fn fingerprint(&self) -> DataFingerprint {
        self.batches.fingerprint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq_collectives::threads;

    #[test]
    fn ranks_share_the_batches_of_a_step_in_order() {
        for size in [1, 2, 4] {
            let all = threads(size).into_iter().flat_map(|rank| {
                let share = Share::of(8, &Ranks::new(rank)).unwrap();
                share.batches(3)
            });
            assert_eq!(all.collect::<Vec<u64>>(), (24..32).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn shares_that_are_no_subtrees_are_refused() {
        let of = |micro_batches, size| {
            let rank = threads(size).pop().unwrap();
            Share::of(micro_batches, &Ranks::new(rank)).map(|share| share.batches(0).count())
        };
        assert_eq!(of(6, 3).unwrap(), 2);
        assert_eq!(of(6, 1).unwrap(), 6);
        for (micro_batches, size) in [(6, 2), (2, 4), (5, 2), (0, 1)] {
            let error = of(micro_batches, size).unwrap_err();
            assert!(matches!(error, TrainError::Shares { .. }), "{error}");
        }
    }
}
