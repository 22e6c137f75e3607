//! A block contraction, term by term.

use super::Item;
use crate::kernel::{Contract, Element, Format, PANEL};
use bsq_ir::DType;

impl Item<'_, '_> {
    pub(super) fn contract(&mut self, c: &Contract) {
        let (m, n, k) = (self.extent(&c.m), self.extent(&c.n), self.extent(&c.k));
        let terms = c.format.terms();
        for row in 0..m as i64 {
            for column in 0..n {
                let to = c.c.shifted(row * c.c_row_stride + column as i64);
                let own = c.columns.as_ref().map(|own| own.shifted(column as i64));
                let own = own.map_or(0, |own| self.four_bytes(&own));
                let (panel, lane) = (column / PANEL, column % PANEL);
                let panel = panel as i64 * c.b_panel_stride;
                let mut sum = match (c.accumulate, c.format) {
                    (true, _) => self.four_bytes(&to),
                    (false, Format::Int8) => own,
                    (false, _) => 0,
                };
                for step in 0..k.div_ceil(terms) {
                    for number in 0..terms {
                        let term = c.format.term(number);
                        let at = c.a_term(step * terms + term);
                        let a = c.a.shifted(c.a_row(row as usize) + at);
                        let at = (step * PANEL + lane) * terms + term;
                        let b = c.b.shifted(panel + at as i64);
                        let a = self.load(&a, c.format.a()) as u32;
                        let b = self.load(&b, c.format.b()) as u32;
                        sum = add(c.format, sum, a, b, own);
                    }
                }
                let at = 4 * self.offset(&to);
                self.bytes(to.place)[at..at + 4].copy_from_slice(&sum.to_le_bytes());
            }
        }
    }

    fn four_bytes(&mut self, element: &Element) -> u32 {
        self.load(element, DType::F32) as u32
    }
}

/// A sum with one more term, all as bits; `own` is the column's value.
fn add(format: Format, sum: u32, a: u32, b: u32, own: u32) -> u32 {
    let bf16 = |bits: u32| f32::from_bits(bits << 16);
    let f16 = |bits: u32| half::f16::from_bits(bits as u16).to_f32();
    let (a, b) = match format {
        Format::F32 => (f32::from_bits(a), f32::from_bits(b)),
        Format::Bf16Weights => (f32::from_bits(a), bf16(b)),
        Format::U8Weights => {
            let wide = (b as f32 - 128.0) * f32::from_bits(own);
            (f32::from_bits(a), wide)
        }
        Format::Bf16 => (bf16(a), bf16(b)),
        Format::F16 => (f16(a), f16(b)),
        Format::Int8 => {
            let product = a as i32 * i32::from(b as u8 as i8);
            return sum.wrapping_add(product as u32);
        }
    };
    a.mul_add(b, f32::from_bits(sum)).to_bits()
}
