//! Proves that a program reads what it means to read: follows values through memory, launch by
//! launch.
//!
//! The scheduler decides what runs when, the memory plan which temporaries share bytes, and updates
//! may take their parameter's place. This module knows none of their reasons. It asks:
//!
//! - whatever a launch reads is what the buffer holds then, and nothing that shares the bytes has
//!   been written since;
//! - a launch that reads and writes one buffer reads each element before it writes it;
//! - a launch that writes a part of a buffer finds the rest in it;
//! - every output, and every updated parameter after the copies, holds its value at the end;
//! - what runs only when parameters change reads nothing that changes from run to run, and nothing
//!   else writes its results.

#[cfg(test)]
mod tests;

use super::{BufferId, BufferKind, Launch, Program, ValueId};
use crate::kernel::{Place, reads_first};
use std::collections::{BTreeMap, BTreeSet};

/// A launch, or what follows the last one, that would read something else than it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {what}")]
pub struct HazardError {
    at: String,
    what: String,
}

/// Checks all that is listed in this module's description.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(program: &Program) -> Result<(), HazardError> {
    let mut memory = Memory::new(program);
    for (number, launch) in program.launches.iter().enumerate() {
        memory.launch(launch).map_err(|what| HazardError {
            at: format!("launch {number}, {}", launch.label),
            what,
        })?;
    }
    memory.end().map_err(|what| HazardError {
        at: "after the last launch".to_string(),
        what,
    })
}

impl Program {
    /// Verifies the program in debug builds.
    ///
    /// # Panics
    /// If it would read something else than it should: lowering is wrong.
    pub fn check(&self) {
        if cfg!(debug_assertions)
            && let Err(error) = verify(self)
        {
            panic!("after lowering: {error}");
        }
    }
}

/// What each buffer holds at a moment.
struct Memory<'p> {
    program: &'p Program,
    values: BTreeMap<BufferId, ValueId>,
    /// Temporaries that hold something: the arena's bytes from the key to the first number.
    arena: BTreeMap<usize, (usize, BufferId)>,
    /// Buffers that do not hold the same at the start of every run.
    changing: BTreeSet<BufferId>,
}

impl<'p> Memory<'p> {
    fn new(program: &'p Program) -> Self {
        let numbered = (0..).map(BufferId).zip(&program.buffers);
        let initial = numbered.clone();
        let values = initial.filter_map(|(id, buffer)| Some((id, buffer.initial?)));
        let updated: BTreeSet<BufferId> = program.updates.iter().map(|update| update.0).collect();
        let changing = numbered.filter(|(id, buffer)| match buffer.kind {
            BufferKind::Input(_) | BufferKind::Temporary { .. } => true,
            BufferKind::Parameter(_) => updated.contains(id),
            BufferKind::Constant(_) | BufferKind::Invariant => false,
        });
        let changing = changing.map(|(id, _)| id).collect();
        Memory {
            values: values.collect(),
            program,
            arena: BTreeMap::new(),
            changing,
        }
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), String> {
        let kernel = &self.program.kernels[launch.kernel];
        let arguments = || (launch.arguments.iter().copied()).zip(launch.values.iter().copied());
        let written = |position: usize| kernel.buffers[position].written;
        for (position, (buffer, value)) in arguments().enumerate() {
            if launch.invariant && self.changing.contains(&buffer) {
                return Err(format!("it is invariant, but {} is not", self.name(buffer)));
            }
            if !written(position) {
                self.expect(buffer, value)?;
            }
        }
        for (position, (buffer, value)) in arguments().enumerate() {
            if !written(position) {
                continue;
            }
            match launch.rest {
                // The value may have been begun by an earlier launch.
                Some(rest) if self.values.get(&buffer) != Some(&value) => {
                    self.expect(buffer, rest)?;
                }
                _ => {}
            }
            for (other, (read, _)) in arguments().enumerate() {
                let place = |position: usize| Place::Buffer(position as u32);
                if other == position || !self.overlap(buffer, read) {
                    continue;
                }
                let same = buffer == read && !written(other);
                if !same || !reads_first(kernel, place(other), place(position)) {
                    let names = [self.name(read), self.name(buffer)];
                    return Err(format!(
                        "{} is used while {} is written",
                        names[0], names[1]
                    ));
                }
            }
            self.write(buffer, value, launch.invariant)?;
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), String> {
        for &(from, to) in &self.program.copies {
            if self.program.buffer(to).ty.bytes() == 0 {
                continue;
            }
            let value = self.values.get(&from).copied();
            let value = value.ok_or_else(|| format!("{} holds nothing", self.name(from)))?;
            self.write(to, value, false)?;
        }
        let mut updates = self.program.updates.iter();
        updates.try_for_each(|&(buffer, value)| self.expect(buffer, value))?;
        // Copies follow the launches, and outputs are read last of all.
        let mut outputs = self.program.outputs.iter().zip(&self.program.results);
        outputs.try_for_each(|((_, buffer), &value)| self.expect(*buffer, value))
    }

    fn expect(&self, buffer: BufferId, value: ValueId) -> Result<(), String> {
        if self.program.buffer(buffer).ty.shape.elements() == 0 {
            return Ok(());
        }
        let name = self.name(buffer);
        match self.values.get(&buffer) {
            Some(&held) if held == value => Ok(()),
            Some(held) => Err(format!("{name} holds {held:?} and not {value:?}")),
            None => Err(format!("{name} holds nothing any more, and not {value:?}")),
        }
    }

    fn write(&mut self, buffer: BufferId, value: ValueId, invariant: bool) -> Result<(), String> {
        match self.program.buffer(buffer).kind {
            BufferKind::Input(_) | BufferKind::Constant(_) => {
                return Err(format!("{} is written", self.name(buffer)));
            }
            BufferKind::Invariant if !invariant => {
                return Err(format!("{} is written in every run", self.name(buffer)));
            }
            BufferKind::Parameter(_) if !self.changing.contains(&buffer) => {
                return Err(format!(
                    "{} is written without an update",
                    self.name(buffer)
                ));
            }
            _ => {}
        }
        if let Some((start, end)) = self.bytes(buffer) {
            let before = self.arena.range(..end).rev();
            let over = before.take_while(|(_, (until, _))| *until > start);
            let over: Vec<(usize, BufferId)> = over.map(|(&at, &(_, id))| (at, id)).collect();
            for (at, other) in over {
                self.arena.remove(&at);
                self.values.remove(&other);
            }
            self.arena.insert(start, (end, buffer));
        }
        self.values.insert(buffer, value);
        Ok(())
    }

    /// A temporary's bytes in the arena.
    fn bytes(&self, buffer: BufferId) -> Option<(usize, usize)> {
        let buffer = self.program.buffer(buffer);
        match buffer.kind {
            BufferKind::Temporary { offset } => Some((offset, offset + buffer.ty.bytes().max(1))),
            _ => None,
        }
    }

    fn overlap(&self, one: BufferId, other: BufferId) -> bool {
        match (self.bytes(one), self.bytes(other)) {
            (Some(one), Some(other)) => one.0 < other.1 && other.0 < one.1,
            _ => one == other,
        }
    }

    fn name(&self, buffer: BufferId) -> String {
        match &self.program.buffer(buffer).kind {
            BufferKind::Input(name) => format!("input {name}"),
            BufferKind::Parameter(name) => format!("parameter {name}"),
            _ => format!("buffer {}", buffer.0),
        }
    }
}
