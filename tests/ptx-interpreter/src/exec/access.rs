//! Loads, stores and atomic operations.

use super::block::Block;
use super::warp::Warp;
use super::{AtLane, LOCAL_WINDOW, Result, SHARED_WINDOW, WINDOW, lanes_of};
use crate::error::FaultKind;
use crate::inst::{Address, Atomic, Element, Reg, Registers};
use crate::lanes::Lanes;
use crate::memory::{Stamp, Use, number};
use crate::round::{sign_extend, truncate};
use crate::types::{Kind, Space, Type};

/// The space and the address in it that a generic address means.
fn resolve(space: Space, address: u64) -> (Space, u64) {
    match (space, address) {
        (Space::Generic, SHARED_WINDOW..) if address < SHARED_WINDOW + WINDOW => {
            (Space::Shared, address - SHARED_WINDOW)
        }
        (Space::Generic, LOCAL_WINDOW..) if address < LOCAL_WINDOW + WINDOW => {
            (Space::Local, address - LOCAL_WINDOW)
        }
        // Constants are allocations like others.
        (Space::Generic | Space::Const, _) => (Space::Global, address),
        _ => (space, address),
    }
}

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
        let first = addresses[lanes.trailing_zeros() as usize & 31];
        match resolve(at, first).0 {
            Space::Shared => self.counters.shared(warp.pc, addresses, lanes, bytes),
            Space::Global if at != Space::Const => {
                self.counters.global(warp.pc, addresses, lanes, bytes);
            }
            _ => {}
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
            let (space, address) = resolve(at.space, addresses[lane as usize]);
            aligned(space, address, total).at(lane)?;
            let bytes = &mut buffer[..total as usize];
            let me = stamp.lane(lane);
            match space {
                Space::Global => self.memory.read(address, bytes, how, me, &self.clocks),
                Space::Shared => self.shared.read(address, bytes, me, &self.clocks),
                Space::Local => read_local(warp, lane, address, bytes),
                _ => self.read_param(address, bytes),
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
            let (space, address) = resolve(at.space, addresses[lane as usize]);
            aligned(space, address, total as u32).at(lane)?;
            let bytes = &mut buffer[..total];
            for (bytes, values) in bytes.chunks_mut(width).zip(&values) {
                bytes.copy_from_slice(&values[lane as usize].to_le_bytes()[..width]);
            }
            let me = stamp.lane(lane);
            match space {
                Space::Global => self.write_global(address, bytes, me),
                Space::Shared => self.shared.write(address, bytes, me, &self.clocks),
                _ => write_local(warp, lane, address, bytes),
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

    #[expect(clippy::too_many_arguments, reason = "the operands of one instruction")]
    pub(super) fn atomic(
        &mut self,
        warp: &mut Warp<'a>,
        lanes: u32,
        op: Atomic,
        ty: Type,
        dst: Option<Reg>,
        at: &Address,
        operands: (Reg, Option<Reg>),
    ) -> Result<()> {
        let addresses = self.addresses(warp, at, lanes)?;
        self.count(warp, at.space, &addresses, lanes, ty.bytes());
        let b = *warp.read(operands.0, lanes)?;
        let c = *warp.read(operands.1.unwrap_or(operands.0), lanes)?;
        let stamp = self.stamp(warp.index);
        // A GPU orders the lanes as it likes.
        let turn = self.random.below(32) as u32;
        for lane in lanes_of(lanes.rotate_right(turn)).map(|lane| (lane + turn) % 32) {
            let (space, address) = resolve(at.space, addresses[lane as usize]);
            let len = ty.bytes() as usize;
            aligned(space, address, ty.bytes()).at(lane)?;
            let (b, c) = (b[lane as usize], c[lane as usize]);
            let change = |old| combine(op, ty, old, b, c);
            let me = stamp.lane(lane);
            let old = match space {
                Space::Shared => self.shared.update(address, len, me, &self.clocks, change),
                Space::Global => self.memory.update(address, len, me, &self.clocks, change),
                _ => Err(FaultKind::OutOfBounds {
                    space,
                    address,
                    bytes: ty.bytes(),
                }),
            }
            .at(lane)?;
            if let Some(dst) = dst {
                warp.write_lane(dst, lane, old);
            }
        }
        Ok(())
    }
}

/// What an atomic operation stores; redux and atom share the table.
pub(super) fn combine(op: Atomic, ty: Type, old: u64, b: u64, c: u64) -> u64 {
    let signed = ty.kind() == Kind::Signed;
    let less = |x: u64, y: u64| {
        if signed {
            sign_extend(x, ty.bits()) < sign_extend(y, ty.bits())
        } else {
            x < y
        }
    };
    match op {
        Atomic::Add => truncate(old.wrapping_add(b), ty.bits()),
        Atomic::Min => {
            if less(b, old) {
                b
            } else {
                old
            }
        }
        Atomic::Max => {
            if less(old, b) {
                b
            } else {
                old
            }
        }
        Atomic::And => old & b,
        Atomic::Or => old | b,
        Atomic::Xor => old ^ b,
        Atomic::Exchange => b,
        Atomic::CompareSwap => {
            if old == b {
                c
            } else {
                old
            }
        }
        Atomic::Increment => {
            if old >= b {
                0
            } else {
                old + 1
            }
        }
        Atomic::Decrement => {
            if old == 0 || old > b {
                b
            } else {
                old - 1
            }
        }
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

fn local_place(
    warp: &Warp<'_>,
    lane: u32,
    address: u64,
    len: usize,
) -> std::result::Result<usize, FaultKind> {
    let size = warp.kernel.local_bytes;
    if address > size as u64 || len > size - address as usize {
        let (space, bytes) = (Space::Local, len as u32);
        return Err(FaultKind::OutOfBounds {
            space,
            address,
            bytes,
        });
    }
    Ok(lane as usize * size + address as usize)
}

fn read_local(
    warp: &Warp<'_>,
    lane: u32,
    address: u64,
    out: &mut [u8],
) -> std::result::Result<(), FaultKind> {
    let at = local_place(warp, lane, address, out.len())?;
    if let Some(missing) = warp.local_written.first_missing(at, out.len()) {
        let address = address + (missing - at) as u64;
        return Err(FaultKind::UninitialisedMemory {
            space: Space::Local,
            address,
        });
    }
    out.copy_from_slice(&warp.local[at..at + out.len()]);
    Ok(())
}

fn write_local(
    warp: &mut Warp<'_>,
    lane: u32,
    address: u64,
    bytes: &[u8],
) -> std::result::Result<(), FaultKind> {
    let at = local_place(warp, lane, address, bytes.len())?;
    warp.local[at..at + bytes.len()].copy_from_slice(bytes);
    warp.local_written.set(at, bytes.len(), true);
    Ok(())
}
