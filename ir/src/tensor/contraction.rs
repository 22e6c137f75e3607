//! Matrix products and general contractions.

use super::Tensor;
use crate::op::{DotAxes, Op, TypeError};

impl<'g> Tensor<'g> {
    /// Result axes: batch, free of `self`, free of `other`. Pairs are (axis of self, axis of other).
    ///
    /// # Panics
    /// If an axis is there twice or not there, paired axes differ in extent, or the elements are
    /// not `f32`.
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
    ///
    /// # Panics
    /// If the inner extents differ, batch axes do not broadcast, or an operand has no axes.
    #[track_caller]
    pub fn matmul(self, other: Tensor<'g>) -> Tensor<'g> {
        self.beside("matmul", &[other]);
        let (x, y) = (self.ty(), other.ty());
        let (x_rank, y_rank) = (x.shape.rank(), y.shape.rank());
        if x_rank < 2 || y_rank < 2 || (y_rank != 2 && y_rank != x_rank) {
            let what = "needs [batch.., m, k] and [k, n] or [batch.., k, n]";
            TypeError::of_call("matmul", [&x, &y], what).raise();
        }
        let (inner, rows) = (x_rank - 1, y_rank - 2);
        if x.shape[inner] != y.shape[rows] {
            let (a, b) = (x.shape[inner], y.shape[rows]);
            let what = format!(
                "contracted extents differ: {a} on axis {inner} of lhs, {b} on axis {rows} of rhs"
            );
            TypeError::of_call("matmul", [&x, &y], what).raise();
        }
        if let Some(axis) = (0..rows).find(|&axis| x.shape[axis] != y.shape[axis]) {
            let (a, b) = (x.shape[axis], y.shape[axis]);
            let what = format!("batch extents differ on axis {axis}: {a} and {b}");
            TypeError::of_call("matmul", [&x, &y], what).raise();
        }
        let batch: Vec<(usize, usize)> = (0..rows).map(|axis| (axis, axis)).collect();
        self.dot_general(other, &batch, &[(inner, rows)])
    }
}
