//! Global memory: allocations with guards between them.

use super::bits::Bits;
use super::clocks::Clocks;
use super::fault;
use super::shadow::{Shadow, Use};
use super::stamp::Stamp;
use crate::error::FaultKind;
use crate::types::Space;

const FIRST: u64 = 0x7f00_0000_0000;
const ALIGN: u64 = 256;
/// Bytes behind an allocation that belong to none: more than a 32-bit offset reaches.
const GUARD: u64 = 1 << 33;

#[derive(Debug)]
struct Allocation {
    base: u64,
    bytes: Vec<u8>,
    written: Bits,
    shadow: Shadow,
}

#[derive(Debug, Default)]
pub struct GlobalMemory {
    /// By ascending address.
    list: Vec<Allocation>,
    next: u64,
    /// Where the last access was: the next is likely there too.
    last: usize,
}

impl GlobalMemory {
    pub fn allocate(&mut self, bytes: usize) -> u64 {
        let base = self.next.max(FIRST);
        self.next = (base + bytes as u64 + GUARD).next_multiple_of(ALIGN);
        self.list.push(Allocation {
            base,
            bytes: vec![0; bytes],
            written: Bits::new(bytes),
            shadow: Shadow::new(bytes, false),
        });
        base
    }

    pub fn free(&mut self, base: u64) -> bool {
        let found = self
            .list
            .iter()
            .position(|allocation| allocation.base == base);
        self.last = 0;
        found.map(|at| self.list.remove(at)).is_some()
    }

    /// Bytes from this address to the end of its allocation.
    pub fn extent(&self, address: u64) -> Option<usize> {
        let at = self
            .list
            .partition_point(|one| one.base <= address)
            .checked_sub(1)?;
        let one = &self.list[at];
        one.bytes.len().checked_sub((address - one.base) as usize)
    }

    /// Which allocation holds a range, and where in it.
    pub fn find(&mut self, address: u64, len: usize) -> Option<(usize, usize)> {
        let inside = |one: &Allocation| {
            let offset = address.wrapping_sub(one.base);
            (offset < one.bytes.len() as u64 && len <= one.bytes.len() - offset as usize)
                .then_some(offset as usize)
        };
        if let Some(offset) = self.list.get(self.last).and_then(inside) {
            return Some((self.last, offset));
        }
        let at = self
            .list
            .partition_point(|one| one.base <= address)
            .checked_sub(1)?;
        let offset = inside(&self.list[at])?;
        self.last = at;
        Some((at, offset))
    }

    fn place(&mut self, address: u64, len: usize) -> Result<(usize, usize), FaultKind> {
        let space = Space::Global;
        self.find(address, len).ok_or(FaultKind::OutOfBounds {
            space,
            address,
            bytes: len as u32,
        })
    }

    /// Writes from the host.
    pub fn set(&mut self, address: u64, bytes: &[u8]) -> Result<(), FaultKind> {
        let (at, offset) = self.place(address, bytes.len())?;
        self.list[at].bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.list[at].written.set(offset, bytes.len(), true);
        Ok(())
    }

    /// Marks bytes as not written.
    pub fn forget(&mut self, address: u64, len: usize) -> Result<(), FaultKind> {
        let (at, offset) = self.place(address, len)?;
        self.list[at].written.set(offset, len, false);
        Ok(())
    }

    /// Reads from the host.
    pub fn get(&mut self, address: u64, len: usize) -> Result<&[u8], FaultKind> {
        let (at, offset) = self.place(address, len)?;
        let one = &self.list[at];
        one.check_written(offset, len)?;
        Ok(&one.bytes[offset..offset + len])
    }

    /// A thread reads `out.len()` bytes, a power of two, at a multiple of it.
    pub fn read(
        &mut self,
        address: u64,
        out: &mut [u8],
        how: Use,
        me: Stamp,
        clocks: &Clocks,
    ) -> Result<(), FaultKind> {
        let len = out.len();
        let (at, offset) = self.place(address, len)?;
        let one = &mut self.list[at];
        one.check_written(offset, len)?;
        let found = one.shadow.access(offset, len, how, me, clocks);
        found.map_err(|conflict| fault(Space::Global, address, how, conflict))?;
        out.copy_from_slice(&one.bytes[offset..offset + len]);
        Ok(())
    }

    /// A thread writes.
    pub fn write(
        &mut self,
        address: u64,
        bytes: &[u8],
        me: Stamp,
        clocks: &Clocks,
    ) -> Result<(), FaultKind> {
        let (at, offset) = self.place(address, bytes.len())?;
        let one = &mut self.list[at];
        let found = one
            .shadow
            .access(offset, bytes.len(), Use::Write, me, clocks);
        found.map_err(|conflict| fault(Space::Global, address, Use::Write, conflict))?;
        one.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        one.written.set(offset, bytes.len(), true);
        Ok(())
    }

    /// Forgets who used what: the numbers of launches start over.
    pub fn clear_shadows(&mut self) {
        for one in &mut self.list {
            one.shadow.clear();
        }
    }
}

impl Allocation {
    fn check_written(&self, offset: usize, len: usize) -> Result<(), FaultKind> {
        match self.written.first_missing(offset, len) {
            None => Ok(()),
            Some(missing) => Err(FaultKind::UninitialisedMemory {
                space: Space::Global,
                address: self.base + missing as u64,
            }),
        }
    }
}
