//! The backward pass by tiles of scores that are never stored.

use super::Obstacle;
use super::query_tile::{Matrix, QueryTile};
use crate::kernel::{
    Affine, AttendBackward, Element, Extent, Panels, Place, Stmt, StridedRows, Var,
};
use crate::lower::Lowered;
use crate::lower::access::Source;
use crate::lower::attention::backward::INNER;
use crate::lower::builder::{KernelBuilder, Shared};
use bsq_ir::{DType, Mask, Type};

/// Packed operands of K, V, Q and the output's gradient.
const SLOTS: [usize; 4] = [0, 1, 2, 3];

impl QueryTile<'_> {
    /// Of a tile of queries the gradient, and the inner products for the other half.
    pub(super) fn tiles_by_queries(&self, b: &mut KernelBuilder) -> Result<Lowered, Obstacle> {
        let ty = Type::new(DType::F32, [self.batch_shape.elements(), self.queries]);
        let inner = b.buffer(Shared::Extra(self.anchor, INNER), &ty, true);
        let [k, v, _, _] = SLOTS;
        let rows = (self.rows.clone(), self.first.clone(), self.keys);
        let mut lowered = self.tiles(b, (false, [0, 5], [k, v]), rows, inner, self.tile)?;
        lowered.extras.push((Shared::Extra(self.anchor, INNER), ty));
        Ok(lowered)
    }

    /// Of a block of keys the gradients, and those of its values.
    pub(super) fn tiles_by_keys(
        &self,
        b: &mut KernelBuilder,
        block: Var,
    ) -> Result<Lowered, Obstacle> {
        let ty = Type::new(DType::F32, [self.batch_shape.elements(), self.queries]);
        let inner = b.buffer(Shared::Extra(self.anchor, INNER), &ty, false);
        let [_, _, q, g] = SLOTS;
        let rows = (self.row_keys.clone(), self.first_key.clone(), self.queries);
        self.tiles(b, (true, [1, 2], [q, g]), rows, inner, block)
    }

    fn tiles(
        &self,
        b: &mut KernelBuilder,
        (by_keys, lhs, rhs): (bool, [usize; 2], [usize; 2]),
        (rows, first, columns): (Extent, Affine, usize),
        inner: Place,
        block: Var,
    ) -> Result<Lowered, Obstacle> {
        let depths = [self.depth, self.value_depth];
        let mut operands = Vec::new();
        for operand in lhs {
            let Matrix {
                place,
                at,
                row_stride,
                column_stride,
            } = self.matrix(b, self.operand(operand), true)?;
            operands.push(StridedRows {
                first: Element::new(place, at.add(&first.scale(row_stride))),
                row_stride,
                column_stride,
            });
        }
        let panels = [0, 1].map(|i| {
            let (place, at, stride) = self.packed(b, rhs[i], depths[i], columns);
            Panels {
                first: Element::new(place, at),
                stride,
            }
        });
        let from = if by_keys {
            Affine::default()
        } else {
            first.clone()
        };
        let maxima = self.of_queries(b, 3, &from)?;
        let sums = self.of_queries(b, 4, &from)?;
        let inner = Element::new(inner, self.batch_offset(self.queries).add(&from));
        let (count, results) = match by_keys {
            true => (self.keys, vec![(1, self.depth), (2, self.value_depth)]),
            false => (self.queries, vec![(0, self.depth)]),
        };
        let results = results.into_iter().map(|(index, width)| {
            let at = self.batch_offset(count * width);
            Element::new(self.result(b, index), at.add(&first.scale(width as i64)))
        });
        let results = results.collect();
        let lhs = operands.try_into().expect("two operands");
        b.push(Stmt::AttendBackward(Box::new(AttendBackward {
            by_keys,
            lhs,
            rhs: panels,
            maxima,
            sums,
            inner,
            results,
            rows,
            first,
            columns,
            depths,
            scale: self.scale.to_bits(),
            causal: match self.mask {
                Mask::BlockCausal { size } => Some(size),
                Mask::None => None,
                Mask::Bias => unreachable!("a bias takes query tiles"),
            },
        })));
        let body = b.close();
        let grid: Vec<Var> = self.batch.iter().copied().chain([block]).collect();
        // By queries, scores and gradients of probabilities are computed twice.
        let products = if by_keys { 4 } else { 5 };
        Ok(self.finish(b, grid, body, products))
    }

    /// An operand with one element for each query side by side, from a query on.
    fn of_queries(
        &self,
        b: &mut KernelBuilder,
        operand: usize,
        from: &Affine,
    ) -> Result<Element, Obstacle> {
        let node = self.operand(operand);
        let mut index = self.batch_index.clone();
        let query = b.axes.var(self.queries);
        index.push(Affine::var(query));
        match b.addressing().locate(node, index) {
            Ok(Source::Materialized(materialized, at)) if at.coefficient(query) == 1 => {
                let place = b.node_buffer(materialized, false);
                Ok(Element::new(place, at.substitute(query, from)))
            }
            _ => Err(Obstacle::Materialize(node)),
        }
    }
}
