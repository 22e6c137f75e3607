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
}

impl Deref for Ranks {
    type Target = dyn Communicator;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
