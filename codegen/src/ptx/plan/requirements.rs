//! What a kernel's statements ask of its geometry.

use super::aliases::Aliases;
use super::effects::{Effects, LaneMapping};
use super::tiling::Tiling;
use super::vector_access::VectorAccess;
use super::{COLUMNS, MOST_SHARED, attention};
use crate::kernel::dependence::contains_contract;
use crate::kernel::{Affine, Contract, Extent, Kernel, LoopKind, Place, Reduce, Stmt};
use bsq_ir::order::{CHUNK, LANES};
use std::ops::RangeInclusive;

/// Terms of a column that 16 lanes are worth, and that chunks of chunks hold.
const TERMS_OF_COLUMN: RangeInclusive<usize> = 4 * LANES..=CHUNK * CHUNK;

/// Columns of a block, by the terms of each.
pub fn columns_of_block(terms: usize) -> usize {
    match TERMS_OF_COLUMN.contains(&terms) {
        true => COLUMNS as usize,
        false => 64,
    }
}

/// Bytes of partial results that a block's reductions need at a time.
pub(super) fn partials(body: &[Stmt]) -> usize {
    most_of_reductions(body, &|reduce| {
        let chunks = reduce.extent.largest().div_ceil(CHUNK).max(1);
        (chunks + chunks.div_ceil(CHUNK) + 1) * 8 * reduce.results.len()
    })
}

pub(super) fn longest_reduce(body: &[Stmt]) -> usize {
    most_of_reductions(body, &|reduce| reduce.extent.largest())
}

/// The most of something over all reductions outside of vector loops.
fn most_of_reductions(body: &[Stmt], of: &impl Fn(&Reduce) -> usize) -> usize {
    let most = |stmt: &Stmt| match stmt {
        Stmt::Reduce(reduce) => of(reduce),
        Stmt::Loop {
            kind: LoopKind::Serial | LoopKind::Parallel,
            body,
            ..
        } => most_of_reductions(body, of),
        _ => 0,
    };
    body.iter().map(most).max().unwrap_or(0)
}

/// True if the kernel's one contraction leaves its result in scratch that nothing else uses
/// before, so that stages and result can share their memory.
pub(super) fn is_overlaid(
    kernel: &Kernel,
    aliases: &Aliases,
    contracts: &[&Contract],
    tilings: &[Tiling],
) -> bool {
    let ([contract], [tiling]) = (contracts, tilings) else {
        return false;
    };
    let Place::Scratch(_) = contract.c.place else {
        return false;
    };
    let fits = contract.m.largest() <= tiling.rows() && contract.n.largest() <= tiling.columns();
    let at_top = kernel
        .body
        .iter()
        .position(|stmt| matches!(stmt, Stmt::Contract(_)));
    let Some(position) = at_top else {
        return false;
    };
    let before = Effects::of(aliases, &kernel.body[..position], LaneMapping::NONE);
    let bytes = contract.m.largest() * contract.c_row_stride as usize * 4;
    fits && !contract.accumulate
        && contract.c.at == Affine::default()
        && !before.touches(contract.c.place)
        && bytes <= MOST_SHARED
}

/// The bytes that a kernel stages that is one attention by blocks.
pub(super) fn attention(body: &[Stmt]) -> Option<usize> {
    body.iter().find_map(|stmt| match stmt {
        Stmt::Attend(attend) => Some(attention::stage_bytes(attend)),
        Stmt::AttendBackward(backward) => Some(attention::backward_stage_bytes(backward)),
        _ => None,
    })
}

pub(super) fn contractions(body: &[Stmt]) -> Vec<&Contract> {
    let mut found = Vec::new();
    for stmt in body {
        match stmt {
            Stmt::Contract(contract) => found.push(&**contract),
            Stmt::Loop { body, .. } if contains_contract(body) => found.extend(contractions(body)),
            _ => {}
        }
    }
    found
}

/// Iterations of the largest nest of loops; those that a thread takes together are one.
pub(super) fn most_parallel(body: &[Stmt], around: Option<VectorAccess>) -> usize {
    let of = |stmt: &Stmt| match stmt {
        Stmt::Loop {
            var, extent, body, ..
        } => {
            let access = around.or_else(|| VectorAccess::of(stmt));
            let iterations = Extent::largest(extent) / VectorAccess::elements(access, *var);
            iterations * most_parallel(body, access).max(1)
        }
        _ => 1,
    };
    body.iter().map(of).max().unwrap_or(0)
}

/// Whether an item is one loop over some columns, each with reductions that are worth 16 lanes:
/// the bytes of the results of one.
pub(super) fn columns(kernel: &Kernel) -> Option<usize> {
    let (last, before) = kernel.body.split_last()?;
    let Stmt::Loop {
        kind: LoopKind::Vector,
        extent,
        body,
        ..
    } = last
    else {
        return None;
    };
    let plain = before.iter().all(|stmt| matches!(stmt, Stmt::Let { .. }));
    if !plain || !kernel.scratch.is_empty() || extent.largest() > COLUMNS as usize {
        return None;
    }
    let mut bytes = 0;
    for stmt in body {
        match stmt {
            Stmt::Let { .. } | Stmt::Store { .. } => {}
            Stmt::Reduce(reduce) if TERMS_OF_COLUMN.contains(&reduce.extent.largest()) => {
                let sizes = reduce.results.iter().map(|result| result.dtype.size());
                bytes = sizes.sum::<usize>().max(bytes);
            }
            _ => return None,
        }
    }
    (bytes > 0).then_some(bytes)
}

/// True if an item is one loop, of which several blocks can take their parts.
pub(super) fn is_one_loop(kernel: &Kernel) -> bool {
    let is_loop = |stmt: &&Stmt| matches!(stmt, Stmt::Loop { .. });
    let loops: Vec<&Stmt> = kernel.body.iter().filter(is_loop).collect();
    let lets = kernel
        .body
        .iter()
        .filter(|stmt| matches!(stmt, Stmt::Let { .. }));
    if loops.len() != 1 || loops.len() + lets.count() != kernel.body.len() {
        return false;
    }
    let Stmt::Loop { kind, .. } = loops[0] else {
        return false;
    };
    *kind != LoopKind::Serial
}
