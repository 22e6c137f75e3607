//! Ranks that are threads of one process: for tests, which need no MPI.

use super::{CollectiveError, Communicator};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::panicking;

/// As many ranks as asked for, each to be used on a thread. A rank that is dropped has ended: the others
/// learn of it where they would wait for it.
pub fn threads(size: usize) -> Vec<Threads> {
    let meeting = Arc::new(Meeting {
        state: Mutex::new(State {
            given: vec![Vec::new(); size],
            ..State::default()
        }),
        changed: Condvar::new(),
    });
    let rank = |rank| Threads {
        rank,
        size,
        meeting: meeting.clone(),
    };
    (0..size).map(rank).collect()
}

/// A rank that is a thread.
#[derive(Debug)]
pub struct Threads {
    rank: usize,
    size: usize,
    meeting: Arc<Meeting>,
}

/// Where ranks meet.
#[derive(Debug)]
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What each rank has given.
    given: Vec<Vec<u8>>,
    /// Ranks that have come to where all wait.
    arrived: usize,
    /// How many times all have met.
    met: u64,
    /// A rank that will not come.
    ended: Option<usize>,
}

impl Threads {
    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.meeting.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all have come.
    fn meet(&self) -> Result<(), CollectiveError> {
        let mut state = self.state();
        state.arrived += 1;
        if state.arrived == self.size {
            state.arrived = 0;
            state.met += 1;
            self.meeting.changed.notify_all();
            return Ok(());
        }
        let meeting = state.met;
        while state.met == meeting {
            if let Some(rank) = state.ended {
                return Err(CollectiveError::Ended { rank });
            }
            let woken = self.meeting.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Gives bytes, and reads what all have given.
    fn exchange<T>(
        &self,
        own: Vec<u8>,
        read: impl FnOnce(&[Vec<u8>]) -> T,
    ) -> Result<T, CollectiveError> {
        self.state().given[self.rank] = own;
        self.meet()?;
        let found = read(&self.state().given);
        // Nobody gives the next before all have read this.
        self.meet()?;
        Ok(found)
    }
}

fn values(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values.iter().map(|&value| f32::from_ne_bytes(value))
}

fn fill(place: &mut [f32], with: impl Iterator<Item = f32>) {
    place
        .iter_mut()
        .zip(with)
        .for_each(|(place, value)| *place = value);
}

impl Communicator for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_to_all(&self, send: &[f32], receive: &mut [f32]) -> Result<(), CollectiveError> {
        let share = send.len() / self.size;
        self.exchange(bytemuck::cast_slice(send).to_vec(), |given| {
            let own = share * self.rank * 4..share * (self.rank + 1) * 4;
            let parts = given.iter().flat_map(|part| values(&part[own.clone()]));
            fill(receive, parts);
        })
    }

    fn all_gather(&self, own: &[f32], all: &mut [f32]) -> Result<(), CollectiveError> {
        let gathered = |given: &[Vec<u8>]| fill(all, given.iter().flat_map(|part| values(part)));
        self.exchange(bytemuck::cast_slice(own).to_vec(), gathered)
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<(), CollectiveError> {
        let gathered = |given: &[Vec<u8>]| all.copy_from_slice(&given.concat());
        self.exchange(own.to_vec(), gathered)
    }

    fn broadcast(&self, bytes: &mut [u8]) -> Result<(), CollectiveError> {
        let own = match self.rank {
            0 => bytes.to_vec(),
            _ => Vec::new(),
        };
        self.exchange(own, |given| bytes.copy_from_slice(&given[0]))
    }

    fn ended(&self) -> Option<usize> {
        self.state().ended
    }

    fn abort(&self, _code: i32) {
        self.state().ended.get_or_insert(self.rank);
        self.meeting.changed.notify_all();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Whoever still waits for this rank waits in vain, be it done or in panic.
        if self.size > 1 || panicking() {
            self.abort(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn ranks_get_what_they_are_given() {
        let check = |rank: Threads| thread::spawn(move || crate::conformance::check(&rank));
        for size in [1, 3, 4] {
            let running: Vec<_> = threads(size).into_iter().map(check).collect();
            running.into_iter().for_each(|rank| rank.join().unwrap());
        }
    }

    #[test]
    fn a_rank_that_has_ended_is_named_to_those_who_wait() {
        let mut ranks = threads(3);
        let (third, second) = (ranks.pop().unwrap(), ranks.pop().unwrap());
        let waiting = thread::spawn(move || ranks[0].gather_words(1));
        let other = thread::spawn(move || third.gather_words(1));
        drop(second);
        for waiting in [waiting, other] {
            assert_eq!(
                waiting.join().unwrap(),
                Err(CollectiveError::Ended { rank: 1 })
            );
        }
    }
}
