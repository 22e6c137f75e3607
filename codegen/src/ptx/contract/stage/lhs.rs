//! Pieces of the lhs.

use super::super::Plan;
use super::{Piece, Step, exists, moved, split, split_rows};
use crate::kernel::Groups;
use crate::ptx::code::{Class, Reg};
use crate::ptx::emit::Emitter;

/// The lhs where terms of a row lie side by side: pieces as wide as its alignment allows.
pub(super) fn rows(e: &mut Emitter, plan: &Plan) -> Vec<Piece> {
    let contract = plan.contract;
    let size = contract.format.a().size();
    let (rows, slab) = (plan.tiling.rows(), plan.tiling.slab());
    let aligned = |bytes: usize| {
        let whole = |factor: i64| (factor * size as i64) % bytes as i64 == 0;
        whole(contract.a_row_stride)
            && whole(contract.a.at.constant)
            && contract.a.dynamic.is_none()
            && contract.a.at.terms.iter().all(|term| whole(term.1))
            && (slab * size).is_multiple_of(bytes)
            && contract
                .a_groups
                .iter()
                .all(|groups| whole(groups.stride) && (groups.terms * size).is_multiple_of(bytes))
            && contract
                .a_row_groups
                .iter()
                .all(|groups| whole(groups.stride))
    };
    let bytes = [16, 8, 4, 2]
        .into_iter()
        .find(|&bytes| bytes >= size && aligned(bytes));
    let bytes = bytes.unwrap_or(size);
    let per_row = slab * size / bytes;
    let pieces = rows * per_row;
    let mut all = Vec::new();
    for number in 0..pieces.div_ceil(e.geometry.threads as usize) {
        let together = if rows.is_multiple_of(8) { 8 } else { 1 };
        let (row, within) = split_rows(e, number, per_row, together);
        let terms = bytes / size;
        let term = e.times(within, terms);
        let to = e.times(within, bytes);
        let to_thread =
            e.t.def(Class::B32, "mad.lo.u32", (row, plan.tiling.a_pitch(), to));
        let of_tile = e.plus(row, plan.row);
        let step = step_of(plan, terms);
        let mut by = row_of(e, plan, of_tile);
        if !matches!(step, Step::OwnGroup { .. }) {
            by.push((term, size as i64));
        }
        let from = moved(e, &plan.a, &by);
        all.push(Piece {
            from,
            to: 0,
            to_thread,
            bytes: bytes as i64,
            term,
            terms: terms as i64,
            step,
            inside: e.inside(of_tile, &[0], plan.m, rows)[0],
            exists: exists(e, number, pieces),
        });
    }
    all
}

/// The lhs where terms of a row lie apart: one element at a time, and neighbouring threads
/// take what lies side by side.
pub(super) fn strided(e: &mut Emitter, plan: &Plan) -> Vec<Piece> {
    let contract = plan.contract;
    let (rows, slab) = (plan.tiling.rows(), plan.tiling.slab());
    let mut all = Vec::new();
    let pieces = rows * slab;
    for number in 0..pieces.div_ceil(e.geometry.threads as usize) {
        let (row, term) = match contract.a_row_stride {
            1 => {
                let (term, row) = split(e, number, rows);
                (row, term)
            }
            _ => split(e, number, slab),
        };
        let to = e.times(term, 4);
        let to_thread =
            e.t.def(Class::B32, "mad.lo.u32", (row, plan.tiling.a_pitch(), to));
        let of_tile = e.plus(row, plan.row);
        let step = step_of(plan, 1);
        let mut by = row_of(e, plan, of_tile);
        if !matches!(step, Step::OwnGroup { .. }) {
            by.push((term, 4 * contract.a_k_stride));
        }
        let from = moved(e, &plan.a, &by);
        all.push(Piece {
            from,
            to: 0,
            to_thread,
            bytes: 4,
            term,
            terms: 1,
            step,
            inside: e.inside(of_tile, &[0], plan.m, rows)[0],
            exists: exists(e, number, pieces),
        });
    }
    all
}

/// Where a row of the block is: indices of groups and in them, and bytes from one to the next.
fn row_of(e: &mut Emitter, plan: &Plan, row: Reg) -> Vec<(Reg, i64)> {
    let contract = plan.contract;
    let size = contract.format.a().size() as i64;
    let (mut rest, mut found) = (row, Vec::new());
    for groups in contract.a_row_groups.iter().rev() {
        let (number, within) = e.split(rest, groups.terms);
        found.push((number, groups.stride * size));
        rest = within;
    }
    found.push((rest, contract.a_row_stride * size));
    found
}

/// The step of the lhs's pieces of so many terms.
fn step_of(plan: &Plan, piece: usize) -> Step {
    let (contract, slab) = (plan.contract, plan.tiling.slab());
    let size = contract.format.a().size() as i64;
    let term = contract.a_k_stride * size;
    let in_bytes = |groups: &Groups| Groups {
        stride: groups.stride * size,
        ..*groups
    };
    let groups: Vec<Groups> = contract.a_groups.iter().map(in_bytes).collect();
    let Some(innermost) = groups.first() else {
        return Step::Even(slab as i64 * term);
    };
    debug_assert!(innermost.terms.is_multiple_of(piece));
    match innermost.terms.is_multiple_of(slab) {
        true => Step::Groups { groups, term },
        false => Step::OwnGroup { groups, term },
    }
}
