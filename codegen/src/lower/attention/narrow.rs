//! The forward pass of a query tile in bf16 or f16: outside *the same bits everywhere*, and so with fewer passes.
//!
//! Probabilities are rounded before they are divided by their sum, which is that of the rounded
//! ones, and the sum divides the few channels of the result instead of the many probabilities.

use super::Obstacle;
use super::query_tile::QueryTile;
use crate::kernel::{Affine, Combine, Element, Extent, Stmt, Var};
use crate::lower::Lowered;
use crate::lower::builder::KernelBuilder;
use bsq_ir::{DType, Op};

impl QueryTile<'_> {
    pub(super) fn forward_narrow(&self, b: &mut KernelBuilder) -> Result<Lowered, Obstacle> {
        let (dtype, f32) = (self.format.a(), DType::F32);
        let q = self.matrix(b, self.operand(0), true)?;
        let q = self.rows_of(b, q, self.depth);
        let keys = self.packed(b, 0, self.keys, self.depth);
        let values = self.packed(b, 1, self.value_depth, self.keys);
        let (output, maxima, sums) = (self.result(b, 0), self.result(b, 1), self.result(b, 2));
        let scores = b.scratch(f32, self.size * self.stride);
        let rounded = b.scratch(dtype, self.size * self.stride);
        let product = b.scratch(f32, self.size * self.value_depth);
        let reciprocals = b.scratch(f32, self.size);
        let of_row = Affine::var(self.row);

        b.push(self.product(
            &q,
            keys,
            (Element::first(scores), self.stride),
            self.seen_keys.clone(),
            Extent::Static(self.depth),
        ));
        self.open_rows(b);
        let deferred_scale = self.scales_late();
        if !deferred_scale {
            self.scale_and_mask(b, scores)?;
        }
        let scale = b.constant(f32, u64::from(self.scale.to_bits()));
        let mut maximum = self.reduce(b, Combine::Max, |b, at| self.load_row(b, scores, at));
        if deferred_scale {
            maximum = b.map(Op::Mul, f32, &[maximum, scale]);
        }
        self.for_each_key(b, |b, _, at| {
            let mut score = self.load_row(b, scores, at.clone());
            if deferred_scale {
                score = b.map(Op::Mul, f32, &[score, scale]);
            }
            let shifted = b.map(Op::Sub, f32, &[score, maximum]);
            let exp = b.map(Op::Exp, f32, &[shifted]);
            let exp = b.map(Op::Cast(dtype), dtype, &[exp]);
            b.store(rounded, at, exp);
            Ok(())
        })?;
        let sum = self.reduce(b, Combine::Sum, |b, at| {
            let exp = b.load_here(Element::new(rounded, at), dtype);
            b.map(Op::Cast(f32), f32, &[exp])
        });
        let reciprocal = self.reciprocal(b, sum);
        b.store(reciprocals, of_row.clone(), reciprocal);
        b.store(maxima, self.row_at(), maximum);
        b.store(sums, self.row_at(), sum);
        self.close_rows(b);

        let probabilities = self.strip_scratch(rounded);
        let c = (Element::first(product), self.value_depth);
        let columns = Extent::Static(self.value_depth);
        b.push(self.product(&probabilities, values, c, columns, self.seen_keys.clone()));
        self.open_rows(b);
        let reciprocal = self.load_row(b, reciprocals, of_row.clone());
        let channel = b.axes.var(self.value_depth);
        b.open(&[channel]);
        let at = of_row.scale(self.value_depth as i64);
        let at = at.add(&Affine::var(channel));
        let value = self.load_row(b, product, at.clone());
        let value = b.map(Op::Mul, f32, &[value, reciprocal]);
        let strip_at = self.batch_offset(self.queries * self.value_depth);
        let strip_at = strip_at.add(&self.first.scale(self.value_depth as i64));
        b.store(output, strip_at.add(&at), value);
        let body = b.close();
        b.push(Stmt::vector_loop(
            channel,
            Extent::Static(self.value_depth),
            body,
        ));
        self.close_rows(b);
        let body = b.close();
        let grid: Vec<Var> = self.batch.iter().copied().chain([self.tile]).collect();
        Ok(self.finish(b, grid, body, 2))
    }
}
