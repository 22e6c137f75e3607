//! What attention stages in shared memory, and how much of it at a time.

use crate::kernel::{Attend, AttendBackward, Format, PANEL};

pub const THREADS: u32 = 128;
/// Queries of a block of threads.
pub const QUERIES: usize = WARP_ROWS * THREADS as usize / 32;
/// Rows of words of V that are staged at a time.
pub const ROWS: usize = 32;
pub const WARP_ROWS: usize = 16;
/// Words between staged rows, such that the rows of a fragment fall into different banks, where
/// they follow one another and where every second one is taken.
pub const NEXT_PITCH: usize = 24;
pub const SECOND_PITCH: usize = 20;

/// Of the backward pass, bytes of a staged row of a panel, and of the rows of all columns of a block.
pub const ROW: i64 = 4 * SECOND_PITCH as i64;
pub const STAGED_PANEL: i64 = ROW * ROWS as i64;
/// Bytes of one number for each column of a block.
pub const NUMBERS: i64 = 4 * ROWS as i64;

/// Bytes of staged keys, and of both buffers of keys and values.
pub fn stage_bytes(attend: &Attend) -> usize {
    let panels = attend.value_depth.div_ceil(PANEL);
    2 * (k_bytes(attend) + panels * ROWS * Values::of(attend).pitch * 4)
}

pub fn k_bytes(attend: &Attend) -> usize {
    keys(attend) / PANEL * attend.depth / attend.format.terms() * NEXT_PITCH * 4
}

/// Keys of a block.
pub fn keys(attend: &Attend) -> usize {
    ROWS * attend.format.terms()
}

/// How rows of words of V are staged. Of 16 keys a thread has four neighbours, and so a fragment
/// takes rows that are apart.
pub struct Values {
    pub pitch: usize,
    /// Rows from a lane's first one to the next lane's, and to its own second one.
    pub lane: usize,
    pub second: usize,
    /// Of 16 rows, every fourth one together.
    pub gathered: bool,
}

impl Values {
    pub fn of(attend: &Attend) -> Values {
        match attend.format {
            Format::F32 => Values {
                pitch: NEXT_PITCH,
                lane: 1,
                second: 4,
                gathered: true,
            },
            _ => Values {
                pitch: SECOND_PITCH,
                lane: 2,
                second: 1,
                gathered: false,
            },
        }
    }
}

/// Of the backward pass, bytes of both buffers of staged columns.
pub fn backward_stage_bytes(a: &AttendBackward) -> usize {
    2 * buffer_bytes(a)
}

pub fn buffer_bytes(a: &AttendBackward) -> usize {
    let numbers = if a.by_keys { 3 * NUMBERS } else { 0 };
    (numbers_at(a) + numbers) as usize
}

/// Where the columns' vectors of G or V are staged, and the numbers of queries behind them.
pub fn second_at(a: &AttendBackward) -> i64 {
    (a.depths[0] / PANEL) as i64 * STAGED_PANEL
}

pub fn numbers_at(a: &AttendBackward) -> i64 {
    second_at(a) + (a.depths[1] / PANEL) as i64 * STAGED_PANEL
}
