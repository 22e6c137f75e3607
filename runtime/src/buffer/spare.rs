//! Large buffers that were given back, kept for copies of the same size.
//!
//! To map memory and to clear it takes as long as to fill it twice: a tenth of the time of a convolution whose
//! result is handed out. What is kept is little, and the oldest goes first.

use super::AlignedBuffer;
use memmap2::MmapMut;
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::Mutex;

/// Bytes that are kept at most.
const MOST: usize = 64 << 20;

/// Kept buffers, the oldest first.
static SPARE: Mutex<VecDeque<Spare>> = Mutex::new(VecDeque::new());

/// A buffer that nobody has. Its bytes are what its last owner wrote.
struct Spare {
    start: NonNull<u8>,
    len: usize,
    mapping: MmapMut,
}

// SAFETY: it owns its memory, and nobody else has its address.
unsafe impl Send for Spare {}

/// A buffer of this size, if one is kept; its bytes are anything.
pub(super) fn take(len: usize) -> Option<AlignedBuffer> {
    let mut spare = SPARE.lock().ok()?;
    // The newest is the likeliest to be in a cache.
    let at = spare.iter().rposition(|spare| spare.len == len)?;
    let Spare { start, mapping, .. } = spare.remove(at)?;
    Some(AlignedBuffer {
        start,
        len,
        mapping: Some(mapping),
    })
}

/// Keeps a buffer, or gives it back to the system.
pub(super) fn give(start: NonNull<u8>, len: usize, mapping: MmapMut) {
    let Ok(mut spare) = SPARE.lock() else { return };
    if len > MOST {
        return;
    }
    let spared = Spare {
        start,
        len,
        mapping,
    };
    spare.push_back(spared);
    let kept = |spare: &VecDeque<Spare>| spare.iter().map(|spare| spare.len).sum::<usize>();
    while kept(&spare) > MOST {
        spare.pop_front();
    }
}
