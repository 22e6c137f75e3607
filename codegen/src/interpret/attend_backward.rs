//! Attention's backward pass for a block of rows, score by score.

use super::Item;
use crate::kernel::{AttendBackward, Element, PANEL, Panels, StridedRows};
use bsq_ir::DType;

impl Item<'_, '_> {
    pub(super) fn attend_backward(&mut self, a: &AttendBackward) {
        let rows = self.extent(&a.rows);
        let first = self.affine(&a.first) as usize;
        let scale = f32::from_bits(a.scale);
        for row in 0..rows {
            let lhs = [0, 1].map(|i| self.row(&a.lhs[i], row, a.depths[i]));
            // Of each column its vectors, the probability, and the gradient of the score.
            let mut seen = Vec::new();
            let mut inner = 0.0;
            for column in 0..a.columns {
                let (query, key) = match a.by_keys {
                    true => (column, first + row),
                    false => (first + row, column),
                };
                if a.causal
                    .is_some_and(|size| key >= (query / size + 1) * size)
                {
                    continue;
                }
                let rhs = [0, 1].map(|i| self.vector(&a.rhs[i], column, a.depths[i]));
                let [score, dp] = [0, 1].map(|i| {
                    let terms = lhs[i].iter().zip(&rhs[i]);
                    terms.map(|(x, y)| x * y).sum::<f32>()
                });
                let of_query = if a.by_keys { column } else { row } as i64;
                let maximum = self.number(&a.maxima, of_query);
                let sum = self.number(&a.sums, of_query);
                let p = (score * scale - maximum).exp() / sum;
                inner += p * dp;
                seen.push((rhs, of_query, p, dp));
            }
            if !a.by_keys {
                self.put(&a.inner.shifted(row as i64), inner);
            }
            for (which, to) in a.results.iter().enumerate() {
                let width = a.depths[which];
                let mut sums = vec![0f32; width];
                for (rhs, of_query, p, dp) in &seen {
                    let factor = match which {
                        0 => p * (dp - self.number(&a.inner, *of_query)) * scale,
                        _ => *p,
                    };
                    let terms = rhs[which].iter();
                    sums.iter_mut()
                        .zip(terms)
                        .for_each(|(sum, x)| *sum += factor * x);
                }
                for (column, sum) in sums.into_iter().enumerate() {
                    self.put(&to.shifted((row * width + column) as i64), sum);
                }
            }
        }
    }

    fn number(&mut self, of: &Element, at: i64) -> f32 {
        f32::from_bits(self.load(&of.shifted(at), DType::F32) as u32)
    }

    fn row(&mut self, side: &StridedRows, row: usize, width: usize) -> Vec<f32> {
        let at = |i: usize| row as i64 * side.row_stride + i as i64 * side.column_stride;
        (0..width)
            .map(|i| self.number(&side.first, at(i)))
            .collect()
    }

    fn vector(&mut self, panels: &Panels, row: usize, width: usize) -> Vec<f32> {
        let at = |i: usize| (i / PANEL) as i64 * panels.stride + (row * PANEL + i % PANEL) as i64;
        (0..width)
            .map(|i| self.number(&panels.first, at(i)))
            .collect()
    }
}
