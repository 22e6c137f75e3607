//! Attention of a block of queries, row by row.

use super::Item;
use crate::kernel::{Attend, Element, Format, PANEL};
use bsq_ir::DType;

impl Item<'_, '_> {
    pub(super) fn attend(&mut self, a: &Attend) {
        let rows = self.extent(&a.rows) as i64;
        let first = self.affine(&a.first);
        let scale = f32::from_bits(a.scale);
        for row in 0..rows {
            let position = (first + row) as usize;
            let visible = match a.causal {
                Some(size) => ((position / size + 1) * size).min(a.keys),
                None => a.keys,
            };
            let q: Vec<f32> = (0..a.depth as i64)
                .map(|i| {
                    let at = row * a.q_row_stride + i * a.q_column_stride;
                    let q = self.load(&a.q.shifted(at), DType::F32) as u32;
                    rounded(a.format, f32::from_bits(q))
                })
                .collect();
            let mut scores = Vec::with_capacity(visible);
            for key in 0..visible {
                let terms = q.iter().enumerate();
                let products =
                    terms.map(|(i, q)| q * self.packed(a.format, (&a.k, a.k_panel_stride), key, i));
                scores.push(products.sum::<f32>() * scale);
            }
            let maximum = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exps: Vec<f32> = scores.iter().map(|score| (score - maximum).exp()).collect();
            let sum: f32 = exps.iter().sum();
            for column in 0..a.value_depth {
                let terms = exps.iter().enumerate();
                let products = terms.map(|(key, exp)| {
                    let p = rounded(a.format, *exp);
                    p * self.packed(a.format, (&a.v, a.v_panel_stride), column, key)
                });
                let value = products.sum::<f32>() / sum;
                let at = row * a.value_depth as i64 + column as i64;
                self.put(&a.output.shifted(at), value);
            }
            self.put(&a.maxima.shifted(row), maximum);
            self.put(&a.sums.shifted(row), sum);
        }
    }

    /// Term `k` of a column of a packed operand.
    fn packed(
        &mut self,
        format: Format,
        (side, stride): (&Element, i64),
        column: usize,
        k: usize,
    ) -> f32 {
        let panel = (column / PANEL) as i64 * stride;
        let terms = format.terms();
        let within = (k / terms * PANEL + column % PANEL) * terms + k % terms;
        let bits = self.load(&side.shifted(panel + within as i64), format.b());
        match format {
            Format::Bf16 => f32::from_bits((bits as u32) << 16),
            Format::F16 => half::f16::from_bits(bits as u16).to_f32(),
            _ => f32::from_bits(bits as u32),
        }
    }

    pub(super) fn put(&mut self, to: &Element, value: f32) {
        let at = 4 * self.offset(to);
        self.bytes(to.place)[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// A number of an lhs.
fn rounded(format: Format, x: f32) -> f32 {
    match format {
        Format::Bf16 => half::bf16::from_f32(x).to_f32(),
        Format::F16 => half::f16::from_f32(x).to_f32(),
        _ => x,
    }
}
