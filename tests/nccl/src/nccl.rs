//! NCCL's functions that the collectives call, as `nccl.h` declares them.

// What each call expects is NCCL's documentation; callers keep to it as they would there.
#![allow(clippy::missing_safety_doc)]
#![allow(non_snake_case)]

use crate::driver::Address;
use crate::network::Network;
use crate::stream::{Stream, Use};
use crate::{count, is_trouble};
use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const SUCCESS: c_int = 0;
const INVALID_ARGUMENT: c_int = 4;
const INVALID_USAGE: c_int = 5;
const REMOTE_ERROR: c_int = 6;
const FLOAT32: c_int = 7;
const SUM: c_int = 0;

pub struct Comm {
    network: Arc<Network>,
    rank: usize,
    size: usize,
}

/// A part of a group.
struct Part {
    sends: bool,
    address: Address,
    count: usize,
    peer: usize,
}

/// Parts, and where they run.
type Group = (Vec<Part>, Option<(usize, usize)>);

thread_local! {
    /// The group that is open on a thread.
    static GROUP: RefCell<Option<Group>> = const { RefCell::new(None) };
}

#[repr(C)]
pub struct UniqueId([u8; 128]);

/// Adds a part to the open group.
fn part(part: Part, data: c_int, comm: *mut Comm, stream: *mut Stream) -> c_int {
    GROUP.with_borrow_mut(|group| {
        let Some((parts, place)) = group else {
            return INVALID_USAGE;
        };
        let own = (comm as usize, stream as usize);
        if data != FLOAT32 || *place.get_or_insert(own) != own {
            return INVALID_ARGUMENT;
        }
        parts.push(part);
        SUCCESS
    })
}

/// Runs parts on a stream: all are sent before any is waited for.
///
/// # Safety
/// As NCCL's: what parts name must stay until the stream has come to them.
unsafe fn run(parts: Vec<Part>, comm: *mut Comm, stream: *mut Stream) -> c_int {
    // SAFETY: the caller's promise, here and below.
    let (comm, stream) = unsafe { (&*comm, &*stream) };
    if !stream.is_for(Use::Network) {
        return INVALID_USAGE;
    }
    let (network, rank) = (comm.network.clone(), comm.rank);
    stream.push(move || {
        for part in parts
            .iter()
            .filter(|part| part.sends && !is_trouble("lost"))
        {
            network.send(rank, part.peer, unsafe { part.address.read(part.count) });
        }
        for part in parts.iter().filter(|part| !part.sends) {
            if let Some(values) = network.receive(part.peer, rank) {
                assert_eq!(values.len(), part.count, "parts of one exchange");
                unsafe { part.address.write(&values) };
            }
        }
    });
    SUCCESS
}

macro_rules! nccl {
    ($($name:ident($($argument:ident: $ty:ty),*) $body:block)*) => {
        $(
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $ty),*) -> c_int $body
        )*
    };
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclGetErrorString(error: c_int) -> *const c_char {
    let text = match error {
        INVALID_ARGUMENT => c"invalid argument",
        INVALID_USAGE => c"invalid usage",
        REMOTE_ERROR => c"remote process exited or there was a network error",
        _ => c"unknown result code",
    };
    text.as_ptr()
}

nccl! {
    ncclGetVersion(version: *mut c_int) {
        // SAFETY: whoever calls keeps to NCCL's documentation.
        unsafe {
            version.write(if is_trouble("old") { 2_604 } else { 22_304 });
            SUCCESS
        }
    }
    ncclGetUniqueId(id: *mut UniqueId) {
        // SAFETY: whoever calls keeps to NCCL's documentation.
        unsafe {
            static NEXT: AtomicU8 = AtomicU8::new(1);
            // The rest shows whether all of it is passed on.
            id.write(UniqueId([NEXT.fetch_add(1, Ordering::SeqCst); 128]));
            SUCCESS
        }
    }
    ncclCommInitRank(comm: *mut *mut Comm, size: c_int, id: UniqueId, rank: c_int) {
        // SAFETY: whoever calls keeps to NCCL's documentation.
        unsafe {
            let UniqueId(id) = id;
            if id.iter().any(|byte| *byte != id[0] || *byte == 0) {
                return INVALID_ARGUMENT;
            }
            let (rank, size) = (rank as usize, size as usize);
            let Some(network) = Network::join(id[0], rank, size) else {
                return INVALID_ARGUMENT;
            };
            count(1);
            comm.write(Box::into_raw(Box::new(Comm { network, rank, size })));
            SUCCESS
        }
    }
    ncclCommDestroy(comm: *mut Comm) {
        // SAFETY: whoever calls keeps to NCCL's documentation.
        unsafe {
            drop(Box::from_raw(comm));
            count(-1);
            SUCCESS
        }
    }
    ncclCommAbort(comm: *mut Comm) {
        // SAFETY: whoever calls keeps to NCCL's documentation.
        unsafe {
            (*comm).network.abort();
            drop(Box::from_raw(comm));
            count(-1);
            SUCCESS
        }
    }
    ncclCommGetAsyncError(comm: *mut Comm, error: *mut c_int) {
        // SAFETY: whoever calls keeps to NCCL's documentation.
        unsafe {
            let _ = comm;
            error.write(if is_trouble("lost") { REMOTE_ERROR } else { SUCCESS });
            SUCCESS
        }
    }
    ncclGroupStart() {
        GROUP.with_borrow_mut(|group| match group {
            Some(_) => INVALID_USAGE,
            None => {
                *group = Some((Vec::new(), None));
                SUCCESS
            }
        })
    }
    ncclGroupEnd() {
        // SAFETY: whoever calls keeps to NCCL's documentation.
        unsafe {
            match GROUP.take() {
                Some((parts, Some((comm, stream)))) => run(parts, comm as *mut Comm, stream as *mut Stream),
                _ => INVALID_USAGE,
            }
        }
    }
    ncclSend(from: usize, count: usize, data: c_int, peer: c_int, comm: *mut Comm, stream: *mut Stream) {
        let (address, peer) = (Address(from), peer as usize);
        part(Part { sends: true, address, count, peer }, data, comm, stream)
    }
    ncclRecv(to: usize, count: usize, data: c_int, peer: c_int, comm: *mut Comm, stream: *mut Stream) {
        let (address, peer) = (Address(to), peer as usize);
        part(Part { sends: false, address, count, peer }, data, comm, stream)
    }
    ncclAllGather(from: usize, to: usize, count: usize, data: c_int, comm: *mut Comm, stream: *mut Stream) {
        // SAFETY: whoever calls keeps to NCCL's documentation.
        unsafe {
            if data != FLOAT32 {
                return INVALID_ARGUMENT;
            }
            let each = |peer: usize| [
                Part { sends: true, address: Address(from), count, peer },
                Part { sends: false, address: Address(to + 4 * peer * count), count, peer },
            ];
            run((0..(*comm).size).flat_map(each).collect(), comm, stream)
        }
    }
    ncclAllReduce(from: usize, to: usize, count: usize, data: c_int, op: c_int, comm: *mut Comm, stream: *mut Stream) {
        // SAFETY: whoever calls keeps to NCCL's documentation.
        unsafe {
            if data != FLOAT32 || op != SUM || !(*stream).is_for(Use::Network) {
                return INVALID_ARGUMENT;
            }
            let (network, rank, size) = ((*comm).network.clone(), (*comm).rank, (*comm).size);
            let (from, to) = (Address(from), Address(to));
            (*stream).push(move || {
                let own = from.read(count);
                (0..size).for_each(|peer| network.send(rank, peer, own.clone()));
                let mut sum = vec![0.0; count];
                for values in (0..size).filter_map(|peer| network.receive(peer, rank)) {
                    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                }
                to.write(&sum);
            });
            SUCCESS
        }
    }
}
