//! Loads and stores.

use super::block::Block;
use super::warp::Warp;
use super::{AtLane, Result, lanes_of};
use crate::error::FaultKind;
use crate::inst::{Address, Element, Registers};
use crate::lanes::Lanes;
use crate::memory::{Stamp, Use, number};
use crate::round::{sign_extend, truncate};
use crate::types::{Kind, Space, Type};

impl<'a> Block<'a> {
    /// The address of each lane.
    pub(super) fn addresses(&self, warp: &Warp<'a>, at: &Address, lanes: u32) -> Result<Lanes> {
        let Some(base) = at.base else {
            return Ok([at.offset as u64; 32]);
        };
        let base = warp.read(base, lanes)?;
        Ok(if at.narrow {
            base.map(|base| u64::from((base as u32).wrapping_add(at.offset as u32)))
        } else {
            base.map(|base| base.wrapping_add_signed(at.offset))
        })
    }

    fn count(&mut self, warp: &Warp<'a>, at: Space, addresses: &Lanes, lanes: u32, bytes: u32) {
        match at {
            Space::Shared => self.counters.shared(warp.pc, addresses, lanes, bytes),
            Space::Global => self.counters.global(warp.pc, addresses, lanes, bytes),
            Space::Param => {}
        }
    }

    pub(super) fn load(
        &mut self,
        warp: &mut Warp<'a>,
        lanes: u32,
        how: Use,
        registers: &Registers,
        element: &Element,
        at: &Address,
    ) -> Result<()> {
        let addresses = self.addresses(warp, at, lanes)?;
        let width = element.ty.bytes();
        let total = width * registers.count;
        self.count(warp, at.space, &addresses, lanes, total);
        let stamp = self.stamp(warp.index);
        let signed = element.ty.kind() == Kind::Signed;
        let mut buffer = [0; 16];
        for lane in lanes_of(lanes) {
            let (space, address) = (at.space, addresses[lane as usize]);
            aligned(space, address, total).at(lane)?;
            let bytes = &mut buffer[..total as usize];
            let me = stamp.lane(lane);
            match space {
                Space::Global => self.memory.read(address, bytes, how, me, &self.clocks),
                Space::Shared => self.shared.read(address, bytes, me, &self.clocks),
                Space::Param => self.read_param(address, bytes),
            }
            .at(lane)?;
            for (bytes, register) in bytes.chunks(width as usize).zip(registers.list) {
                let Some(register) = register else { continue };
                let mut value = number(bytes);
                if signed {
                    let extended = sign_extend(value, element.ty.bits()) as u64;
                    value = truncate(extended, element.register_bits);
                }
                warp.write_lane(register, lane, value);
            }
        }
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        warp: &mut Warp<'a>,
        lanes: u32,
        registers: &Registers,
        ty: Type,
        at: &Address,
    ) -> Result<()> {
        let addresses = self.addresses(warp, at, lanes)?;
        let width = ty.bytes() as usize;
        let total = width * registers.count as usize;
        self.count(warp, at.space, &addresses, lanes, total as u32);
        let stamp = self.stamp(warp.index);
        let mut values = [[0; 32]; 4];
        for (place, register) in values.iter_mut().zip(registers.list) {
            if let Some(register) = register {
                *place = *warp.read(register, lanes)?;
            }
        }
        let mut buffer = [0; 16];
        for lane in lanes_of(lanes) {
            let (space, address) = (at.space, addresses[lane as usize]);
            aligned(space, address, total as u32).at(lane)?;
            let bytes = &mut buffer[..total];
            for (bytes, values) in bytes.chunks_mut(width).zip(&values) {
                bytes.copy_from_slice(&values[lane as usize].to_le_bytes()[..width]);
            }
            let me = stamp.lane(lane);
            match space {
                Space::Shared => self.shared.write(address, bytes, me, &self.clocks),
                _ => self.write_global(address, bytes, me),
            }
            .at(lane)?;
        }
        Ok(())
    }

    fn write_global(
        &mut self,
        address: u64,
        bytes: &[u8],
        me: Stamp,
    ) -> std::result::Result<(), FaultKind> {
        if let Some(owner) = self.copies.source_in_use(address, bytes.len() as u64) {
            return Err(FaultKind::PendingCopy {
                space: Space::Global,
                address,
                owner,
            });
        }
        self.memory.write(address, bytes, me, &self.clocks)
    }

    fn read_param(&self, address: u64, out: &mut [u8]) -> std::result::Result<(), FaultKind> {
        let start = usize::try_from(address).unwrap_or(usize::MAX);
        let found = self.params.get(start..start.saturating_add(out.len()));
        let (space, bytes) = (Space::Param, out.len() as u32);
        out.copy_from_slice(found.ok_or(FaultKind::OutOfBounds {
            space,
            address,
            bytes,
        })?);
        Ok(())
    }
}

fn aligned(space: Space, address: u64, wanted: u32) -> std::result::Result<(), FaultKind> {
    if address.is_multiple_of(u64::from(wanted)) {
        return Ok(());
    }
    Err(FaultKind::Misaligned {
        space,
        address,
        wanted,
    })
}
