//! Who did something, and when: launch, block, clock of the warp, warp and lane in 64 bits.

use crate::error::Other;

const LANE: u32 = 0;
const WARP: u32 = 5;
const SEVERAL: u64 = 1 << 10;
const PENDING: u64 = 1 << 11;
const CLOCK: u32 = 12;
const BLOCK: u32 = 29;
const LAUNCH: u32 = 51;

/// Launches that have different stamps; 0 is no launch.
pub const MAX_LAUNCHES: u64 = 1 << (64 - LAUNCH);
/// Blocks of a launch that have different stamps.
pub const MAX_BLOCKS: u64 = 1 << (LAUNCH - BLOCK);
/// Barriers of a warp that have different stamps.
pub const MAX_CLOCK: u32 = 1 << (BLOCK - CLOCK);

/// An event; the default is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp(u64);

impl Stamp {
    /// An event of lane 0 of a warp.
    pub fn new(launch: u64, block: u64, clock: u32, warp: usize) -> Stamp {
        debug_assert!(launch < MAX_LAUNCHES && block < MAX_BLOCKS && clock < MAX_CLOCK);
        Stamp(launch << LAUNCH | block << BLOCK | u64::from(clock) << CLOCK | (warp as u64) << WARP)
    }

    /// The same event of another lane; `self` is of lane 0.
    pub fn lane(self, lane: u32) -> Stamp {
        Stamp(self.0 | u64::from(lane) << LANE)
    }

    /// The same event as of another lane, whichever it is of.
    pub fn of_lane(self, lane: u32) -> Stamp {
        Stamp(self.0 & !31 | u64::from(lane) << LANE)
    }

    /// Several lanes of the warp took part.
    pub fn several(self) -> Stamp {
        Stamp(self.0 | SEVERAL)
    }

    /// A copy that has not been waited for.
    pub fn pending(self) -> Stamp {
        Stamp(self.0 | PENDING)
    }

    pub fn is_several(self) -> bool {
        self.0 & SEVERAL != 0
    }

    pub fn is_pending(self) -> bool {
        self.0 & PENDING != 0
    }

    pub fn same_launch(self, other: Stamp) -> bool {
        (self.0 ^ other.0) >> LAUNCH == 0
    }

    pub fn same_block(self, other: Stamp) -> bool {
        (self.0 ^ other.0) >> BLOCK == 0
    }

    pub fn clock(self) -> u32 {
        (self.0 >> CLOCK) as u32 & (MAX_CLOCK - 1)
    }

    pub fn warp(self) -> usize {
        (self.0 >> WARP) as usize & 31
    }

    pub fn lane_index(self) -> usize {
        self.0 as usize & 31
    }

    /// Thread number in the block.
    pub fn thread(self) -> u32 {
        self.0 as u32 & 0x3ff
    }

    pub fn other(self) -> Other {
        let block = (self.0 >> BLOCK) & (MAX_BLOCKS - 1);
        Other {
            block: block as u32,
            thread: self.thread(),
            several: self.is_several(),
        }
    }
}
