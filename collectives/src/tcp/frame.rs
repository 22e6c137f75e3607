//! What passes over a link: a number of bytes, then as many bytes; or that a rank has ended.

use crate::CollectiveError;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Set where a number is not that of bytes but of a rank that has ended.
const ENDED: u64 = 1 << 63;

/// A link on which nothing comes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The other end has gone.
    This,
    /// The other end says that a rank has.
    Rank(usize),
    /// The other end is at another operation.
    OutOfStep { wanted: u64, came: u64 },
}

impl Lost {
    /// What it means of the link to a rank.
    pub fn of(self, rank: usize) -> CollectiveError {
        match self {
            Lost::This => CollectiveError::Ended { rank },
            Lost::Rank(rank) => CollectiveError::Ended { rank },
            Lost::OutOfStep { wanted, came } => CollectiveError::OutOfStep { rank, wanted, came },
        }
    }
}

impl From<io::Error> for Lost {
    fn from(_: io::Error) -> Lost {
        Lost::This
    }
}

pub(super) fn send(mut link: &TcpStream, bytes: &[u8]) -> Result<(), Lost> {
    link.write_all(&(bytes.len() as u64).to_le_bytes())?;
    Ok(link.write_all(bytes)?)
}

pub(super) fn receive(mut link: &TcpStream, bytes: &mut [u8]) -> Result<(), Lost> {
    let mut number = [0; 8];
    link.read_exact(&mut number)?;
    let (number, wanted) = (u64::from_le_bytes(number), bytes.len() as u64);
    if number & ENDED != 0 {
        return Err(Lost::Rank((number ^ ENDED) as usize));
    }
    if number != wanted {
        return Err(Lost::OutOfStep {
            wanted,
            came: number,
        });
    }
    Ok(link.read_exact(bytes)?)
}

/// Says that a rank has ended. Whoever does not hear it finds the link closed.
pub(super) fn say_ended(mut link: &TcpStream, rank: usize) {
    // A rank that is stuck must not keep this one.
    let _ = link.set_write_timeout(Some(Duration::from_secs(1)));
    let _ = link.write_all(&(ENDED | rank as u64).to_le_bytes());
}
