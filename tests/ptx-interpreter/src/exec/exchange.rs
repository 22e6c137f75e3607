//! Exchanges among the lanes of a warp.

use super::access::combine;
use super::warp::Warp;
use super::{Result, lanes_of, trap};
use crate::error::FaultKind;
use crate::inst::{Op, Reg, Shuffle, Vote};

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

pub fn exchange(warp: &mut Warp<'_>, lanes: u32, op: &Op) -> Result<()> {
    match *op {
        Op::Shuffle {
            mode,
            dst,
            valid,
            a,
            b,
            c,
            mask,
        } => {
            let (by, clamp) = (*warp.read(b, lanes)?, *warp.read(c, lanes)?);
            let values = *warp.read(a, lanes)?;
            let mut out = [0; 32];
            let mut inside = 0;
            for group in groups(warp, lanes, mask)? {
                for lane in lanes_of(group) {
                    let (by, clamp) = (by[lane as usize] as u32, clamp[lane as usize] as u32);
                    let (source, valid) = source(mode, lane, by & 31, clamp);
                    if group >> source & 1 == 0 {
                        return trap(lane, FaultKind::InactiveLane { lane: source });
                    }
                    out[lane as usize] = values[source as usize];
                    inside |= u32::from(valid) << lane;
                }
            }
            warp.write(dst, lanes, &out);
            if let Some(valid) = valid {
                warp.write_predicate(valid, lanes, inside);
            }
        }
        Op::Vote { mode, dst, a, mask } => {
            let holds = warp.predicate(a, lanes)?;
            for group in groups(warp, lanes, mask)? {
                let result = match mode {
                    Vote::All => holds & group == group,
                    Vote::Any => holds & group != 0,
                    Vote::Uni => holds & group == group || holds & group == 0,
                };
                warp.write_predicate(dst, group, if result { u32::MAX } else { 0 });
            }
        }
        Op::Ballot { dst, a, mask } => {
            let holds = warp.predicate(a, lanes)?;
            for group in groups(warp, lanes, mask)? {
                warp.write(dst, group, &[u64::from(holds & group); 32]);
            }
        }
        Op::Reduce {
            op,
            ty,
            dst,
            a,
            mask,
        } => {
            let a = *warp.read(a, lanes)?;
            for group in groups(warp, lanes, mask)? {
                let values = lanes_of(group).map(|lane| a[lane as usize]);
                let total = values.reduce(|x, y| combine(op, ty, x, y, 0)).unwrap_or(0);
                warp.write(dst, group, &[total; 32]);
            }
        }
        Op::ActiveMask { dst } => warp.write(dst, lanes, &[u64::from(lanes); 32]),
        _ => unreachable!("only exchanges come here"),
    }
    Ok(())
}

/// Which lane a shuffle reads, and whether that lies in the lane's segment.
fn source(mode: Shuffle, lane: u32, by: u32, clamp: u32) -> (u32, bool) {
    let segment = clamp >> 8 & 31;
    let end = clamp & 31;
    let highest = lane & segment | end & !segment;
    let lowest = lane & segment;
    let (wanted, valid) = match mode {
        Shuffle::Up => {
            let wanted = i64::from(lane) - i64::from(by);
            (wanted, wanted >= i64::from(highest))
        }
        Shuffle::Down => {
            let wanted = i64::from(lane + by);
            (wanted, wanted <= i64::from(highest))
        }
        Shuffle::Butterfly => {
            let wanted = i64::from(lane ^ by);
            (wanted, wanted <= i64::from(highest))
        }
        Shuffle::Index => {
            let wanted = i64::from(lowest | by & !segment);
            (wanted, wanted <= i64::from(highest))
        }
    };
    if valid {
        (wanted as u32, true)
    } else {
        (lane, false)
    }
}
