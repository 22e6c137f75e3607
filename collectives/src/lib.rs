//! Collective operations between ranks, and sums whose bits do not depend on how many ranks there are.
//!
//! A rank is one of several that train together: a process of MPI, or a thread in tests. Ranks meet in
//! collective operations, which all of them call in the same order.
//!
//! | | |
//! |---|---|
//! | [`Communicator`] | what an engine of collectives offers |
//! | [`Ranks`] | a handle of one; [`Ranks::default`] is a rank alone |
//! | [`threads`] | ranks that are threads of one process |
//! | [`Tcp`] | ranks that are processes, joined by TCP |
//! | `Nccl` | ranks with a GPU each, with the feature `nccl` |
//! | `Mpi` | ranks that are processes of an MPI, with the feature `mpi` |
//! | [`PairwiseSum`], [`mean`] | sums in an order that no number of ranks changes |
//!
//! An engine's own all-reduce adds in an order that depends on the number of ranks and often on the size
//! of the buffer: its bits are those of this run alone ([`Communicator::all_reduce`]). [`mean`] adds in
//! the order of one binary tree over all terms. Each rank gets the terms of one share of the buffer, adds
//! them itself, and the shares are gathered: as many bytes go over the network as in a ring,
//! `2 (ranks - 1) / ranks` times the buffer from each rank.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
#[cfg(feature = "mpi")]
mod mpi_world;
#[cfg(feature = "nccl")]
mod nccl;
mod ranks;
mod single;
mod sum;
mod tcp;
mod threads;

pub use error::CollectiveError;
#[cfg(feature = "mpi")]
pub use mpi_world::Mpi;
#[cfg(feature = "nccl")]
pub use nccl::Nccl;
pub use ranks::Ranks;
pub use single::Single;
pub use sum::{Order, PairwiseSum, mean};
pub use tcp::{Meeting, Tcp};
pub use threads::{Threads, threads};

use std::fmt::Debug;

/// What ranks do together. All of them call the same operations in the same order, with buffers of the
/// same lengths.
pub trait Communicator: Debug + Send + Sync {
    /// Which one this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// How many there are on this machine.
    fn local_size(&self) -> usize {
        self.size()
    }

    /// Share `i` of `send` goes to rank `i`, and share `i` of `receive` comes from it. Shares are equal
    /// parts.
    ///
    /// # Errors
    /// If another rank has ended.
    fn all_to_all(&self, send: &[f32], receive: &mut [f32]) -> Result<(), CollectiveError>;

    /// `own` of every rank, in the order of ranks.
    ///
    /// # Errors
    /// If another rank has ended.
    fn all_gather(&self, own: &[f32], all: &mut [f32]) -> Result<(), CollectiveError>;

    /// The same of bytes.
    ///
    /// # Errors
    /// If another rank has ended.
    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<(), CollectiveError>;

    /// A word of every rank, in the order of ranks. No rank goes on before all have come here.
    ///
    /// # Errors
    /// If another rank has ended.
    fn gather_words(&self, word: u64) -> Result<Vec<u64>, CollectiveError> {
        let mut words = vec![0; self.size()];
        self.all_gather_bytes(
            bytemuck::bytes_of(&word),
            bytemuck::cast_slice_mut(&mut words),
        )?;
        Ok(words)
    }

    /// Replaces `bytes` by those of rank 0.
    ///
    /// # Errors
    /// If another rank has ended.
    fn broadcast(&self, bytes: &mut [u8]) -> Result<(), CollectiveError>;

    /// Replaces `values` by their sum over ranks, in whatever order the engine adds: here in that of ranks.
    ///
    /// # Errors
    /// If another rank has ended.
    fn all_reduce(&self, values: &mut [f32]) -> Result<(), CollectiveError> {
        sum::in_order_of_ranks(self, values)
    }

    /// A rank that is known to have ended.
    fn ended(&self) -> Option<usize> {
        None
    }

    /// Ends the other ranks, wherever they are; a rank that cannot go on calls it. An engine may end this
    /// rank with them.
    fn abort(&self, code: i32);
}
