//! Ranks that are processes joined by TCP: any number of machines, and no MPI.

mod frame;
mod meeting;

use super::{CollectiveError, Communicator};
use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Which process a rank is, and where rank 0 waits for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    pub rank: usize,
    /// How many processes there are.
    pub size: usize,
    /// A host of rank 0's machine that all can resolve, and a free port of it.
    pub host: String,
    pub port: u16,
    /// How long each waits for the others.
    pub patience: Duration,
}

/// A rank with a connection to each other one. A rank that ends, or whose machine can no longer be
/// reached, ends the operations of all others, which learn which one it was.
pub struct Tcp {
    rank: usize,
    /// Ranks of this machine.
    local: usize,
    /// To each rank; none to itself.
    links: Vec<Option<TcpStream>>,
    /// One operation at a time.
    turn: Mutex<()>,
    /// A rank that has ended.
    ended: OnceLock<usize>,
}

impl Tcp {
    /// Joins the others.
    ///
    /// # Errors
    /// If they do not all come in time, or rank 0's port is taken.
    pub fn join(meeting: &Meeting) -> Result<Tcp, CollectiveError> {
        let (links, local) = meeting.join()?;
        Ok(Tcp {
            rank: meeting.rank,
            local,
            links,
            turn: Mutex::default(),
            ended: OnceLock::new(),
        })
    }

    fn link(&self, rank: usize) -> &TcpStream {
        self.links[rank].as_ref().expect("a link to another rank")
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        let links = self.links.iter().enumerate();
        links.filter_map(|(rank, link)| link.as_ref().map(|_| rank))
    }

    /// Sends `given(i)` to each rank `i`, and has what each of them sends put into its part of `received`.
    fn exchange<'b>(
        &self,
        given: impl Fn(usize) -> &'b [u8],
        received: &mut [u8],
    ) -> Result<(), CollectiveError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let size = self.links.len();
        let share = received.len() / size;
        if share == 0 {
            return Ok(());
        }
        received[self.rank * share..][..share].copy_from_slice(given(self.rank));
        for distance in 1..size {
            let to = (self.rank + distance) % size;
            let from = (self.rank + size - distance) % size;
            let part = &mut received[from * share..][..share];
            let (sent, got) = std::thread::scope(|scope| {
                let own = given(to);
                let sending = scope.spawn(move || frame::send(self.link(to), own));
                let got = frame::receive(self.link(from), part);
                (sending.join().expect("sending does not panic"), got)
            });
            self.tell(got.map_err(|lost| lost.of(from)))?;
            self.tell(sent.map_err(|lost| lost.of(to)))?;
        }
        Ok(())
    }

    /// Before this rank gives up it tells the others whose fault it is, or they would think it was its own.
    fn tell(&self, result: Result<(), CollectiveError>) -> Result<(), CollectiveError> {
        if let Err(CollectiveError::Ended { rank }) = &result {
            self.ended.get_or_init(|| *rank);
            self.say_ended(*rank);
        }
        result
    }

    fn say_ended(&self, rank: usize) {
        for other in self.others() {
            frame::say_ended(self.link(other), rank);
        }
    }
}

impl Communicator for Tcp {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.links.len()
    }

    fn local_size(&self) -> usize {
        self.local
    }

    fn all_to_all(&self, send: &[f32], receive: &mut [f32]) -> Result<(), CollectiveError> {
        let share = send.len() / self.size();
        let given = |to: usize| bytemuck::cast_slice(&send[to * share..][..share]);
        self.exchange(given, bytemuck::cast_slice_mut(receive))
    }

    fn all_gather(&self, own: &[f32], all: &mut [f32]) -> Result<(), CollectiveError> {
        self.exchange(|_| bytemuck::cast_slice(own), bytemuck::cast_slice_mut(all))
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<(), CollectiveError> {
        self.exchange(|_| own, all)
    }

    fn broadcast(&self, bytes: &mut [u8]) -> Result<(), CollectiveError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.rank > 0 {
            return self.tell(frame::receive(self.link(0), bytes).map_err(|lost| lost.of(0)));
        }
        let bytes = &*bytes;
        let send = |to| frame::send(self.link(to), bytes).map_err(|lost| lost.of(to));
        let sent: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = self
                .others()
                .map(|to| scope.spawn(move || send(to)))
                .collect();
            let results = running.into_iter();
            results
                .map(|running| running.join().expect("sending does not panic"))
                .collect()
        });
        sent.into_iter().try_for_each(|sent| self.tell(sent))
    }

    fn ended(&self) -> Option<usize> {
        self.ended.get().copied()
    }

    fn abort(&self, _code: i32) {
        // Not in turn: another thread may wait for ever.
        self.say_ended(self.rank);
        for other in self.others() {
            // A link that is gone already is as it should be.
            let _ = self.link(other).shutdown(Shutdown::Both);
        }
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {} over TCP", self.rank, self.links.len())
    }
}

#[cfg(test)]
mod tests;
