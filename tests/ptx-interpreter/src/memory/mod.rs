//! Memory, and what is known about each byte of it.
//!
//! Every byte knows whether it has been written. Global and shared memory also keep a shadow:
//! who wrote and who read last ([`shadow`]), in a time that advances at barriers ([`clocks`]).

mod bits;
mod clocks;
mod global;
mod shadow;
mod shared;
mod stamp;

pub use clocks::Clocks;
pub use global::GlobalMemory;
pub use shadow::{Conflict, Use};
pub use shared::SharedMemory;
pub use stamp::{MAX_BLOCKS, MAX_CLOCK, MAX_LAUNCHES, Stamp};

use super::error::FaultKind;
use super::types::Space;

/// Reads up to 8 bytes as a little-endian number.
pub fn number(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(whole)
}

/// The fault that a conflict at an address is.
fn fault(space: Space, address: u64, this: Use, conflict: Conflict) -> FaultKind {
    let address = address + conflict.offset as u64;
    let that = conflict.other;
    if that.is_pending() {
        return FaultKind::PendingCopy {
            space,
            address,
            owner: that.thread(),
        };
    }
    if this == Use::ReadOnly {
        return FaultKind::ReadOnlyLoad {
            address,
            other: that.other(),
        };
    }
    let (this, that_is) = (this.name(), conflict.that.name());
    FaultKind::Race {
        space,
        address,
        this,
        that: that_is,
        other: that.other(),
    }
}
