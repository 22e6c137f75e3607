//! Exchanges among the lanes of a warp.

use super::warp::Warp;
use super::{Result, lanes_of, trap};
use crate::ptx::error::FaultKind;
use crate::ptx::inst::{Op, Reg, Shuffle, Vote};

/// The lanes that a `.sync` instruction names: exactly those that execute it.
pub fn members(warp: &Warp<'_>, lanes: u32, mask: Reg) -> Result<u32> {
    match parties(warp, lanes, mask)?[..] {
        [party] => Ok(party),
        _ => bad_mask(
            warp,
            lanes,
            mask,
            lanes.trailing_zeros(),
            "lanes name different masks",
        ),
    }
}

/// The groups of lanes that name one another. Several groups may execute an instruction at once,
/// as the tiles of a warp do; each waits for its own lanes only.
pub fn parties(warp: &Warp<'_>, lanes: u32, mask: Reg) -> Result<Vec<u32>> {
    let masks = *warp.read(mask, lanes)?;
    let mut parties = Vec::new();
    for lane in lanes_of(lanes) {
        let named = masks[lane as usize] as u32;
        let reason = if named >> lane & 1 == 0 {
            "a lane that is not in it executes the instruction"
        } else if named & !lanes != 0 {
            "it names lanes that do not execute the instruction"
        } else if lanes_of(named).any(|other| masks[other as usize] as u32 != named) {
            "lanes that it names name others"
        } else {
            if named.trailing_zeros() == lane {
                parties.push(named);
            }
            continue;
        };
        return bad_mask(warp, lanes, mask, lane, reason);
    }
    Ok(parties)
}

fn bad_mask<T>(
    warp: &Warp<'_>,
    lanes: u32,
    mask: Reg,
    lane: u32,
    reason: &'static str,
) -> Result<T> {
    let mask = warp.read(mask, lanes)?[lane as usize] as u32;
    let active = lanes;
    let kind = FaultKind::BadMask {
        mask,
        active,
        reason,
    };
    trap(lane, kind)
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
            let parties = parties(warp, lanes, mask)?;
            let (by, clamp) = (*warp.read(b, lanes)?, *warp.read(c, lanes)?);
            let values = *warp.read(a, lanes)?;
            let mut out = [0; 32];
            let mut inside = 0;
            for lane in lanes_of(lanes) {
                let (by, clamp) = (by[lane as usize] as u32, clamp[lane as usize] as u32);
                let (source, valid) = source(mode, lane, by & 31, clamp);
                let party = parties.iter().find(|party| *party >> lane & 1 == 1);
                if party.is_none_or(|party| party >> source & 1 == 0) {
                    return trap(lane, FaultKind::InactiveLane { lane: source });
                }
                out[lane as usize] = values[source as usize];
                inside |= u32::from(valid) << lane;
            }
            warp.write(dst, lanes, &out);
            if let Some(valid) = valid {
                warp.write_predicate(valid, lanes, inside);
            }
        }
        Op::Vote { mode, dst, a, mask } => {
            members(warp, lanes, mask)?;
            let holds = warp.predicate(a, lanes)?;
            let result = match mode {
                Vote::All => holds == lanes,
                Vote::Any => holds != 0,
                Vote::Uni => holds == lanes || holds == 0,
            };
            warp.write_predicate(dst, lanes, if result { u32::MAX } else { 0 });
        }
        Op::Ballot { dst, a, mask } => {
            members(warp, lanes, mask)?;
            let holds = warp.predicate(a, lanes)?;
            warp.write(dst, lanes, &[u64::from(holds); 32]);
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
