//! The forward pass of a query tile.

use super::Obstacle;
use super::query_tile::QueryTile;
use crate::kernel::{Affine, Attend, Combine, Element, Extent, Format, Stmt, Var};
use crate::lower::Lowered;
use crate::lower::builder::KernelBuilder;
use bsq_ir::{DType, Mask, Op};

impl QueryTile<'_> {
    pub(super) fn forward(&self, b: &mut KernelBuilder) -> Result<Lowered, Obstacle> {
        let q = self.matrix(b, self.operand(0), true)?;
        let q = self.rows_of(b, q, self.depth);
        let keys = self.packed(b, 0, self.keys, self.depth);
        let values = self.packed(b, 1, self.value_depth, self.keys);
        let (output, maxima, sums) = (self.result(b, 0), self.result(b, 1), self.result(b, 2));
        let scores = b.scratch(DType::F32, self.size * self.stride);
        let c = Element::first(scores);
        let c = (c, self.stride);
        b.push(self.product(
            &q,
            keys,
            c,
            self.seen_keys.clone(),
            Extent::Static(self.depth),
        ));
        self.open_rows(b);
        let load = |b: &mut KernelBuilder, at: Affine| self.load_row(b, scores, at);
        let deferred_scale = self.scales_late();
        let scale = b.constant(DType::F32, u64::from(self.scale.to_bits()));
        if !deferred_scale {
            self.scale_and_mask(b, scores)?;
        }
        let mut maximum = self.reduce(b, Combine::Max, load);
        if deferred_scale {
            maximum = b.map(Op::Mul, DType::F32, &[maximum, scale]);
        }
        self.for_each_key(b, |b, _, at| {
            let mut score = load(b, at.clone());
            if deferred_scale {
                score = b.map(Op::Mul, DType::F32, &[score, scale]);
            }
            let shifted = b.map(Op::Sub, DType::F32, &[score, maximum]);
            let exp = b.map(Op::Exp, DType::F32, &[shifted]);
            b.store(scores, at, exp);
            Ok(())
        })?;
        let sum = self.reduce(b, Combine::Sum, load);
        let reciprocal = self.reciprocal(b, sum);
        let rounded = match self.format {
            Format::F32 => scores,
            _ => b.scratch(self.format.a(), self.size * self.stride),
        };
        self.for_each_key(b, |b, _, at| {
            let exp = load(b, at.clone());
            let mut p = b.map(Op::Mul, DType::F32, &[exp, reciprocal]);
            if rounded != scores {
                let dtype = self.format.a();
                p = b.map(Op::Cast(dtype), dtype, &[p]);
            }
            b.store(rounded, at, p);
            Ok(())
        })?;
        b.store(maxima, self.row_at(), maximum);
        b.store(sums, self.row_at(), sum);
        self.close_rows(b);
        let at = self.batch_offset(self.queries * self.value_depth);
        let at = at.add(&self.first.scale(self.value_depth as i64));
        let c = Element::new(output, at);
        let probabilities = self.strip_scratch(rounded);
        let c = (c, self.value_depth);
        let columns = Extent::Static(self.value_depth);
        b.push(self.product(&probabilities, values, c, columns, self.seen_keys.clone()));
        let body = b.close();
        let grid: Vec<Var> = self.batch.iter().copied().chain([self.tile]).collect();
        Ok(self.finish(b, grid, body, 2))
    }

    /// The forward pass without scores in memory.
    pub(super) fn online(&self, b: &mut KernelBuilder) -> Result<Lowered, Obstacle> {
        let q = self.matrix(b, self.operand(0), true)?;
        let (k, k_at, k_panel_stride) = self.packed(b, 0, self.keys, self.depth);
        let (v, v_at, v_panel_stride) = self.packed(b, 1, self.value_depth, self.keys);
        let [output, maxima, sums] = [0, 1, 2].map(|index| self.result(b, index));
        let of_rows = |width: usize| {
            let first = self.first.scale(width as i64);
            self.batch_offset(self.queries * width).add(&first)
        };
        b.push(Stmt::Attend(Box::new(Attend {
            format: self.format,
            q: Element::new(q.place, self.strip_of(&q)),
            q_row_stride: q.row_stride,
            q_column_stride: q.column_stride,
            k: Element::new(k, k_at),
            k_panel_stride,
            v: Element::new(v, v_at),
            v_panel_stride,
            output: Element::new(output, of_rows(self.value_depth)),
            maxima: Element::new(maxima, of_rows(1)),
            sums: Element::new(sums, of_rows(1)),
            rows: self.rows.clone(),
            keys: self.keys,
            depth: self.depth,
            value_depth: self.value_depth,
            scale: self.scale.to_bits(),
            causal: match self.mask {
                Mask::BlockCausal { size } => Some(size),
                Mask::None | Mask::Bias => None,
            },
            first: self.first.clone(),
        })));
        let body = b.close();
        let grid: Vec<Var> = self.batch.iter().copied().chain([self.tile]).collect();
        Ok(self.finish(b, grid, body, 2))
    }
}
