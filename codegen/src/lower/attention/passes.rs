//! The forward and the backward pass of a strip.

use super::Blocked;
use super::strip::Strip;
use crate::kernel::{Affine, Combine, Contract, Element, Extent, Format, Place, Stmt, Var};
use crate::lower::Lowered;
use crate::lower::access::Source;
use crate::lower::builder::Builder;
use crate::lower::pack;
use bsq_ir::{DType, Mask, Op};

impl Strip<'_> {
    pub(super) fn forward(&self, b: &mut Builder) -> Result<Lowered, Blocked> {
        let q = self.matrix(b, self.operand(0), true)?;
        let keys = self.packed(b, 0, self.keys, self.depth);
        let values = self.packed(b, 1, self.value_depth, self.keys);
        let (output, maxima, sums) = (self.result(b, 0), self.result(b, 1), self.result(b, 2));
        let scores = b.scratch(DType::F32, self.size * self.stride);
        let c = Element {
            place: scores,
            at: Affine::default(),
            dynamic: None,
        };
        let c = (c, self.stride);
        b.push(self.product(&q, keys, c, self.keys, self.depth));
        self.open_rows(b);
        let load = |b: &mut Builder, at: Affine| self.load_row(b, scores, at);
        // A positive factor keeps the order of scores, also after rounding: the largest product
        // is that of the largest score, and the others can be scaled where they are used.
        let late = self.mask == Mask::None && self.scale > 0.0;
        let scale = b.constant(DType::F32, u64::from(self.scale.to_bits()));
        if !late {
            self.scale_and_mask(b, scores)?;
        }
        let mut maximum = self.reduce(b, Combine::Max, load);
        if late {
            maximum = b.map(Op::Mul, DType::F32, &[maximum, scale]);
        }
        self.for_each_key(b, |b, _, at| {
            let mut score = load(b, at.clone());
            if late {
                score = b.map(Op::Mul, DType::F32, &[score, scale]);
            }
            let shifted = b.map(Op::Sub, DType::F32, &[score, maximum]);
            let exp = b.map(Op::Exp, DType::F32, &[shifted]);
            b.store(scores, at, exp);
            Ok(())
        })?;
        let sum = self.reduce(b, Combine::Sum, load);
        let reciprocal = self.reciprocal(b, sum);
        self.for_each_key(b, |b, _, at| {
            let exp = load(b, at.clone());
            let p = b.map(Op::Mul, DType::F32, &[exp, reciprocal]);
            b.store(scores, at, p);
            Ok(())
        })?;
        b.store(maxima, self.row_at(), maximum);
        b.store(sums, self.row_at(), sum);
        self.close_rows(b);
        let at = self.batch_offset(self.queries * self.value_depth);
        let at = at.add(&self.first.scale(self.value_depth as i64));
        let c = Element {
            place: output,
            at,
            dynamic: None,
        };
        let probabilities = self.strip_scratch(scores);
        let c = (c, self.value_depth);
        b.push(self.product(&probabilities, values, c, self.value_depth, self.keys));
        let body = b.close();
        let grid: Vec<Var> = self.batch.iter().copied().chain([self.strip]).collect();
        Ok(self.finish(b, grid, body, 2))
    }

    pub(super) fn backward(&self, b: &mut Builder) -> Result<Lowered, Blocked> {
        let (q, g) = (
            self.matrix(b, self.operand(0), true)?,
            self.matrix(b, self.operand(5), true)?,
        );
        let maxima = self.row_operand(b, 3)?;
        let sums = self.row_operand(b, 4)?;
        let keys_t = self.packed(b, 0, self.keys, self.depth);
        let values_t = self.packed(b, 1, self.keys, self.value_depth);
        let keys = self.packed(b, 2, self.depth, self.keys);
        let queries = self.packed(b, 3, self.depth, self.queries);
        let gradients = self.packed(b, 4, self.value_depth, self.queries);
        let (dq, dk, dv) = (self.result(b, 0), self.result(b, 1), self.result(b, 2));
        let strip_elements = self.size * self.stride;
        let p_place = b.scratch(DType::F32, strip_elements);
        let ds_place = b.scratch(DType::F32, strip_elements);
        let dk_at = self.batch_offset(self.keys * self.depth);
        let dv_at = self.batch_offset(self.keys * self.value_depth);
        for (place, at, width) in [(dk, &dk_at, self.depth), (dv, &dv_at, self.value_depth)] {
            let zeros = pack::zeros(b, (place, DType::F32), at.clone(), self.keys * width);
            b.push(zeros);
        }

        b.open(&[self.strip]);
        let at_start = |place| Element {
            place,
            at: Affine::default(),
            dynamic: None,
        };
        let scores = (at_start(p_place), self.stride);
        b.push(self.product(&q, keys_t, scores, self.keys, self.depth));
        b.push(self.product(
            &g,
            values_t,
            (at_start(ds_place), self.stride),
            self.keys,
            self.value_depth,
        ));
        self.open_rows(b);
        self.scale_and_mask(b, p_place)?;
        let maximum = self.load_row(b, maxima.0, maxima.1.clone());
        let sum = self.load_row(b, sums.0, sums.1.clone());
        let reciprocal = self.reciprocal(b, sum);
        self.for_each_key(b, |b, _, at| {
            let score = self.load_row(b, p_place, at.clone());
            let shifted = b.map(Op::Sub, DType::F32, &[score, maximum]);
            let exp = b.map(Op::Exp, DType::F32, &[shifted]);
            let p = b.map(Op::Mul, DType::F32, &[exp, reciprocal]);
            b.store(p_place, at, p);
            Ok(())
        })?;
        let inner = self.reduce(b, Combine::Sum, |b, at| {
            let dp = self.load_row(b, ds_place, at.clone());
            let p = self.load_row(b, p_place, at);
            b.map(Op::Mul, DType::F32, &[dp, p])
        });
        let scale = b.constant(DType::F32, u64::from(self.scale.to_bits()));
        self.for_each_key(b, |b, _, at| {
            let dp = self.load_row(b, ds_place, at.clone());
            let p = self.load_row(b, p_place, at.clone());
            let centred = b.map(Op::Sub, DType::F32, &[dp, inner]);
            let ds = b.map(Op::Mul, DType::F32, &[p, centred]);
            let ds = b.map(Op::Mul, DType::F32, &[ds, scale]);
            b.store(ds_place, at, ds);
            Ok(())
        })?;
        self.close_rows(b);
        let dq_at = self.batch_offset(self.queries * self.depth);
        let dq_at = dq_at.add(&self.first.scale(self.depth as i64));
        let c = Element {
            place: dq,
            at: dq_at,
            dynamic: None,
        };
        b.push(self.product(
            &self.strip_scratch(ds_place),
            keys,
            (c, self.depth),
            self.depth,
            self.keys,
        ));
        b.push(self.accumulate(ds_place, queries, dk, dk_at, self.depth));
        b.push(self.accumulate(p_place, gradients, dv, dv_at, self.value_depth));
        let strip_body = b.close();
        let extent = Extent::Static(b.axes.extent(self.strip));
        b.push(Stmt::Loop {
            var: self.strip,
            extent,
            vector: false,
            body: strip_body,
        });
        let body = b.close();
        Ok(self.finish(b, self.batch.clone(), body, 5))
    }

    /// An operand with one element for each query, at the current row.
    fn row_operand(&self, b: &mut Builder, operand: usize) -> Result<(Place, Affine), Blocked> {
        let node = self.operand(operand);
        let mut index = self.batch_index.clone();
        let query = b.axes.var(self.queries);
        index.push(Affine::var(query));
        match b.places().locate(node, index) {
            Ok(Source::Stored(stored, at)) => {
                let row = self.first.add(&Affine::var(self.row));
                Ok((b.node_buffer(stored, false), at.substitute(query, &row)))
            }
            _ => Err(Blocked::Store(node)),
        }
    }

    /// Adds the strip's share, `strip^T * B`, to the gradient of keys or values.
    fn accumulate(
        &self,
        strip: Place,
        (packed, at, panel_stride): (Place, Affine, i64),
        to: Place,
        to_at: Affine,
        width: usize,
    ) -> Stmt {
        let first_row = self.first.scale(crate::kernel::PANEL as i64);
        Stmt::Contract(Box::new(Contract {
            format: Format::F32,
            a: Element {
                place: strip,
                at: Affine::default(),
                dynamic: None,
            },
            a_row_stride: 1,
            a_k_stride: self.stride as i64,
            b: Element {
                place: packed,
                at: at.add(&first_row),
                dynamic: None,
            },
            b_panel_stride: panel_stride,
            columns: None,
            c: Element {
                place: to,
                at: to_at,
                dynamic: None,
            },
            c_row_stride: width as i64,
            m: Extent::Static(self.keys),
            n: Extent::Static(width),
            k: self.rows.clone(),
            accumulate: true,
        }))
    }
}
