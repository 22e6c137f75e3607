//! Running sums along an axis, and the triangles of matrices.

use super::Tensor;
use crate::dtype::DType;
use crate::op::TypeError;

impl<'g> Tensor<'g> {
    /// Sums of all elements up to each, itself included, along an axis.
    ///
    /// In each of `log2(n)` rounds an element is added to the one 1, 2, 4, .. places behind it, so
    /// that a sum is one of a balanced tree: n log n additions, in a fixed order.
    ///
    /// # Panics
    /// If there is no such axis, or the elements are no numbers.
    #[track_caller]
    pub fn cumsum(self, axis: isize) -> Tensor<'g> {
        let extent = self.shape()[self.axis("cumsum", axis)];
        let (mut sums, mut places) = (self, 1);
        while places < extent {
            let behind = sums.slice(axis, 0..extent - places);
            sums = sums + behind.pad(axis, places, 0, 0.0);
            places *= 2;
        }
        sums
    }

    /// The lower triangle of the matrices of the last two axes: elements whose column is at most
    /// `row + diagonal`; the others are 0.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn tril(self, diagonal: isize) -> Tensor<'g> {
        let above = self.above("tril", diagonal);
        self.full_like(0.0).where_(above, self)
    }

    /// The upper triangle of the matrices of the last two axes: elements whose column is at least
    /// `row + diagonal`; the others are 0.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn triu(self, diagonal: isize) -> Tensor<'g> {
        let above = self.above("triu", diagonal.saturating_sub(1));
        self.where_(above, self.full_like(0.0))
    }

    /// Where the column is above `row + diagonal`, for the matrices of the last two axes.
    #[track_caller]
    fn above(self, name: &'static str, diagonal: isize) -> Tensor<'g> {
        let shape = self.shape();
        if shape.rank() < 2 {
            TypeError::of_call(name, [&self.ty()], "needs at least two axes").raise();
        }
        let matrix = &shape[shape.rank() - 2..];
        let most = matrix.iter().copied().max().unwrap_or(0) as i64;
        let diagonal = (diagonal as i64).clamp(-most - 1, most + 1);
        let place = |axis| self.graph().iota(DType::I64, matrix, axis);
        let above = place(1).gt(place(0) + diagonal as f64);
        above.broadcast_to(shape)
    }
}
