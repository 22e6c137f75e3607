//! Copies of keys and values into shared memory.

use super::super::emit::Emitter;
use super::super::memory::Address;
use super::super::text::{Class, Reg};
use super::{K_PITCH, KEYS, THREADS, V_PITCH, k_bytes};
use crate::kernel::{Attend, PANEL};

impl Emitter<'_> {
    /// Starts the copies of a block of keys and of its values.
    pub(super) fn stage_keys(
        &mut self,
        a: &Attend,
        (keys, values): (&Address, &Address),
        block: Reg,
        stage: &Address,
    ) {
        // Keys: some panels of 16, all rows of words of each.
        let key_rows = a.depth / 2;
        let first = self.times(block, KEYS / PANEL);
        let piece = (KEYS / PANEL, key_rows, K_PITCH);
        let panels = a.keys.div_ceil(PANEL);
        self.copy_panels(
            keys,
            2 * a.k_panel_stride,
            piece,
            (Some(first), None),
            panels,
            *stage,
        );
        // Values: every panel, some rows of words of each.
        let value_rows = KEYS / 2;
        let first = self.times(block, value_rows);
        let piece = (a.value_depth / PANEL, value_rows, V_PITCH);
        let stage = stage.plus(k_bytes(a) as i64);
        let rows = a.keys.div_ceil(2);
        self.copy_panels(
            values,
            2 * a.v_panel_stride,
            piece,
            (None, Some(first)),
            rows,
            stage,
        );
        self.t.bare("cp.async.commit_group");
    }

    /// Copies panels of rows of 16 words; of the axis that starts at `first`, what lies beyond
    /// `limit` is filled with zeros.
    fn copy_panels(
        &mut self,
        from: &Address,
        panel_bytes: i64,
        (panels, rows, pitch): (usize, usize, usize),
        (first_panel, first_row): (Option<Reg>, Option<Reg>),
        limit: usize,
        stage: Address,
    ) {
        const CHUNKS: usize = 4;
        let pieces = panels * rows * CHUNKS;
        let threads = THREADS as usize;
        for number in 0..pieces.div_ceil(threads) {
            // Neighbouring threads take the same chunk of rows that lie in different banks.
            let together = if pitch == K_PITCH { 4 } else { 8 };
            let index = self.plus(self.tid, number * threads);
            let (rest, low) = self.split(index, together);
            let (high, chunk) = self.split(rest, CHUNKS);
            let row = self.times_plus(high, together, low);
            let (panel, row) = self.split(row, rows);
            let to = self.times(row, 4 * pitch);
            let to = self.times_plus(chunk, 16, to);
            let to = self.times_plus(panel, 4 * pitch * rows, to);
            let to = Address {
                base: self.plus(stage.base, to),
                ..stage
            };
            let panel = first_panel.map_or(panel, |first| self.plus(panel, first));
            let row = first_row.map_or(row, |first| self.plus(row, first));
            let operands = format_args!("{panel}, {panel_bytes}, {}", from.base);
            let base = self.t.def(Class::B64, "mad.wide.s32", operands);
            let base = self.t.def(
                Class::B64,
                "mad.wide.s32",
                format_args!("{row}, 64, {base}"),
            );
            let base = self.t.def(
                Class::B64,
                "mad.wide.s32",
                format_args!("{chunk}, 16, {base}"),
            );
            let from = Address { base, ..*from };
            let counted = if first_panel.is_some() { panel } else { row };
            let operands = format_args!("{counted}, {limit}");
            let inside = self.t.def(Class::Predicate, "setp.lt.s32", operands);
            let size = self
                .t
                .def(Class::B32, "selp.b32", format_args!("16, 0, {inside}"));
            let guard = match (number + 1) * threads <= pieces {
                true => String::new(),
                false => {
                    let operands = format_args!("{}, {}", self.tid, pieces - number * threads);
                    let exists = self.t.def(Class::Predicate, "setp.lt.u32", operands);
                    format!("@{exists} ")
                }
            };
            let name = format!("{guard}cp.async.cg.shared.global");
            self.t.op(&name, format_args!("{to}, {from}, 16, {size}"));
        }
    }
}
