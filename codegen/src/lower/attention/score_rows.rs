//! What is done with a row of scores: scaled, masked, reduced.

use super::Obstacle;
use super::query_tile::QueryTile;
use crate::kernel::{Affine, Combine, Element, Place, Reduce, Reduction, Stmt, Value, Var};
use crate::lower::builder::KernelBuilder;
use bsq_ir::{DType, Mask, Op};

impl QueryTile<'_> {
    /// Runs `body` for each key of the current row, in lanes; it gets the key's variable and
    /// the score's place.
    pub(super) fn for_each_key(
        &self,
        b: &mut KernelBuilder,
        body: impl FnOnce(&mut KernelBuilder, Var, Affine) -> Result<(), Obstacle>,
    ) -> Result<(), Obstacle> {
        let key = b.axes.var(self.row_keys.largest());
        b.open(&[key]);
        body(b, key, self.score_at(key))?;
        let body = b.close();
        let extent = self.seen_keys.clone();
        b.push(Stmt::vector_loop(key, extent, body));
        Ok(())
    }

    pub(super) fn score_at(&self, key: Var) -> Affine {
        Affine::var(self.row)
            .scale(self.stride as i64)
            .add(&Affine::var(key))
    }

    /// A reduction over the keys of the current row.
    pub(super) fn reduce(
        &self,
        b: &mut KernelBuilder,
        op: Combine,
        term: impl FnOnce(&mut KernelBuilder, Affine) -> Value,
    ) -> Value {
        let key = b.axes.var(self.keys);
        b.open(&[key]);
        let term = term(b, self.score_at(key));
        let body = b.close();
        let value = b.fresh();
        let results = vec![Reduction {
            value,
            dtype: DType::F32,
            op,
            term,
        }];
        b.push(Stmt::Reduce(Reduce {
            var: key,
            extent: self.seen_keys.clone(),
            vector: true,
            body,
            results,
        }));
        value
    }

    /// Scales and masks the scores of the current row in place.
    pub(super) fn scale_and_mask(
        &self,
        b: &mut KernelBuilder,
        scores: Place,
    ) -> Result<(), Obstacle> {
        let query = self.first.add(&Affine::var(self.row));
        let limit = match self.mask {
            Mask::BlockCausal { size } if self.masked => Some(self.visible_keys(b, &query, size)),
            _ => None,
        };
        let bias = match self.mask {
            Mask::Bias => {
                let node = *self
                    .function
                    .node(self.anchor)
                    .operands
                    .last()
                    .expect("the bias");
                let batched =
                    self.function.node(node).shape().rank() > 2 || self.batch_shape.rank() == 0;
                Some(self.matrix(b, node, batched)?)
            }
            _ => None,
        };
        let scale = b.constant(DType::F32, u64::from(self.scale.to_bits()));
        let masked = b.constant(DType::F32, u64::from(f32::NEG_INFINITY.to_bits()));
        self.for_each_key(b, |b, key, at| {
            let from = Element::new(scores, at.clone());
            let score = b.load_here(from, DType::F32);
            let mut score = b.map(Op::Mul, DType::F32, &[score, scale]);
            if let Some(limit) = limit {
                let key = b.index(DType::I32, &self.first_key.add(&Affine::var(key)));
                let visible = b.map(Op::Less, DType::Bool, &[key, limit]);
                score = b.map(Op::Select, DType::F32, &[visible, score, masked]);
            }
            if let Some(bias) = &bias {
                let at = bias.at.add(&query.scale(bias.row_stride));
                let key = self.first_key.add(&Affine::var(key));
                let at = at.add(&key.scale(bias.column_stride));
                let bias = b.load(bias.place, at, None, DType::F32);
                score = b.map(Op::Add, DType::F32, &[score, bias]);
            }
            b.store(scores, at, score);
            Ok(())
        })
    }

    /// How many keys a query sees (`i32`): up to the end of its own block.
    pub(super) fn visible_keys(&self, b: &mut KernelBuilder, query: &Affine, size: usize) -> Value {
        if size == 1 {
            return b.index(DType::I32, &query.offset(1));
        }
        // Exact for positions below 2^22: quotients are that far from the next integer.
        let position = b.index(DType::I32, query);
        let position = b.map(Op::Cast(DType::F32), DType::F32, &[position]);
        let divisor = b.constant(DType::F32, u64::from((size as f32).to_bits()));
        let block = b.map(Op::Div, DType::F32, &[position, divisor]);
        let block = b.map(Op::Floor, DType::F32, &[block]);
        let block = b.map(Op::Cast(DType::I32), DType::I32, &[block]);
        let (one, size) = (
            b.constant(DType::I32, 1),
            b.constant(DType::I32, size as u64),
        );
        let next = b.map(Op::Add, DType::I32, &[block, one]);
        b.map(Op::Mul, DType::I32, &[next, size])
    }

    /// Whether scores can stay unscaled until they are used. A positive factor keeps the order of
    /// scores, also after rounding: the largest product is that of the largest score.
    pub(super) fn scales_late(&self) -> bool {
        !self.masked && self.mask != Mask::Bias && self.scale > 0.0
    }

    pub(super) fn load_row(&self, b: &mut KernelBuilder, place: Place, at: Affine) -> Value {
        b.load_here(Element::new(place, at), DType::F32)
    }

    pub(super) fn open_rows(&self, b: &mut KernelBuilder) {
        b.open(&[self.row]);
    }

    pub(super) fn close_rows(&self, b: &mut KernelBuilder) {
        let body = b.close();
        b.push(Stmt::serial_loop(self.row, self.rows.clone(), body));
    }

    /// The offset of the current row in an array of one element for each query.
    pub(super) fn row_at(&self) -> Affine {
        self.batch_offset(self.queries)
            .add(&self.first)
            .add(&Affine::var(self.row))
    }

    pub(super) fn reciprocal(&self, b: &mut KernelBuilder, value: Value) -> Value {
        let one = b.constant(DType::F32, u64::from(1f32.to_bits()));
        b.map(Op::Div, DType::F32, &[one, value])
    }
}
