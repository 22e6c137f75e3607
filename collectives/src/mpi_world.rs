//! Ranks that are processes of an MPI.

use super::{CollectiveError, Communicator};
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::{Communicator as _, SimpleCommunicator};
use mpi::traits::{CommunicatorCollectives as _, Root as _};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// All processes that were started together. MPI ends when it is dropped.
pub struct Mpi {
    rank: usize,
    size: usize,
    /// Ranks of this machine.
    local: usize,
    /// MPI is called by one thread at a time.
    universe: Mutex<Universe>,
}

impl Mpi {
    /// Starts MPI, once in a process.
    ///
    /// # Errors
    /// If it runs already, or cannot be called from several threads one after another.
    pub fn start() -> Result<Mpi, CollectiveError> {
        let failed = |why: &str| CollectiveError::NotStarted(why.to_string());
        let started = mpi::initialize_with_threading(Threading::Serialized);
        let (universe, threading) = started.ok_or_else(|| failed("MPI runs already"))?;
        if threading < Threading::Serialized {
            return Err(failed("MPI was built without support of threads"));
        }
        let world = universe.world();
        let local = world.split_shared(world.rank());
        Ok(Mpi {
            rank: world.rank() as usize,
            size: world.size() as usize,
            local: local.size() as usize,
            universe: Mutex::new(universe),
        })
    }

    /// Open MPI refuses buffers of nothing, of which all have the same address.
    fn unless_empty<T>(
        &self,
        received: &mut [T],
        call: impl FnOnce(&SimpleCommunicator, &mut [T]),
    ) {
        if !received.is_empty() {
            self.in_turn(|world| call(world, received));
        }
    }

    fn in_turn<T>(&self, call: impl FnOnce(&SimpleCommunicator) -> T) -> T {
        let universe = self.universe.lock().unwrap_or_else(PoisonError::into_inner);
        call(&universe.world())
    }
}

/// MPI ends the program where a call fails: its calls return only when they have done what they say.
impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn local_size(&self) -> usize {
        self.local
    }

    fn all_to_all(&self, send: &[f32], receive: &mut [f32]) -> Result<(), CollectiveError> {
        self.unless_empty(receive, |world, receive| {
            world.all_to_all_into(send, receive)
        });
        Ok(())
    }

    fn all_gather(&self, own: &[f32], all: &mut [f32]) -> Result<(), CollectiveError> {
        self.unless_empty(all, |world, all| world.all_gather_into(own, all));
        Ok(())
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<(), CollectiveError> {
        self.unless_empty(all, |world, all| world.all_gather_into(own, all));
        Ok(())
    }

    fn broadcast(&self, bytes: &mut [u8]) -> Result<(), CollectiveError> {
        // MPI counts in 32 bits.
        for part in bytes.chunks_mut(1 << 30) {
            self.in_turn(|world| world.process_at_rank(0).broadcast_into(part));
        }
        Ok(())
    }

    fn all_reduce(&self, values: &mut [f32]) -> Result<(), CollectiveError> {
        let own = values.to_vec();
        self.unless_empty(values, |world, values| {
            world.all_reduce_into(&own[..], values, SystemOperation::sum());
        });
        Ok(())
    }

    fn abort(&self, code: i32) {
        // Not in turn: another thread may wait in MPI for ever.
        SimpleCommunicator::world().abort(code);
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {} of MPI", self.rank, self.size)
    }
}
