//! Threads that run statements together.

use super::code::Reg;

/// Threads that share a work item, or an iteration of one of its loops. Scalar statements are
/// computed by all of them; vector loops are spread over their lanes.
#[derive(Clone, Copy, Debug)]
pub struct ThreadGroup {
    pub width: u32,
    /// The thread's place in its group; `None` in a thread group of one.
    pub lane: Option<Reg>,
    /// True for the thread that stores what all have computed.
    pub leader: Option<Reg>,
    pub sync: Sync,
}

/// How the threads of a thread group wait for one another.
#[derive(Clone, Copy, Debug)]
pub enum Sync {
    /// They are the whole block.
    Block,
    /// They are the lanes of a warp in this mask, and one of [`TILE`](super::plan::TILE).
    Warp(Reg),
    /// They are the [`TILE`](super::plan::TILE) lanes of this column, of [`COLUMNS`](super::plan::COLUMNS) that a block has; neighbouring
    /// threads belong to neighbouring columns. All columns wait together.
    Columns(Reg),
    /// They need not: each touches only what is its own.
    Never,
}

impl ThreadGroup {
    /// A thread by itself.
    pub const ALONE: ThreadGroup = ThreadGroup {
        width: 1,
        lane: None,
        leader: None,
        sync: Sync::Never,
    };

    pub fn is_block(&self) -> bool {
        matches!(self.sync, Sync::Block)
    }
}
