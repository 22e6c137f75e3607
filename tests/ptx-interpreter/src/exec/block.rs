//! One block: its warps, the order in which they run, and its barriers.

use super::copies::Copies;
use super::random::Random;
use super::step::Flow;
use super::warp::{State, Warp};
use super::{Result, trap};
use crate::device::Options;
use crate::error::FaultKind;
use crate::memory::{Clocks, GlobalMemory, MAX_CLOCK, SharedMemory, Stamp};
use crate::module::Kernel;
use crate::stats::Counters;

/// Instructions that a warp runs before another may have its turn.
const LONGEST_TURN: u64 = 200;

/// What the warps of a block share.
pub struct Block<'a> {
    pub options: &'a Options,
    pub params: &'a [u8],
    pub memory: &'a mut GlobalMemory,
    pub shared: SharedMemory,
    pub clocks: Clocks,
    pub copies: Copies,
    pub counters: Counters,
    pub random: Random,
    pub launch: u64,
    pub grid: [u32; 3],
    pub threads: [u32; 3],
    /// Coordinates and number of this block.
    pub block: [u32; 3],
    pub number: u64,
    barriers: [Option<Barrier>; 16],
}

struct Barrier {
    /// Threads it waits for; `None` is all.
    wanted: Option<u32>,
    arrived: u32,
    /// Warps that have arrived, and those of them that wait.
    warps: u32,
    waiting: u32,
    joined: Vec<u32>,
}

/// A fault and the warp it happened in.
pub type Failure = (usize, Box<super::Trap>);

impl<'a> Block<'a> {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, and each is a field"
    )]
    pub fn new(
        kernel: &'a Kernel,
        options: &'a Options,
        params: &'a [u8],
        memory: &'a mut GlobalMemory,
        shared: SharedMemory,
        launch: u64,
        grid: [u32; 3],
        threads: [u32; 3],
    ) -> Block<'a> {
        let count = threads.iter().product::<u32>() as usize;
        Block {
            options,
            params,
            memory,
            shared,
            clocks: Clocks::new(count.div_ceil(32)),
            copies: Copies::new(count.next_multiple_of(32)),
            counters: Counters::new(kernel.code.len()),
            random: Random::new(options.seed),
            launch,
            grid,
            threads,
            block: [0; 3],
            number: 0,
            barriers: Default::default(),
        }
    }

    /// Runs the block with these coordinates to its end.
    pub fn run(&mut self, warps: &mut [Warp<'a>], number: u64) -> std::result::Result<(), Failure> {
        self.number = number;
        let [x, y, _] = self.grid.map(u64::from);
        self.block = [number % x, number / x % y, number / (x * y)].map(|i| i as u32);
        self.shared.reset();
        self.clocks.reset();
        self.copies.reset();
        self.barriers = Default::default();
        let count: u32 = self.threads.iter().product();
        for (index, warp) in warps.iter_mut().enumerate() {
            let left = count - 32 * index as u32;
            warp.start(if left >= 32 {
                u32::MAX
            } else {
                (1 << left) - 1
            });
        }
        let mut ready: Vec<usize> = (0..warps.len()).collect();
        while !ready.is_empty() {
            let turn = self.random.below(ready.len() as u64) as usize;
            let index = ready[turn];
            let length = 1 + self.random.below(LONGEST_TURN);
            self.turn(&mut warps[index], length)
                .map_err(|trap| (index, trap))?;
            if warps[index].state != State::Ready {
                ready.swap_remove(turn);
            }
            if self.barriers.iter().any(Option::is_some) {
                self.release(warps, &mut ready);
            }
        }
        let stuck = warps.iter().find(|warp| warp.state != State::Done);
        stuck.map_or(Ok(()), |warp| Err((warp.index, self.deadlock(warp))))
    }

    fn turn(&mut self, warp: &mut Warp<'a>, length: u64) -> Result<()> {
        for _ in 0..length {
            warp.executed += 1;
            if warp.executed > self.options.budget {
                let budget = self.options.budget;
                return trap(warp.active.trailing_zeros(), FaultKind::Budget { budget });
            }
            if self.clocks.now(warp.index) >= MAX_CLOCK {
                let limit = MAX_CLOCK;
                return trap(warp.active.trailing_zeros(), FaultKind::Barriers { limit });
            }
            match self.step(warp)? {
                Flow::Next => {}
                Flow::Stop => return Ok(()),
            }
        }
        Ok(())
    }

    /// An event of lane 0 of a warp, now.
    pub fn stamp(&self, warp: usize) -> Stamp {
        Stamp::new(self.launch, self.number, self.clocks.now(warp), warp)
    }

    /// A warp arrives at a barrier. All its live lanes do.
    pub fn arrive(
        &mut self,
        warp: &mut Warp<'a>,
        id: u64,
        count: Option<u64>,
        waits: bool,
    ) -> Result<()> {
        let lane = warp.active.trailing_zeros();
        if id > 15 {
            return trap(
                lane,
                FaultKind::BadOperand {
                    what: "barrier",
                    value: id,
                },
            );
        }
        if let Some(value) = count.filter(|count| count % 32 != 0 || *count == 0) {
            return trap(
                lane,
                FaultKind::BadOperand {
                    what: "thread count",
                    value,
                },
            );
        }
        let wanted = count.map(|count| count as u32);
        let joined = self.clocks.joined();
        let barrier = self.barriers[id as usize].get_or_insert(Barrier {
            wanted,
            arrived: 0,
            warps: 0,
            waiting: 0,
            joined,
        });
        if barrier.wanted != wanted {
            let all: u32 = self.threads.iter().product();
            let (this, that) = (wanted.unwrap_or(all), barrier.wanted.unwrap_or(all));
            let barrier = id as u32;
            return trap(
                lane,
                FaultKind::BarrierCount {
                    barrier,
                    this,
                    that,
                },
            );
        }
        self.clocks.arrive(warp.index, &mut barrier.joined);
        barrier.arrived += 32;
        barrier.warps |= 1 << warp.index;
        if waits {
            barrier.waiting |= 1 << warp.index;
            warp.state = State::Waiting(id as u32);
        }
        Ok(())
    }

    /// Lets warps go whose barrier is complete.
    fn release(&mut self, warps: &mut [Warp<'a>], ready: &mut Vec<usize>) {
        for slot in &mut self.barriers {
            let complete = slot.as_ref().is_some_and(|barrier| match barrier.wanted {
                Some(wanted) => barrier.arrived >= wanted,
                None => warps
                    .iter()
                    .all(|warp| warp.state == State::Done || barrier.warps >> warp.index & 1 == 1),
            });
            if !complete {
                continue;
            }
            let Some(barrier) = slot.take() else { continue };
            for warp in warps
                .iter_mut()
                .filter(|warp| barrier.waiting >> warp.index & 1 == 1)
            {
                self.clocks.leave(warp.index, &barrier.joined);
                warp.state = State::Ready;
                ready.push(warp.index);
            }
        }
    }

    fn deadlock(&self, warp: &Warp<'_>) -> Box<super::Trap> {
        let id = match warp.state {
            State::Waiting(id) => id,
            _ => 0,
        };
        let all: u32 = self.threads.iter().product();
        let (arrived, wanted) = self.barriers[id as usize]
            .as_ref()
            .map_or((0, all), |barrier| {
                (barrier.arrived.min(all), barrier.wanted.unwrap_or(all))
            });
        let kind = FaultKind::Deadlock {
            barrier: id,
            arrived,
            wanted,
        };
        Box::new(super::Trap {
            lane: warp.live.trailing_zeros(),
            kind,
        })
    }
}
