//! Pieces of the rhs.

use super::super::Plan;
use super::{Piece, Step, exists, moved, split_rows};
use crate::kernel::PANEL;
use crate::ptx::emit::{Emitter, Index};

/// Panels of the rhs, rows of 16 columns.
pub(super) fn panels(e: &mut Emitter, plan: &Plan) -> Vec<Piece> {
    let (rows, row, pitch, panel_pitch) = plan.tiling.panel();
    let size = plan.contract.format.b().size();
    let per_row = row / 16;
    let pieces = plan.tiling.panels() * rows * per_row;
    let terms_of_row = plan.tiling.slab() / rows;
    let panel_bytes = plan.contract.b_panel_stride * size as i64;
    let first_panel = match plan.column {
        Index::Constant(column) => Index::Constant(column / PANEL as i64),
        Index::Reg(column) => Index::Reg(e.split(column, PANEL).0),
    };
    let panels = match plan.n {
        Index::Constant(n) => Index::Constant((n as usize).div_ceil(PANEL) as i64),
        Index::Reg(n) => {
            let above = e.plus(n, PANEL - 1);
            Index::Reg(e.split(above, PANEL).0)
        }
    };
    let mut all = Vec::new();
    for number in 0..pieces.div_ceil(e.geometry.threads as usize) {
        // Rows are padded where they are read four at a time.
        let together = if pitch == row { 1 } else { 4 };
        let (line, chunk) = split_rows(e, number, per_row, together);
        let (panel, line) = e.split(line, rows);
        let within = e.times_plus(line, per_row, chunk);
        let to = e.times(line, pitch);
        let to = e.times_plus(chunk, 16, to);
        let to_thread = e.times_plus(panel, panel_pitch, to);
        let of_side = e.plus(panel, first_panel);
        let from = moved(e, &plan.b, &[(of_side, panel_bytes), (within, 16)]);
        let term = e.times(line, terms_of_row);
        all.push(Piece {
            from,
            to: plan.tiling.a_bytes() as i64,
            to_thread,
            bytes: 16,
            term,
            // A row of terms is there as a whole: panels are padded.
            terms: 1,
            step: Step::Even((rows * row) as i64),
            inside: e.inside(of_side, &[0], panels, plan.tiling.panels())[0],
            exists: exists(e, number, pieces),
        });
    }
    all
}
