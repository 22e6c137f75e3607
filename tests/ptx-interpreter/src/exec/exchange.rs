//! Exchanges among the lanes of a warp.

use super::warp::Warp;
use super::{Result, lanes_of, trap};
use crate::error::FaultKind;
use crate::inst::Reg;

/// The groups of lanes that a `.sync` instruction names, one mask each. All lanes of a mask execute
/// it, with that mask; usually it is one group.
pub fn groups(warp: &Warp<'_>, lanes: u32, mask: Reg) -> Result<Vec<u32>> {
    let masks = warp.read(mask, lanes)?;
    let mut list = Vec::new();
    for lane in lanes_of(lanes) {
        let mask = masks[lane as usize] as u32;
        let disagrees = |other: &u32| masks[*other as usize] as u32 != mask;
        let reason = if mask >> lane & 1 == 0 {
            "a lane that is not in it executes the instruction"
        } else if mask & !lanes != 0 {
            "it names lanes that do not execute the instruction"
        } else if lanes_of(mask).any(|other| disagrees(&other)) {
            "its lanes name different masks"
        } else {
            if mask.trailing_zeros() == lane {
                list.push(mask);
            }
            continue;
        };
        return trap(
            lane,
            FaultKind::BadMask {
                mask,
                active: lanes,
                reason,
            },
        );
    }
    Ok(list)
}

/// Registers of a shuffle.
pub struct Shuffle {
    pub dst: Reg,
    pub a: Reg,
    pub by: Reg,
    pub clamp: Reg,
    pub mask: Reg,
}

/// shfl.sync.bfly
pub fn shuffle(warp: &mut Warp<'_>, lanes: u32, shuffle: &Shuffle) -> Result<()> {
    let (by, clamp) = (
        *warp.read(shuffle.by, lanes)?,
        *warp.read(shuffle.clamp, lanes)?,
    );
    let values = *warp.read(shuffle.a, lanes)?;
    let mut out = [0; 32];
    for group in groups(warp, lanes, shuffle.mask)? {
        for lane in lanes_of(group) {
            let source = source(lane, by[lane as usize] as u32, clamp[lane as usize] as u32);
            if group >> source & 1 == 0 {
                return trap(lane, FaultKind::InactiveLane { lane: source });
            }
            out[lane as usize] = values[source as usize];
        }
    }
    warp.write(shuffle.dst, lanes, &out);
    Ok(())
}

/// Which lane a shuffle reads: its own where the other lies above the lane's segment.
fn source(lane: u32, by: u32, clamp: u32) -> u32 {
    let segment = clamp >> 8 & 31;
    let highest = lane & segment | clamp & 31 & !segment;
    let wanted = lane ^ by & 31;
    if wanted <= highest { wanted } else { lane }
}
