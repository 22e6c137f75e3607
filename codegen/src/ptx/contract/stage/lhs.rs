//! Pieces of the lhs.

use super::super::Plan;
use super::{Piece, Step, exists, moved, split, split_rows};
use crate::ptx::emit::Emitter;
use crate::ptx::text::Class;

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
        let operands = format_args!("{row}, {}, {to}", plan.tiling.a_pitch());
        let to_thread = e.t.def(Class::B32, "mad.lo.u32", operands);
        let of_tile = e.plus(row, plan.row);
        let row_bytes = contract.a_row_stride * size as i64;
        let step = step_of(plan, terms);
        let from = match step {
            Step::OwnGroup { .. } => moved(e, &plan.a, &[(of_tile, row_bytes)]),
            _ => moved(e, &plan.a, &[(of_tile, row_bytes), (term, size as i64)]),
        };
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
        let operands = format_args!("{row}, {}, {to}", plan.tiling.a_pitch());
        let to_thread = e.t.def(Class::B32, "mad.lo.u32", operands);
        let of_tile = e.plus(row, plan.row);
        let (row_bytes, term_bytes) = (4 * contract.a_row_stride, 4 * contract.a_k_stride);
        let step = step_of(plan, 1);
        let from = match step {
            Step::OwnGroup { .. } => moved(e, &plan.a, &[(of_tile, row_bytes)]),
            _ => moved(e, &plan.a, &[(of_tile, row_bytes), (term, term_bytes)]),
        };
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

/// The step of the lhs's pieces of so many terms.
fn step_of(plan: &Plan, piece: usize) -> Step {
    let (contract, slab) = (plan.contract, plan.tiling.slab());
    let size = contract.format.a().size() as i64;
    let term = contract.a_k_stride * size;
    let groups = match contract.a_groups[..] {
        [] => return Step::Even(slab as i64 * term),
        [groups] => groups,
        _ => unreachable!("the policy asks for groups of terms, not of groups"),
    };
    let (terms, group) = (groups.terms, groups.stride * size);
    debug_assert!(terms.is_multiple_of(piece));
    match terms.is_multiple_of(slab) {
        true => Step::Groups { terms, group, term },
        false => Step::OwnGroup { terms, group, term },
    }
}
