//! The memory plan: temporaries that are not alive together share one arena.

use crate::program::{BufferId, BufferKind, Program};
use std::collections::BTreeMap;

/// Alignment of every temporary: a cache line, and the widest vector.
const ALIGNMENT: usize = 64;

/// Gives every temporary its place in the arena: first fit in the order of first use.
pub fn plan(mut program: Program) -> Program {
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
    let mut arena = Arena::default();
    // Ends of temporaries by the last launch that needs them.
    let mut until: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (time, id) in by_time {
        let buffer = &mut program.buffers[id.0 as usize];
        let bytes = buffer.ty.bytes().next_multiple_of(ALIGNMENT).max(ALIGNMENT);
        let BufferKind::Temporary { offset } = &mut buffer.kind else {
            continue;
        };
        while let Some(over) = until.first_entry().filter(|entry| *entry.key() < time) {
            over.remove()
                .into_iter()
                .for_each(|(start, end)| arena.free(start, end));
        }
        *offset = arena.place(bytes);
        let place = (*offset, *offset + bytes);
        until.entry(last[&id]).or_default().push(place);
    }
    program.arena_bytes = arena.bytes;
    program
}

/// Memory that grows where no gap is large enough.
#[derive(Default)]
struct Arena {
    bytes: usize,
    /// Where gaps start, and where they end. None touch.
    gaps: BTreeMap<usize, usize>,
}

impl Arena {
    /// The lowest place for so many bytes.
    fn place(&mut self, bytes: usize) -> usize {
        let fits = |gap: &(&usize, &usize)| gap.1 - gap.0 >= bytes;
        if let Some((&start, &end)) = self.gaps.iter().find(fits) {
            self.gaps.remove(&start);
            if end > start + bytes {
                self.gaps.insert(start + bytes, end);
            }
            return start;
        }
        // What is free at the end need only be made longer.
        let last = self
            .gaps
            .last_key_value()
            .map(|(&start, &end)| (start, end));
        let start = match last {
            Some((start, end)) if end == self.bytes => {
                self.gaps.remove(&start);
                start
            }
            _ => self.bytes,
        };
        self.bytes = start + bytes;
        start
    }

    fn free(&mut self, mut start: usize, mut end: usize) {
        if let Some((&before, &touches)) = self.gaps.range(..start).next_back()
            && touches == start
        {
            self.gaps.remove(&before);
            start = before;
        }
        if let Some(after) = self.gaps.remove(&end) {
            end = after;
        }
        self.gaps.insert(start, end);
    }
}
