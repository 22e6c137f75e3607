//! A handle of a communicator.

use super::{CollectiveError, Communicator, Single};
use std::ops::Deref;
use std::sync::Arc;

/// The ranks that train together, as one of them sees them.
#[derive(Clone, Debug)]
pub struct Ranks(Arc<dyn Communicator>);

/// A rank alone.
impl Default for Ranks {
    fn default() -> Ranks {
        Ranks::new(Single)
    }
}

impl Ranks {
    pub fn new(communicator: impl Communicator + 'static) -> Ranks {
        Ranks(Arc::new(communicator))
    }

    /// Whether this is rank 0, which logs, shows and saves.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Whether there are others.
    pub fn are_several(&self) -> bool {
        self.size() > 1
    }

    /// A number of rank 0, everywhere.
    ///
    /// # Errors
    /// If another rank has ended.
    pub fn word_of_first(&self, word: u64) -> Result<u64, CollectiveError> {
        Ok(self.gather_words(word)?[0])
    }

    /// Bytes of rank 0, everywhere: of any length, which only rank 0 needs to know.
    ///
    /// # Errors
    /// If another rank has ended.
    pub fn bytes_of_first(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>, CollectiveError> {
        let length = self.word_of_first(bytes.len() as u64)? as usize;
        bytes.resize(length, 0);
        self.broadcast(&mut bytes)?;
        Ok(bytes)
    }

    /// Bytes of every rank, in the order of ranks, of any lengths: as many pass as if all were as long as
    /// the longest.
    ///
    /// # Errors
    /// If another rank has ended.
    pub fn gather_bytes(&self, mut own: Vec<u8>) -> Result<Vec<Vec<u8>>, CollectiveError> {
        let lengths = self.gather_words(own.len() as u64)?;
        let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
        own.resize(longest, 0);
        let mut all = vec![0; longest * lengths.len()];
        self.all_gather_bytes(&own, &mut all)?;
        let part =
            |(rank, length): (usize, &u64)| all[rank * longest..][..*length as usize].to_vec();
        Ok(lengths.iter().enumerate().map(part).collect())
    }
}

impl Deref for Ranks {
    type Target = dyn Communicator;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads;

    #[test]
    fn bytes_of_any_length_are_gathered() {
        let gather = |rank| {
            let ranks = Ranks::new(rank);
            let own = vec![ranks.rank() as u8; 2 * ranks.rank()];
            std::thread::spawn(move || ranks.gather_bytes(own).unwrap())
        };
        let running: Vec<_> = threads(3).into_iter().map(gather).collect();
        for rank in running {
            assert_eq!(rank.join().unwrap(), [vec![], vec![1; 2], vec![2; 4]]);
        }
    }
}
