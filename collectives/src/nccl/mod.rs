//! Ranks with a GPU each, whose buffers go from GPU to GPU through NCCL.
//!
//! Other ranks, of MPI or TCP, bring them together: they pass NCCL's identifier on, and whatever is small.
//! A buffer of the host passes in pieces by way of two slots of the GPU's memory. Three streams upload,
//! exchange and download, ordered by events, so a piece is on its way while others are copied.

mod calls;

use super::{CollectiveError, Communicator, Ranks};
use calls::{Comm, Device, Event, Memory, Stream};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Elements of a piece, of all ranks together.
const PIECE: usize = 4 << 20;

/// A rank with a GPU.
pub struct Nccl {
    /// How ranks reach each other without it.
    others: Ranks,
    lanes: Mutex<Lanes>,
}

/// Streams in the order in which a piece passes them, and where pieces lie.
struct Lanes {
    upload: Stream,
    network: Stream,
    download: Stream,
    slots: [Slot; 2],
    // Behind what is made on the device.
    comm: Comm,
}

/// Where a piece lies, and how far it is.
struct Slot {
    given: Memory,
    received: Memory,
    uploaded: Event,
    exchanged: Event,
    downloaded: Event,
}

/// What the network does with a piece.
#[derive(Clone, Copy)]
enum Operation {
    Exchange,
    Gather,
    Sum,
}

impl Nccl {
    /// Joins `others` with GPU `ordinal` of this process.
    ///
    /// # Errors
    /// If there is no NCCL, no such GPU, or NCCL cannot connect all.
    pub fn join(others: Ranks, ordinal: u32) -> Result<Nccl, CollectiveError> {
        // Whoever has none says so before the others wait for it in NCCL.
        let device = calls::check().and_then(|()| Device::open(ordinal));
        let device = of_all(&others, device)?;
        let id = match others.is_first() {
            true => calls::unique_id(),
            false => Ok(Vec::new()),
        };
        let id = others.bytes_of_first(of_all(&others, id)?)?;
        let lanes = Lanes::new(&device, &id, others.rank(), others.size());
        Ok(Nccl {
            lanes: Mutex::new(of_all(&others, lanes)?),
            others,
        })
    }

    fn pass(
        &self,
        operation: Operation,
        given: &[f32],
        received: &mut [f32],
    ) -> Result<(), CollectiveError> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = lanes.pass(operation, given, received, self.size());
        passed.map_err(CollectiveError::Failed)
    }
}

/// What a rank has made, if all ranks have.
fn of_all<T>(others: &Ranks, own: Result<T, String>) -> Result<T, CollectiveError> {
    let words = others.gather_words(u64::from(own.is_err()))?;
    let failed = words.iter().position(|&word| word != 0);
    match (own, failed) {
        (Ok(made), None) => Ok(made),
        (Err(reason), _) => Err(CollectiveError::NotStarted(reason)),
        (Ok(_), Some(rank)) => Err(CollectiveError::NotStarted(format!(
            "rank {rank} cannot use NCCL"
        ))),
    }
}

impl Lanes {
    fn new(device: &Arc<Device>, id: &[u8], rank: usize, size: usize) -> Result<Lanes, String> {
        let slot = || {
            Ok::<_, String>(Slot {
                given: Memory::new(device, PIECE)?,
                received: Memory::new(device, PIECE)?,
                uploaded: Event::new(device)?,
                exchanged: Event::new(device)?,
                downloaded: Event::new(device)?,
            })
        };
        Ok(Lanes {
            upload: Stream::new(device)?,
            network: Stream::new(device)?,
            download: Stream::new(device)?,
            slots: [slot()?, slot()?],
            comm: Comm::join(device, id, rank, size)?,
        })
    }

    /// Has `given` exchanged, a piece after another. `given` and `received` are as many parts as an
    /// operation has: of a piece each part has the same range.
    fn pass(
        &mut self,
        operation: Operation,
        given: &[f32],
        received: &mut [f32],
        size: usize,
    ) -> Result<(), String> {
        let (parts_given, parts_received) = match operation {
            Operation::Exchange => (size, size),
            Operation::Gather => (1, size),
            Operation::Sum => (1, 1),
        };
        let length = given.len() / parts_given;
        let longest = PIECE / parts_given.max(parts_received);
        let mut copied = Ok(());
        for (number, start) in (0..length).step_by(longest.max(1)).enumerate() {
            let count = longest.min(length - start);
            let given = (0..parts_given).map(|part| &given[part * length + start..][..count]);
            let slot = &self.slots[number % 2];
            copied = self.piece(slot, operation, given, count);
            if copied.is_ok() {
                for part in 0..parts_received {
                    let place = &mut received[part * length + start..][..count];
                    copied = copied.and(slot.received.read(&self.download, part * count, place));
                }
                copied = copied.and(slot.downloaded.record(&self.download));
            }
            if copied.is_err() {
                break;
            }
        }
        // Also after an error: nothing may be copied to or from what the caller has again.
        let done = self.comm.wait_for(&self.download);
        copied.and(done)
    }

    /// Uploads a piece and has it exchanged.
    fn piece<'a>(
        &self,
        slot: &Slot,
        operation: Operation,
        given: impl Iterator<Item = &'a [f32]>,
        count: usize,
    ) -> Result<(), String> {
        // What the slot held before has left it.
        self.upload.wait(&slot.exchanged)?;
        for (part, values) in given.enumerate() {
            slot.given.write(&self.upload, part * count, values)?;
        }
        slot.uploaded.record(&self.upload)?;
        self.network.wait(&slot.uploaded)?;
        self.network.wait(&slot.downloaded)?;
        let (given, received) = (&slot.given, &slot.received);
        match operation {
            Operation::Exchange => self
                .comm
                .all_to_all(given, received, count, &self.network)?,
            Operation::Gather => self
                .comm
                .all_gather(given, received, count, &self.network)?,
            Operation::Sum => self
                .comm
                .all_reduce(given, received, count, &self.network)?,
        }
        slot.exchanged.record(&self.network)?;
        self.download.wait(&slot.exchanged)
    }
}

impl Communicator for Nccl {
    fn rank(&self) -> usize {
        self.others.rank()
    }

    fn size(&self) -> usize {
        self.others.size()
    }

    fn local_size(&self) -> usize {
        self.others.local_size()
    }

    fn all_to_all(&self, send: &[f32], receive: &mut [f32]) -> Result<(), CollectiveError> {
        self.pass(Operation::Exchange, send, receive)
    }

    fn all_gather(&self, own: &[f32], all: &mut [f32]) -> Result<(), CollectiveError> {
        self.pass(Operation::Gather, own, all)
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<(), CollectiveError> {
        self.others.all_gather_bytes(own, all)
    }

    fn broadcast(&self, bytes: &mut [u8]) -> Result<(), CollectiveError> {
        self.others.broadcast(bytes)
    }

    fn all_reduce(&self, values: &mut [f32]) -> Result<(), CollectiveError> {
        let own = values.to_vec();
        self.pass(Operation::Sum, &own, values)
    }

    fn ended(&self) -> Option<usize> {
        self.others.ended()
    }

    fn abort(&self, code: i32) {
        self.others.abort(code);
    }
}

impl fmt::Debug for Nccl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, with NCCL", &*self.others)
    }
}
