//! Matrix products and general contractions.

use super::Tensor;
use crate::op::{DotAxes, Op, TypeError};
use std::panic::Location;

impl<'g> Tensor<'g> {
    /// Result axes: batch, free of `self`, free of `other`. Pairs are (axis of self, axis of other).
    #[track_caller]
    pub fn dot_general(
        self,
        other: Tensor<'g>,
        batch: &[(usize, usize)],
        contract: &[(usize, usize)],
    ) -> Tensor<'g> {
        let (batch, contract) = (batch.to_vec(), contract.to_vec());
        self.apply(Op::DotGeneral(DotAxes { batch, contract }), &[other])
    }

    /// `[batch.., m, k]` times `[batch.., k, n]`, with equal batch axes, or times `[k, n]`.
    #[track_caller]
    pub fn matmul(self, other: Tensor<'g>) -> Tensor<'g> {
        let (x, y) = (self.ty(), other.ty());
        let (x_rank, y_rank) = (x.shape.rank(), y.shape.rank());
        let op = Op::DotGeneral(DotAxes::default());
        let fail = |what: String| -> ! {
            let error = TypeError::new(&op, [&x, &y], what).named("matmul");
            panic!("{}", error.at(Location::caller()))
        };
        if x_rank < 2 || y_rank < 2 || (y_rank != 2 && y_rank != x_rank) {
            fail("needs [batch.., m, k] and [k, n] or [batch.., k, n]".to_string());
        }
        let (inner, rows) = (x_rank - 1, y_rank - 2);
        if x.shape[inner] != y.shape[rows] {
            let (a, b) = (x.shape[inner], y.shape[rows]);
            fail(format!(
                "contracted extents differ: axis {inner} has {a}, axis {rows} has {b}"
            ));
        }
        let batch: Vec<(usize, usize)> = (0..rows).map(|axis| (axis, axis)).collect();
        self.dot_general(other, &batch, &[(inner, rows)])
    }
}
