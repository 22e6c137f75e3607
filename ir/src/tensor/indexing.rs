//! Methods whose positions are known only at run time.

use super::Tensor;
use crate::op::Op;

impl<'g> Tensor<'g> {
    /// Elements of `axis` at integer `indices`, whose shape replaces the axis: an embedding is
    /// `table.gather(0, ids)`.
    ///
    /// Indices are values of a run. One that is outside is clamped, not refused: below 0 it is the
    /// first element, from the extent on the last, whose gradient it gets too.
    ///
    /// # Panics
    /// If there is no such axis, or the indices are no integers.
    #[track_caller]
    pub fn gather(self, axis: isize, indices: Tensor<'g>) -> Tensor<'g> {
        let axis = self.axis("gather", axis);
        self.apply(Op::Gather { axis }, &[indices])
    }

    /// Adds `updates` (shaped as a gather of this tensor) at `indices` of `axis`, clamped as those
    /// of [`gather`](Tensor::gather) are.
    ///
    /// # Panics
    /// If there is no such axis, the indices are no integers, or the updates do not have the shape
    /// of a gather.
    #[track_caller]
    pub fn scatter_add(self, axis: isize, indices: Tensor<'g>, updates: Tensor<'g>) -> Tensor<'g> {
        let axis = self.axis("scatter_add", axis);
        self.apply(Op::ScatterAdd { axis }, &[indices, updates])
    }

    /// `size` elements of `axis` from `start` (integer scalar, clamped to fit).
    ///
    /// # Panics
    /// If there is no such axis, it has fewer than `size` elements, or `start` is no integer
    /// scalar.
    #[track_caller]
    pub fn dynamic_slice(self, axis: isize, start: Tensor<'g>, size: usize) -> Tensor<'g> {
        let axis = self.axis("dynamic_slice", axis);
        self.apply(Op::DynamicSlice { axis, size }, &[start])
    }

    /// This tensor with `update` written along `axis` from `start` (clamped to fit).
    ///
    /// # Panics
    /// If there is no such axis, the update does not fit in but for that axis, or `start` is no
    /// integer scalar.
    #[track_caller]
    pub fn dynamic_update_slice(
        self,
        axis: isize,
        update: Tensor<'g>,
        start: Tensor<'g>,
    ) -> Tensor<'g> {
        let axis = self.axis("dynamic_update_slice", axis);
        self.apply(Op::DynamicUpdateSlice { axis }, &[update, start])
    }
}
