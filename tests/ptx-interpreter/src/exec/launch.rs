//! A launch: checks, constants, and the blocks one after another.

use super::block::Block;
use super::random::Random;
use super::warp::Warp;
use crate::device::{Launch, Options};
use crate::error::{Error, Fault, LaunchError};
use crate::lanes::Lanes;
use crate::memory::{GlobalMemory, MAX_BLOCKS, SharedMemory};
use crate::module::{Constant, Kernel};
use crate::parse::GUARD;
use crate::stats::Stats;

/// Threads that a block may have.
const MAX_THREADS: u64 = 1024;
/// Static shared memory of a kernel, and all of a block's, on sm_86.
const MAX_STATIC: usize = 48 << 10;
const MAX_SHARED: usize = 99 << 10;

/// What is launched, and how.
pub struct Setup<'a> {
    pub kernel: &'a Kernel,
    pub lines: &'a [String],
    pub options: &'a Options,
    pub launch: Launch,
    pub params: &'a [u8],
    pub number: u64,
}

/// Runs all blocks.
pub fn run(setup: Setup<'_>, memory: &mut GlobalMemory) -> Result<Stats, Error> {
    let Setup {
        kernel,
        options,
        launch,
        ..
    } = setup;
    check(kernel, &launch)?;
    let starts = shared_starts(kernel, &launch);
    let constants: Vec<Lanes> = kernel
        .constants
        .iter()
        .map(|constant| match *constant {
            Constant::Value(value) => [value; 32],
            Constant::Shared(index) => [starts[index].0; 32],
        })
        .collect();
    let threads = launch.block.iter().product::<u32>() as usize;
    let mut warps: Vec<Warp<'_>> = (0..threads.div_ceil(32))
        .map(|index| Warp::new(index, kernel, &constants))
        .collect();
    let mut block = Block::new(
        kernel,
        options,
        setup.params,
        memory,
        SharedMemory::new(starts),
        setup.number,
        launch.grid,
        launch.block,
    );
    let count: u64 = launch
        .grid
        .iter()
        .map(|extent| u64::from(*extent))
        .product();
    let mut order: Vec<u64> = (0..count).collect();
    Random::new(options.seed ^ 1).shuffle(&mut order);
    for number in order {
        if let Err((index, trap)) = block.run(&mut warps, number) {
            let warp = &warps[index];
            let line = kernel.code.get(warp.pc as usize).or(kernel.code.last());
            let line = line.map_or(0, |inst| inst.line);
            let thread = 32 * index as u32 + trap.lane.min(31);
            let [x, y, _] = launch.block;
            return Err(Error::Fault(Box::new(Fault {
                kernel: kernel.name.clone(),
                line,
                text: setup
                    .lines
                    .get(line as usize - 1)
                    .cloned()
                    .unwrap_or_default(),
                block: block.block,
                thread: [thread % x, thread / x % y, thread / (x * y)],
                kind: trap.kind,
            })));
        }
    }
    Ok(block.counters.stats(kernel))
}

/// First byte and end of each shared array.
fn shared_starts(kernel: &Kernel, launch: &Launch) -> Vec<(u64, u64)> {
    let fixed = kernel.shared.iter().filter(|array| !array.dynamic);
    let end = fixed.map(|array| array.start + array.bytes + GUARD).max();
    let dynamic = kernel.shared.iter().filter(|array| array.dynamic);
    let align = dynamic.map(|array| array.align).max().unwrap_or(1);
    // As on a GPU the dynamic array follows the static ones, and its banks are what they are there.
    let period = align.max(GUARD);
    let phase = (kernel.static_shared as u64).next_multiple_of(align) % period;
    let start = end.map_or(0, |end| {
        end.saturating_sub(phase).next_multiple_of(period) + phase
    });
    let place = |array: &crate::module::SharedArray| {
        if array.dynamic {
            (start, start + launch.dynamic_shared as u64)
        } else {
            (array.start, array.start + array.bytes)
        }
    };
    kernel.shared.iter().map(place).collect()
}

fn check(kernel: &Kernel, launch: &Launch) -> Result<(), LaunchError> {
    let wrong = |dimension: &'static str, given: [u32; 3], reason: String| {
        Err(LaunchError::Dimension {
            kernel: kernel.name.clone(),
            dimension,
            given,
            reason,
        })
    };
    let Launch {
        grid,
        block,
        dynamic_shared,
    } = *launch;
    let product = |list: [u32; 3]| {
        list.iter()
            .map(|extent| u64::from(*extent))
            .product::<u64>()
    };
    if product(grid) == 0 || product(grid) > MAX_BLOCKS {
        return wrong("grid", grid, format!("it has {} blocks", product(grid)));
    }
    if grid[1] > 65_535 || grid[2] > 65_535 {
        return wrong("grid", grid, "y and z are at most 65535".to_string());
    }
    if product(block) == 0 || product(block) > MAX_THREADS || block[2] > 64 {
        return wrong("block", block, format!("it has {} threads", product(block)));
    }
    if let Some(most) = kernel
        .max_threads
        .filter(|most| product(block) > product(*most))
    {
        return wrong("block", block, format!(".maxntid is {most:?}"));
    }
    if let Some(required) = kernel
        .required_threads
        .filter(|required| *required != block)
    {
        return wrong("block", block, format!(".reqntid is {required:?}"));
    }
    let bytes = kernel.static_shared + dynamic_shared;
    let limit = if dynamic_shared == 0 {
        MAX_STATIC
    } else {
        MAX_SHARED
    };
    if kernel.static_shared > MAX_STATIC || bytes > limit {
        let kernel = kernel.name.clone();
        return Err(LaunchError::SharedMemory {
            kernel,
            bytes,
            limit,
        });
    }
    Ok(())
}
