//! What ends a collective operation.

/// Why ranks can do nothing together any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectiveError {
    /// Another rank will not come.
    #[error("rank {rank} has ended")]
    Ended { rank: usize },
    /// Another rank does something else.
    #[error("rank {rank} sends {came} bytes where {wanted} belong: it is at another step")]
    OutOfStep { rank: usize, wanted: u64, came: u64 },
    /// An engine's call failed.
    #[error("{0}")]
    Failed(String),
    /// The ranks have not come together.
    #[error("the ranks cannot be joined: {0}")]
    NotStarted(String),
}
