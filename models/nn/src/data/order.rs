//! The order of samples, another one in each epoch.

use super::draw::{Draw, SHUFFLE};
use std::sync::{Arc, Mutex, PoisonError};

/// The shuffled orders of the epochs of so many samples: functions of the seed and the epoch.
///
/// The samples of all epochs are one sequence: place `k` is place `k mod count` of the order of epoch
/// `k / count`.
#[derive(Debug)]
pub struct EpochOrders {
    count: usize,
    seed: u64,
    /// Those of the last two epochs that were asked for.
    known: Mutex<Vec<(u64, Arc<Vec<u32>>)>>,
}

impl EpochOrders {
    /// # Panics
    /// If there are no samples, or 2^32 and more.
    pub fn new(count: usize, seed: u64) -> EpochOrders {
        assert!(count > 0, "an order of no samples");
        EpochOrders {
            count,
            seed,
            known: Mutex::default(),
        }
    }

    /// Samples of an epoch.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Which sample has a place in the sequence of all epochs.
    pub fn sample(&self, place: u64) -> usize {
        let count = self.count as u64;
        self.epoch(place / count)[(place % count) as usize] as usize
    }

    /// The samples in the order of an epoch.
    pub fn epoch(&self, epoch: u64) -> Arc<Vec<u32>> {
        // A panic elsewhere cannot leave an order half written: it is pushed when complete.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = known.iter().find(|(of, _)| *of == epoch) {
            return order.clone();
        }
        let order = Arc::new(Draw::new(self.seed, SHUFFLE, epoch).permutation(self.count));
        known.push((epoch, order.clone()));
        if known.len() > 2 {
            known.remove(0);
        }
        order
    }
}
