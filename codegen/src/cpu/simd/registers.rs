//! Which name is in which vector register, line by line.
//!
//! Code is straight, so the register that is needed last is the one to give up (Belady). An
//! invariant that gives up its register is loaded again; other names are stored once.

use super::code::{Code, Name};
use std::collections::HashMap;

/// Where a name is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Location {
    pub register: Option<u8>,
    /// A slot of the stack frame that holds it too.
    pub slot: Option<usize>,
}

/// A name that must be stored because its register is needed.
pub(super) struct Spill {
    pub register: u8,
    pub slot: usize,
}

pub(super) struct Registers {
    locations: Vec<Location>,
    owners: Vec<Option<Name>>,
    /// Names that keep their register.
    pinned: Vec<bool>,
    /// Invariants need not be stored.
    invariant: Vec<bool>,
    /// Lines that read a name, the next one last.
    uses: Vec<Vec<usize>>,
    /// Registers that the line being written needs.
    locked: Vec<u8>,
    pub slots: usize,
    /// Registers that were ever used.
    pub touched: usize,
}

impl Registers {
    /// `pinned` names have the first registers, in this order.
    pub fn new(code: &Code, count: u8, pinned: &[Name]) -> Self {
        let names = code.names as usize;
        let mut registers = Registers {
            locations: vec![Location::default(); names],
            owners: vec![None; usize::from(count)],
            pinned: vec![false; names],
            invariant: vec![false; names],
            uses: vec![Vec::new(); names],
            locked: Vec::new(),
            slots: 0,
            touched: pinned.len(),
        };
        for (position, line) in code.lines.iter().enumerate().rev() {
            for name in line.inst.operands() {
                registers.uses[name.0 as usize].push(position);
            }
        }
        for (name, _) in &code.invariants {
            registers.invariant[name.0 as usize] = true;
        }
        for (register, name) in pinned.iter().enumerate() {
            registers.pinned[name.0 as usize] = true;
            registers.locations[name.0 as usize].register = Some(register as u8);
            registers.owners[register] = Some(*name);
        }
        registers
    }

    pub fn location(&self, name: Name) -> Location {
        self.locations[name.0 as usize]
    }

    pub fn is_pinned(&self, name: Name) -> bool {
        self.pinned[name.0 as usize]
    }

    /// Keeps a register until the line ends.
    pub fn lock(&mut self, register: u8) {
        self.locked.push(register);
    }

    /// True if no line after `position` reads the name, and its register may be written to.
    pub fn dies(&self, name: Name, position: usize) -> bool {
        let next = self.uses[name.0 as usize].iter().rev();
        !self.is_pinned(name) && !next.copied().any(|line| line > position)
    }

    /// Gives up the registers of names that no line after `position` reads.
    pub fn release(&mut self, names: impl Iterator<Item = Name>, position: usize) {
        for name in names {
            if self.dies(name, position)
                && let Some(register) = self.locations[name.0 as usize].register.take()
            {
                self.owners[usize::from(register)] = None;
            }
        }
    }

    /// Ends a line.
    pub fn advance(&mut self, position: usize) {
        self.locked.clear();
        for uses in &mut self.uses {
            while uses.last().is_some_and(|&line| line <= position) {
                uses.pop();
            }
        }
    }

    /// A register for a name, and what must be stored before it is written to.
    pub fn take(&mut self, name: Name) -> (u8, Option<Spill>) {
        let mut spill = None;
        let register = match self.owners.iter().position(Option::is_none) {
            Some(free) => free as u8,
            None => {
                let register = self.least_needed();
                let owner = self.owners[usize::from(register)].expect("owned");
                let place = &mut self.locations[owner.0 as usize];
                place.register = None;
                if place.slot.is_none() && !self.invariant[owner.0 as usize] {
                    place.slot = Some(self.slots);
                    spill = Some(Spill {
                        register,
                        slot: self.slots,
                    });
                    self.slots += 1;
                }
                register
            }
        };
        self.give(name, register);
        self.touched = self.touched.max(usize::from(register) + 1);
        (register, spill)
    }

    /// Gives a register that is free to a name.
    pub fn give(&mut self, name: Name, register: u8) {
        self.owners[usize::from(register)] = Some(name);
        self.locations[name.0 as usize].register = Some(register);
        self.locked.push(register);
    }

    /// The register whose name is read last.
    fn least_needed(&self) -> u8 {
        let candidates = self
            .owners
            .iter()
            .enumerate()
            .filter_map(|(register, owner)| {
                let register = register as u8;
                let owner = (*owner)?;
                let kept = self.is_pinned(owner) || self.locked.contains(&register);
                let next = self.uses[owner.0 as usize].last().copied();
                (!kept).then_some((next.unwrap_or(usize::MAX), register))
            });
        candidates.max().expect("a line needs few registers").1
    }
}

/// The names to keep in registers through all iterations: what is carried, and as many of the
/// invariants that are read most as `spare` registers hold.
pub(super) fn pinned(code: &Code, spare: usize) -> Vec<Name> {
    let mut reads: HashMap<Name, usize> = HashMap::new();
    for line in &code.lines {
        for name in line.inst.operands() {
            *reads.entry(name).or_default() += 1;
        }
    }
    let reads = |name: &Name| reads.get(name).copied().unwrap_or(0);
    let mut invariants: Vec<Name> = code
        .invariants
        .iter()
        .map(|invariant| invariant.0)
        .collect();
    invariants.sort_by_key(|name| (std::cmp::Reverse(reads(name)), *name));
    let carried = code.carried.iter().map(|carried| carried.name);
    carried.chain(invariants.into_iter().take(spare)).collect()
}
