//! A block contraction, term by term.

use super::Item;
use crate::kernel::{Affine, Contract, Element, PANEL};
use bsq_ir::DType;

impl Item<'_, '_> {
    pub(super) fn contract(&mut self, c: &Contract) {
        let (m, n, k) = (self.extent(&c.m), self.extent(&c.n), self.extent(&c.k));
        for row in 0..m as i64 {
            for column in 0..n {
                let to = shifted(&c.c, row * c.c_row_stride + column as i64);
                let mut sum = match c.accumulate {
                    true => self.f32(&to),
                    false => 0.0,
                };
                let (panel, lane) = (column / PANEL, column % PANEL);
                let panel = panel as i64 * c.b_panel_stride + lane as i64;
                for term in 0..k as i64 {
                    let a = shifted(&c.a, row * c.a_row_stride + term * c.a_k_stride);
                    let b = shifted(&c.b, panel + term * PANEL as i64);
                    sum = self.f32(&a).mul_add(self.f32(&b), sum);
                }
                let at = 4 * self.offset(&to);
                self.bytes(to.place)[at..at + 4].copy_from_slice(&sum.to_le_bytes());
            }
        }
    }

    fn f32(&mut self, element: &Element) -> f32 {
        f32::from_bits(self.load(element, DType::F32) as u32)
    }
}

fn shifted(element: &Element, by: i64) -> Element {
    Element {
        at: element.at.add(&Affine::constant(by)),
        ..element.clone()
    }
}
