//! The memory plan: temporaries that are not alive together share one arena.

use crate::program::{BufferId, BufferKind, Program};
use std::collections::BTreeMap;

/// Alignment of every temporary: a cache line, and the widest vector.
const ALIGNMENT: usize = 64;

/// Gives every temporary its place in the arena: first fit in the order of first use.
pub fn plan(program: &mut Program) {
    let mut first: BTreeMap<BufferId, usize> = BTreeMap::new();
    let mut last: BTreeMap<BufferId, usize> = BTreeMap::new();
    for (time, launch) in program.launches.iter().enumerate() {
        for &argument in &launch.arguments {
            first.entry(argument).or_insert(time);
            last.insert(argument, time);
        }
    }
    // What leaves the program lives to its end.
    let end = program.launches.len();
    let leaving = program.outputs.iter().map(|output| output.1);
    for id in leaving.chain(program.copies.iter().map(|copy| copy.0)) {
        last.insert(id, end);
        first.entry(id).or_insert(end);
    }
    let mut by_time: Vec<(usize, BufferId)> = first.iter().map(|(&id, &time)| (time, id)).collect();
    by_time.sort_unstable();
    let mut alive: Vec<Placed> = Vec::new();
    let mut arena = 0;
    for (time, id) in by_time {
        let buffer = &mut program.buffers[id.0 as usize];
        let bytes = buffer.ty.bytes().next_multiple_of(ALIGNMENT).max(ALIGNMENT);
        let BufferKind::Temporary { offset } = &mut buffer.kind else {
            continue;
        };
        alive.retain(|placed| placed.until >= time);
        let start = first_fit(&alive, bytes);
        *offset = start;
        arena = arena.max(start + bytes);
        let at = alive.partition_point(|placed| placed.start < start);
        alive.insert(
            at,
            Placed {
                start,
                end: start + bytes,
                until: last[&id],
            },
        );
    }
    program.arena_bytes = arena;
}

/// A temporary that is alive until a launch.
struct Placed {
    start: usize,
    end: usize,
    until: usize,
}

fn first_fit(alive: &[Placed], bytes: usize) -> usize {
    let mut start = 0;
    for placed in alive {
        if placed.start >= start + bytes {
            break;
        }
        start = start.max(placed.end);
    }
    start
}
