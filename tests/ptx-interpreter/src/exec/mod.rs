//! Running a launch.

mod access;
mod approx;
mod block;
mod copies;
mod exchange;
mod launch;
mod matrix;
mod random;
mod step;
mod warp;

pub use launch::{Setup, run};

use super::error::FaultKind;

/// A fault of one lane, before the block and the instruction are named.
#[derive(Debug)]
struct Trap {
    lane: u32,
    kind: FaultKind,
}

type Result<T> = std::result::Result<T, Box<Trap>>;

fn trap<T>(lane: u32, kind: FaultKind) -> Result<T> {
    Err(Box::new(Trap { lane, kind }))
}

/// Names the lane of a memory fault.
trait AtLane<T> {
    fn at(self, lane: u32) -> Result<T>;
}

impl<T> AtLane<T> for std::result::Result<T, FaultKind> {
    fn at(self, lane: u32) -> Result<T> {
        self.map_err(|kind| Box::new(Trap { lane, kind }))
    }
}

/// The lanes of a mask, ascending.
fn lanes_of(mut mask: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (lane < 32).then_some(lane)
    })
}
