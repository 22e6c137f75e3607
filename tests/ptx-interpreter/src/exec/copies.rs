//! cp.async: copies that nobody may look at before they are waited for.

use super::block::Block;
use super::warp::Warp;
use super::{AtLane, Result, lanes_of, trap};
use crate::error::FaultKind;
use crate::inst::{Address, Reg};
use crate::memory::{Stamp, Use};
use crate::types::Space;

/// A copy under way.
#[derive(Debug, Clone, Copy)]
struct Copy {
    /// Groups that the thread had committed before.
    group: u32,
    dst: u64,
    src: u64,
    bytes: u32,
    /// Bytes that are read; the rest is zero.
    src_bytes: u32,
}

/// Copies under way, by thread.
#[derive(Debug)]
pub struct Copies {
    threads: Vec<Vec<Copy>>,
    committed: Vec<u32>,
    under_way: usize,
}

impl Copies {
    pub fn new(threads: usize) -> Copies {
        Copies {
            threads: vec![Vec::new(); threads],
            committed: vec![0; threads],
            under_way: 0,
        }
    }

    pub fn reset(&mut self) {
        if self.under_way > 0 {
            self.threads.iter_mut().for_each(Vec::clear);
        }
        self.committed.fill(0);
        self.under_way = 0;
    }

    /// The thread that still copies from a range of global memory, if there is one.
    pub fn source_in_use(&self, address: u64, len: u64) -> Option<u32> {
        if self.under_way == 0 {
            return None;
        }
        let overlaps = |copy: &Copy| {
            address < copy.src + u64::from(copy.src_bytes) && copy.src < address + len
        };
        let found = self
            .threads
            .iter()
            .position(|list| list.iter().any(overlaps));
        found.map(|thread| thread as u32)
    }
}

impl<'a> Block<'a> {
    pub(super) fn copy_async(
        &mut self,
        warp: &Warp<'a>,
        lanes: u32,
        dst: &Address,
        src: &Address,
        bytes: u32,
        src_bytes: Option<Reg>,
    ) -> Result<()> {
        let to = self.addresses(warp, dst, lanes)?;
        let from = self.addresses(warp, src, lanes)?;
        let sizes = src_bytes
            .map(|register| warp.read(register, lanes))
            .transpose()?
            .copied();
        self.counters.shared(warp.pc, &to, lanes, bytes);
        // Where nothing is read, zeros are written.
        let read = |lane: &u32| sizes.is_none_or(|sizes| sizes[*lane as usize] > 0);
        let reading = lanes_of(lanes).filter(read);
        let reading = reading.fold(0, |mask, lane| mask | 1 << lane);
        self.counters.global(warp.pc, &from, reading, bytes);
        let stamp = self.stamp(warp.index);
        for lane in lanes_of(lanes) {
            let (dst, src) = (to[lane as usize], from[lane as usize]);
            let src_bytes = sizes.map_or(bytes, |sizes| sizes[lane as usize] as u32);
            if src_bytes > bytes {
                let value = u64::from(src_bytes);
                return trap(
                    lane,
                    FaultKind::BadOperand {
                        what: "source size",
                        value,
                    },
                );
            }
            for (space, address) in [(Space::Shared, dst), (Space::Global, src)] {
                if address % u64::from(bytes) != 0 {
                    return trap(
                        lane,
                        FaultKind::Misaligned {
                            space,
                            address,
                            wanted: bytes,
                        },
                    );
                }
            }
            let me = stamp.lane(lane);
            self.read_source(src, src_bytes, &mut [0; 16], Some(me))
                .at(lane)?;
            self.shared
                .begin_copy(dst, bytes as usize, me, &self.clocks)
                .at(lane)?;
            let thread = 32 * warp.index + lane as usize;
            let group = self.copies.committed[thread];
            self.copies.threads[thread].push(Copy {
                group,
                dst,
                src,
                bytes,
                src_bytes,
            });
            self.copies.under_way += 1;
        }
        Ok(())
    }

    /// Reads a source in pieces of a power of two; without a stamp nothing is recorded.
    fn read_source(
        &mut self,
        src: u64,
        len: u32,
        out: &mut [u8; 16],
        me: Option<Stamp>,
    ) -> std::result::Result<(), FaultKind> {
        let mut done = 0;
        while done < len {
            let piece = if done == 0 && len.is_power_of_two() {
                len
            } else {
                1
            };
            let place = &mut out[done as usize..(done + piece) as usize];
            let address = src + u64::from(done);
            match me {
                Some(me) => self
                    .memory
                    .read(address, place, Use::Read, me, &self.clocks)?,
                None => place.copy_from_slice(self.memory.get(address, piece as usize)?),
            }
            done += piece;
        }
        Ok(())
    }

    pub(super) fn copy_commit(&mut self, warp: &Warp<'a>, lanes: u32) {
        for lane in lanes_of(lanes) {
            self.copies.committed[32 * warp.index + lane as usize] += 1;
        }
    }

    /// Waits until at most `pending` groups of each lane are under way.
    pub(super) fn copy_wait(&mut self, warp: &Warp<'a>, lanes: u32, pending: u32) -> Result<()> {
        let stamp = self.stamp(warp.index);
        for lane in lanes_of(lanes) {
            let thread = 32 * warp.index + lane as usize;
            let first_kept = self.copies.committed[thread].saturating_sub(pending);
            let mut list = std::mem::take(&mut self.copies.threads[thread]);
            let done = list
                .iter()
                .take_while(|copy| copy.group < first_kept)
                .count();
            for copy in list.drain(..done) {
                let mut data = [0; 16];
                self.read_source(copy.src, copy.src_bytes, &mut data, None)
                    .at(lane)?;
                self.shared
                    .end_copy(copy.dst, &data[..copy.bytes as usize], stamp.lane(lane));
            }
            self.copies.under_way -= done;
            self.copies.threads[thread] = list;
        }
        Ok(())
    }
}
