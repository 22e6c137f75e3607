//! Copies of keys and values into shared memory.

use super::super::code::{Address, Class, Reg};
use super::super::emit::Emitter;
use super::super::plan::attention::{NEXT_PITCH, ROWS, THREADS, Values, k_bytes, keys as keys_of};
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
        let (terms, size) = (a.format.terms(), a.format.b().size() as i64);
        let key_panels = keys_of(a) / PANEL;
        let first = self.times(block, key_panels);
        let piece = (key_panels, a.depth / terms, NEXT_PITCH);
        let panels = a.keys.div_ceil(PANEL);
        self.copy_panels(
            keys,
            size * a.k_panel_stride,
            piece,
            (Some(first), None),
            (panels, false),
            *stage,
        );
        // Values: every panel, some rows of words of each.
        let staged = Values::of(a);
        let first = self.times(block, ROWS);
        let piece = (a.value_depth / PANEL, ROWS, staged.pitch);
        let stage = stage.plus(k_bytes(a) as i64);
        let rows = a.keys.div_ceil(terms);
        self.copy_panels(
            values,
            size * a.v_panel_stride,
            piece,
            (None, Some(first)),
            (rows, staged.gathered),
            stage,
        );
        self.t.op("cp.async.commit_group", ());
    }

    /// Copies panels of rows of 16 words; of the axis that starts at `first`, what lies beyond
    /// `limit` is filled with zeros. `gathered`: of 16 rows, 0, 4, 8 and 12 come first.
    pub(super) fn copy_panels(
        &mut self,
        from: &Address,
        panel_bytes: i64,
        (panels, rows, pitch): (usize, usize, usize),
        (first_panel, first_row): (Option<Reg>, Option<Reg>),
        (limit, gathered): (usize, bool),
        stage: Address,
    ) {
        const CHUNKS: usize = 4;
        let pieces = panels * rows * CHUNKS;
        let threads = THREADS as usize;
        for number in 0..pieces.div_ceil(threads) {
            // Neighbouring threads take the same chunk of rows that lie in different banks.
            let together = if pitch == NEXT_PITCH { 4 } else { 8 };
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
            let row = match gathered {
                true => self.gathered(row),
                false => row,
            };
            let panel = first_panel.map_or(panel, |first| self.plus(panel, first));
            let row = first_row.map_or(row, |first| self.plus(row, first));
            let base = self
                .t
                .def(Class::B64, "mad.wide.s32", (panel, panel_bytes, from.base));
            let base = self.t.def(Class::B64, "mad.wide.s32", (row, 64, base));
            let base = self.t.def(Class::B64, "mad.wide.s32", (chunk, 16, base));
            let from = Address { base, ..*from };
            let counted = if first_panel.is_some() { panel } else { row };
            let inside = self
                .t
                .def(Class::Predicate, "setp.lt.s32", (counted, limit));
            let size = self.t.def(Class::B32, "selp.b32", (16, 0, inside));
            let exists = match (number + 1) * threads <= pieces {
                true => None,
                false => {
                    let rest = pieces - number * threads;
                    Some(
                        self.t
                            .def(Class::Predicate, "setp.lt.u32", (self.tid, rest)),
                    )
                }
            };
            self.t.copy(to, from, 16, Some(size)).when(exists);
        }
    }

    /// Of 16 rows, numbered as 4 by 4, the one on the other side of the diagonal.
    fn gathered(&mut self, row: Reg) -> Reg {
        let (fours, low) = self.split(row, 4);
        let (sixteens, high) = self.split(fours, 4);
        let row = self.times_plus(low, 4, high);
        self.times_plus(sixteens, 16, row)
    }
}
