//! Shared memory of a block.

use super::bits::Bits;
use super::clocks::Clocks;
use super::fault;
use super::shadow::{Shadow, Use};
use super::stamp::Stamp;
use crate::error::FaultKind;
use crate::types::Space;

#[derive(Debug)]
pub struct SharedMemory {
    bytes: Vec<u8>,
    written: Bits,
    shadow: Shadow,
    /// First byte and end of each array.
    arrays: Vec<(u64, u64)>,
}

impl SharedMemory {
    pub fn new(arrays: Vec<(u64, u64)>) -> SharedMemory {
        let end = arrays.iter().map(|(_, end)| *end).max().unwrap_or(0) as usize;
        SharedMemory {
            bytes: vec![0; end],
            written: Bits::new(end),
            shadow: Shadow::new(end, true),
            arrays,
        }
    }

    /// For the next block. The shadow tells blocks apart by itself.
    pub fn reset(&mut self) {
        self.written.clear();
    }

    fn place(&self, address: u64, len: usize) -> Result<usize, FaultKind> {
        let end = address.saturating_add(len as u64);
        let inside = self
            .arrays
            .iter()
            .any(|(first, last)| *first <= address && end <= *last);
        if !inside {
            let (space, bytes) = (Space::Shared, len as u32);
            return Err(FaultKind::OutOfBounds {
                space,
                address,
                bytes,
            });
        }
        Ok(address as usize)
    }

    fn check_written(&self, at: usize, len: usize) -> Result<(), FaultKind> {
        match self.written.first_missing(at, len) {
            None => Ok(()),
            Some(missing) => Err(FaultKind::UninitialisedMemory {
                space: Space::Shared,
                address: missing as u64,
            }),
        }
    }

    fn access(
        &mut self,
        address: u64,
        len: usize,
        how: Use,
        me: Stamp,
        clocks: &Clocks,
    ) -> Result<usize, FaultKind> {
        let at = self.place(address, len)?;
        let found = self.shadow.access(at, len, how, me, clocks);
        found.map_err(|conflict| fault(Space::Shared, address, how, conflict))?;
        Ok(at)
    }

    /// A thread reads `out.len()` bytes, a power of two, at a multiple of it.
    pub fn read(
        &mut self,
        address: u64,
        out: &mut [u8],
        me: Stamp,
        clocks: &Clocks,
    ) -> Result<(), FaultKind> {
        // The order of checks: a copy under way has not written yet, but says more.
        let at = self.access(address, out.len(), Use::Read, me, clocks)?;
        self.check_written(at, out.len())?;
        out.copy_from_slice(&self.bytes[at..at + out.len()]);
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
        let at = self.access(address, bytes.len(), Use::Write, me, clocks)?;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.written.set(at, bytes.len(), true);
        Ok(())
    }

    /// A thread starts a copy to here: until it is waited for nobody may use these bytes.
    pub fn begin_copy(
        &mut self,
        address: u64,
        len: usize,
        me: Stamp,
        clocks: &Clocks,
    ) -> Result<(), FaultKind> {
        let at = self.access(address, len, Use::Pending, me, clocks)?;
        self.written.set(at, len, false);
        Ok(())
    }

    /// The copy has been waited for.
    pub fn end_copy(&mut self, address: u64, bytes: &[u8], me: Stamp) {
        let at = address as usize;
        self.shadow.complete(at, bytes.len(), me);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.written.set(at, bytes.len(), true);
    }
}
