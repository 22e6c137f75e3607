//! What ends a collective operation.

/// Why ranks can do nothing together any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectiveError {
    /// Another rank will not come.
    #[error("rank {rank} has ended")]
    Ended { rank: usize },
    /// MPI could not be started.
    #[error("MPI cannot be started: {0}")]
    NotStarted(String),
}
