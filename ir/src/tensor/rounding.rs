//! Rounding to whole numbers, from the one that is an operation, `floor`. No gradient passes.

use super::Tensor;

impl<'g> Tensor<'g> {
    /// The least whole number that is not below.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn ceil(self) -> Tensor<'g> {
        -(-self).floor()
    }

    /// The whole number towards 0.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn trunc(self) -> Tensor<'g> {
        self.ceil().where_(self.lt(0.0), self.floor())
    }

    /// The nearest whole number, of two as near the even one: `f32::round_ties_even`.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn round(self) -> Tensor<'g> {
        let size = self.abs();
        let below = size.floor();
        // Exact: what is above the point of a number is as fine as the number.
        let rest = size - below;
        let half = below * 0.5;
        let odd = half.floor().ne(half);
        let up = rest.gt(0.5).or(rest.eq(0.5).and(odd));
        let rounded = below + below.full_like(1.0).where_(up, 0.0);
        // The sign also of what becomes zero.
        rounded * self.sign()
    }
}
