//! The backward pass of a query tile, and its two halves for targets with many blocks of threads.
//!
//! Gradients of keys and values are sums over all queries in ascending order. One kernel for each
//! point of the batch adds them up tile by tile. Where that leaves most of a machine idle, one
//! kernel has a tile of queries against all keys, and gives the gradient of queries; another has
//! a block of keys against one tile after the other, and computes the scores again.

use super::Obstacle;
use super::query_tile::{Matrix, QueryTile};
use crate::kernel::{
    Affine, Combine, Contract, Element, Extent, Format, PANEL, Place, Stmt, Value, Var,
};
use crate::lower::Lowered;
use crate::lower::access::Source;
use crate::lower::builder::{KernelBuilder, Shared};
use crate::lower::pack;
use bsq_ir::{DType, Op, Type};

/// The slot of what the first half computes for the second: of every query, the sum of its
/// probabilities times their gradients.
pub(super) const INNER: usize = 5;

/// A packed operand: where it is, its first element, elements from one panel to the next.
type Packed = (Place, Affine, i64);

/// What both halves read.
struct Operands {
    q: Matrix,
    g: Matrix,
    keys_t: Packed,
    values_t: Packed,
    /// Of the current row: the largest score, and the sum of exponentials.
    maxima: (Place, Affine),
    sums: (Place, Affine),
}

/// Rows of scores in scratch: probabilities, and the gradients of scores.
#[derive(Clone, Copy)]
struct ScoreBuffers {
    p: Place,
    ds: Place,
}

/// Gradients that are sums over tiles, and the packed operands of what is added.
struct Share {
    dk: Place,
    dv: Place,
    queries: Packed,
    gradients: Packed,
}

impl QueryTile<'_> {
    /// All of it in one kernel.
    pub(super) fn backward(&self, b: &mut KernelBuilder) -> Result<Lowered, Obstacle> {
        let operands = self.operands(b)?;
        let keys = self.packed(b, 2, self.depth, self.keys);
        let (dq, share) = (self.result(b, 0), self.share(b));
        let rows = self.score_buffers(b);
        self.zero(b, &share);
        b.open(&[self.tile]);
        self.gradients_of_scores(b, &operands, rows, None)?;
        self.gradient_of_queries(b, rows, keys, dq);
        self.add_share(b, rows, &share);
        self.close_strips(b);
        let body = b.close();
        Ok(self.finish(b, self.batch.clone(), body, 5))
    }

    /// The first half: a tile of queries.
    pub(super) fn backward_queries(&self, b: &mut KernelBuilder) -> Result<Lowered, Obstacle> {
        let operands = self.operands(b)?;
        let keys = self.packed(b, 2, self.depth, self.keys);
        let dq = self.result(b, 0);
        let rows = self.score_buffers(b);
        let ty = self.inner_type();
        let inner = b.buffer(Shared::Extra(self.anchor, INNER), &ty, true);
        self.gradients_of_scores(b, &operands, rows, Some(inner))?;
        self.gradient_of_queries(b, rows, keys, dq);
        let body = b.close();
        let grid: Vec<Var> = self.batch.iter().copied().chain([self.tile]).collect();
        let mut lowered = self.finish(b, grid, body, 3);
        lowered.extras.push((Shared::Extra(self.anchor, INNER), ty));
        Ok(lowered)
    }

    /// The second half: the block of keys that this tile's rows are about.
    pub(super) fn backward_keys(
        &self,
        b: &mut KernelBuilder,
        block: Var,
    ) -> Result<Lowered, Obstacle> {
        let mut operands = self.operands(b)?;
        for side in [&mut operands.keys_t, &mut operands.values_t] {
            let panels = self.row_keys.largest() / PANEL;
            side.1 = side
                .1
                .add(&Affine::var(block).scale(panels as i64 * side.2));
        }
        let share = self.share(b);
        let rows = self.score_buffers(b);
        let ty = self.inner_type();
        let inner = b.buffer(Shared::Extra(self.anchor, INNER), &ty, false);
        self.zero(b, &share);
        b.open(&[self.tile]);
        self.scores(b, &operands, rows);
        self.open_rows(b);
        self.probabilities(b, &operands, rows)?;
        let inner = self.load_row(b, inner, self.row_at());
        self.scaled_gradients(b, rows, inner)?;
        self.close_rows(b);
        self.add_share(b, rows, &share);
        self.close_strips(b);
        let body = b.close();
        let grid: Vec<Var> = self.batch.iter().copied().chain([block]).collect();
        // Scores and gradients of probabilities are computed again.
        Ok(self.finish(b, grid, body, 4))
    }

    fn inner_type(&self) -> Type {
        Type::new(DType::F32, [self.batch_shape.elements(), self.queries])
    }

    fn operands(&self, b: &mut KernelBuilder) -> Result<Operands, Obstacle> {
        Ok(Operands {
            q: self.matrix(b, self.operand(0), true)?,
            g: self.matrix(b, self.operand(5), true)?,
            keys_t: self.packed(b, 0, self.keys, self.depth),
            values_t: self.packed(b, 1, self.keys, self.value_depth),
            maxima: self.row_operand(b, 3)?,
            sums: self.row_operand(b, 4)?,
        })
    }

    fn score_buffers(&self, b: &mut KernelBuilder) -> ScoreBuffers {
        let elements = self.size * self.stride;
        ScoreBuffers {
            p: b.scratch(DType::F32, elements),
            ds: b.scratch(DType::F32, elements),
        }
    }

    /// Scores, and gradients of probabilities.
    fn scores(&self, b: &mut KernelBuilder, operands: &Operands, rows: ScoreBuffers) {
        let products = [
            (&operands.q, &operands.keys_t, rows.p, self.depth),
            (&operands.g, &operands.values_t, rows.ds, self.value_depth),
        ];
        for (lhs, rhs, place, depth) in products {
            let c = (Element::first(place), self.stride);
            let (keys, depth) = (self.seen_keys.clone(), Extent::Static(depth));
            b.push(self.product(lhs, rhs.clone(), c, keys, depth));
        }
    }

    /// The current row's probabilities in place of its scores.
    fn probabilities(
        &self,
        b: &mut KernelBuilder,
        operands: &Operands,
        rows: ScoreBuffers,
    ) -> Result<(), Obstacle> {
        self.scale_and_mask(b, rows.p)?;
        let maximum = self.load_row(b, operands.maxima.0, operands.maxima.1.clone());
        let sum = self.load_row(b, operands.sums.0, operands.sums.1.clone());
        let reciprocal = self.reciprocal(b, sum);
        self.for_each_key(b, |b, _, at| {
            let score = self.load_row(b, rows.p, at.clone());
            let shifted = b.map(Op::Sub, DType::F32, &[score, maximum]);
            let exp = b.map(Op::Exp, DType::F32, &[shifted]);
            let p = b.map(Op::Mul, DType::F32, &[exp, reciprocal]);
            b.store(rows.p, at, p);
            Ok(())
        })
    }

    /// The current row's gradients of scores in place of those of probabilities.
    fn scaled_gradients(
        &self,
        b: &mut KernelBuilder,
        rows: ScoreBuffers,
        inner: Value,
    ) -> Result<(), Obstacle> {
        let scale = b.constant(DType::F32, u64::from(self.scale.to_bits()));
        self.for_each_key(b, |b, _, at| {
            let dp = self.load_row(b, rows.ds, at.clone());
            let p = self.load_row(b, rows.p, at.clone());
            let centred = b.map(Op::Sub, DType::F32, &[dp, inner]);
            let ds = b.map(Op::Mul, DType::F32, &[p, centred]);
            let ds = b.map(Op::Mul, DType::F32, &[ds, scale]);
            b.store(rows.ds, at, ds);
            Ok(())
        })
    }

    /// Both for every row of a tile against all keys; the sums on the way are kept in `inner`.
    fn gradients_of_scores(
        &self,
        b: &mut KernelBuilder,
        operands: &Operands,
        rows: ScoreBuffers,
        kept: Option<Place>,
    ) -> Result<(), Obstacle> {
        self.scores(b, operands, rows);
        self.open_rows(b);
        self.probabilities(b, operands, rows)?;
        let inner = self.reduce(b, Combine::Sum, |b, at| {
            let dp = self.load_row(b, rows.ds, at.clone());
            let p = self.load_row(b, rows.p, at);
            b.map(Op::Mul, DType::F32, &[dp, p])
        });
        if let Some(kept) = kept {
            b.store(kept, self.row_at(), inner);
        }
        self.scaled_gradients(b, rows, inner)?;
        self.close_rows(b);
        Ok(())
    }

    fn gradient_of_queries(
        &self,
        b: &mut KernelBuilder,
        rows: ScoreBuffers,
        keys: Packed,
        dq: Place,
    ) {
        let at = self.batch_offset(self.queries * self.depth);
        let c = Element::new(dq, at.add(&self.first.scale(self.depth as i64)));
        let (ds, columns) = (self.strip_scratch(rows.ds), Extent::Static(self.depth));
        let seen = self.seen_keys.clone();
        b.push(self.product(&ds, keys, (c, self.depth), columns, seen));
    }

    fn close_strips(&self, b: &mut KernelBuilder) {
        let body = b.close();
        let extent = Extent::Static(b.axes.extent(self.tile));
        b.push(Stmt::serial_loop(self.tile, extent, body));
    }

    /// An operand with one element for each query, at the current row.
    fn row_operand(
        &self,
        b: &mut KernelBuilder,
        operand: usize,
    ) -> Result<(Place, Affine), Obstacle> {
        let node = self.operand(operand);
        let mut index = self.batch_index.clone();
        let query = b.axes.var(self.queries);
        index.push(Affine::var(query));
        match b.addressing().locate(node, index) {
            Ok(Source::Materialized(materialized, at)) => {
                let row = self.first.add(&Affine::var(self.row));
                Ok((
                    b.node_buffer(materialized, false),
                    at.substitute(query, &row),
                ))
            }
            _ => Err(Obstacle::Materialize(node)),
        }
    }

    fn share(&self, b: &mut KernelBuilder) -> Share {
        Share {
            dk: self.result(b, 1),
            dv: self.result(b, 2),
            queries: self.packed(b, 3, self.depth, self.queries),
            gradients: self.packed(b, 4, self.value_depth, self.queries),
        }
    }

    /// Fills the gradients of this row's keys and of their values with zero.
    fn zero(&self, b: &mut KernelBuilder, share: &Share) {
        for (place, width) in [(share.dk, self.depth), (share.dv, self.value_depth)] {
            let first = self.first_key.scale(width as i64);
            let extent = match &self.row_keys {
                Extent::Static(keys) => Extent::Static(keys * width),
                Extent::Block { size, limit, .. } => Extent::Block {
                    size: size * width,
                    start: first.clone(),
                    limit: limit * width,
                },
                Extent::Visible { .. } => unreachable!("rows of scores are of all keys"),
            };
            let at = self.batch_offset(self.keys * width).add(&first);
            let zeros = pack::zeros(b, (place, DType::F32), at, extent);
            b.push(zeros);
        }
    }

    /// Adds the tile's share to both.
    fn add_share(&self, b: &mut KernelBuilder, rows: ScoreBuffers, share: &Share) {
        let (queries, gradients) = (share.queries.clone(), share.gradients.clone());
        b.push(self.accumulate(rows.ds, queries, share.dk, self.depth));
        b.push(self.accumulate(rows.p, gradients, share.dv, self.value_depth));
    }

    /// Adds the tile's share, `rows^T * B`, to the gradient of keys or values.
    fn accumulate(
        &self,
        rows: Place,
        (packed, at, panel_stride): (Place, Affine, i64),
        to: Place,
        width: usize,
    ) -> Stmt {
        let first_row = self.first.scale(PANEL as i64);
        let to_at = self.batch_offset(self.keys * width);
        Stmt::Contract(Box::new(Contract {
            format: Format::F32,
            a: Element::first(rows),
            a_row_stride: 1,
            a_k_stride: self.stride as i64,
            a_groups: Vec::new(),
            a_row_groups: Vec::new(),
            b: Element::new(packed, at.add(&first_row)),
            b_panel_stride: panel_stride,
            columns: None,
            c: Element::new(to, to_at.add(&self.first_key.scale(width as i64))),
            c_row_stride: width as i64,
            m: self.seen_keys.clone(),
            n: Extent::Static(width),
            k: self.rows.clone(),
            accumulate: true,
        }))
    }
}
