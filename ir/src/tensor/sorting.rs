//! Order along an axis of fixed extent, by counting for each element how many go before it.
//!
//! That is n^2 comparisons for n elements, all in parallel and with the same result on every target,
//! which suits the axes of models: experts, classes, candidates. There is no faster way in a graph
//! of static shapes short of a sorting network.

use super::Tensor;
use crate::dtype::DType;
use crate::op::TypeError;

/// The longest axis that is sorted: beyond, n^2 comparisons are the wrong way.
const MOST: usize = 1 << 13;

/// Which elements go first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

impl<'g> Tensor<'g> {
    /// The elements along an axis from the least to the largest, NaN last, and their indices
    /// (`i32`). Equal elements stay in their order. The gradient goes where a value came from.
    ///
    /// It takes n^2 comparisons for an axis of n.
    ///
    /// # Panics
    /// If the axis has more than 8192 elements.
    #[track_caller]
    pub fn sort(self, axis: isize) -> (Tensor<'g>, Tensor<'g>) {
        let count = self.shape()[self.axis("sort", axis)];
        self.ordered("sort", axis, Order::Ascending, count)
    }

    /// The `k` largest elements along an axis, the largest first, NaN last, and their indices
    /// (`i32`). Of equal elements the first come first. The gradient goes where a value came from.
    ///
    /// It takes n^2 comparisons for an axis of n.
    ///
    /// # Panics
    /// If the axis has fewer than `k` elements, or more than 8192.
    #[track_caller]
    pub fn top_k(self, k: usize, axis: isize) -> (Tensor<'g>, Tensor<'g>) {
        let resolved = self.axis("top_k", axis);
        let count = self.shape()[resolved];
        if k > count {
            let what = format!("axis {resolved} has {count} elements, not {k}");
            TypeError::of_call("top_k", [&self.ty()], what).raise();
        }
        self.ordered("top_k", axis, Order::Descending, k)
    }

    /// The first `count` elements in an order, and their indices.
    #[track_caller]
    fn ordered(
        self,
        name: &'static str,
        axis: isize,
        order: Order,
        count: usize,
    ) -> (Tensor<'g>, Tensor<'g>) {
        let axis = self.axis(name, axis) as isize;
        let n = self.shape()[axis as usize];
        if n > MOST {
            let what = format!("axis {axis} has {n} elements: {n}^2 comparisons are too many");
            TypeError::of_call(name, [&self.ty()], what)
                .help("sort parts of at most 8192, or on the host")
                .raise();
        }
        let rows = self.swap_axes(axis, -1);
        let rank = rows.rank() as isize;
        // Element i against each j, in [.., i, j].
        let (x, other) = (rows.unsqueeze(rank), rows.unsqueeze(rank - 1));
        let (i, j) = (
            self.graph().iota(DType::I32, [n, n], 0),
            self.graph().iota(DType::I32, [n, n], 1),
        );
        let before = match order {
            Order::Ascending => other.lt(x),
            Order::Descending => other.gt(x),
        };
        let equal = other.eq(x);
        let (before, equal) = match self.dtype().is_float() {
            false => (before, equal),
            true => {
                let (own, others) = (x.ne(x), other.ne(other));
                (before.or(own.and(!others)), equal.or(own.and(others)))
            }
        };
        let before = before.or(equal.and(j.lt(i)));
        let place = before.cast(DType::I32).sum(-1);
        // The element whose place is p, in [.., i, p].
        let wanted = self.graph().iota(DType::I32, [n, count], 1);
        let number = self.graph().iota(DType::I32, [n, count], 0);
        let hit = place.unsqueeze(rank).eq(wanted);
        let indices = number.broadcast_to(hit.shape()).where_(hit, 0.0).sum(-2);
        let indices = indices.swap_axes(axis, -1);
        (self.take_along(axis, indices), indices)
    }

    /// Elements along an axis at integer `indices`, which have the shape of this tensor but for that
    /// axis: `y[.., i, ..] = x[.., indices[.., i, ..], ..]`, PyTorch's `gather`. Indices outside are
    /// clamped, as those of [`gather`](Tensor::gather).
    ///
    /// # Panics
    /// If the shapes do not fit, or the indices are no integers.
    #[track_caller]
    pub fn take_along(self, axis: isize, indices: Tensor<'g>) -> Tensor<'g> {
        self.beside("take_along", &[indices]);
        let axis = self.axis("take_along", axis);
        let (shape, taken) = (self.shape(), indices.shape());
        let fits = shape.rank() == taken.rank() && shape.without(&[axis]) == taken.without(&[axis]);
        if !fits || !indices.dtype().is_integer() {
            let what = format!("needs integers of the same shape but for axis {axis}");
            TypeError::of_call("take_along", [&self.ty(), &indices.ty()], what).raise();
        }
        if taken.elements() == 0 {
            return self.graph().full(0.0, self.dtype(), taken);
        }
        let last = (shape.rank() - 1) as isize;
        let (rows, places) = (
            self.swap_axes(axis as isize, last),
            indices.swap_axes(axis as isize, last),
        );
        let (extents, wanted) = (rows.shape(), places.shape());
        let n = extents[shape.rank() - 1];
        let count = extents.elements() / n.max(1);
        let flat = [count, wanted[shape.rank() - 1]];
        // Row r begins at r n.
        let start = self.graph().iota(DType::I64, flat, 0) * n as f64;
        let within = places.reshape(flat).cast(DType::I64);
        let within = within.maximum(0.0).minimum(n.saturating_sub(1) as f64);
        let y = rows.reshape([extents.elements()]).gather(0, start + within);
        y.reshape(wanted).swap_axes(axis as isize, last)
    }

    /// 1 at the class that an integer names, else 0: `[..]` to `f32[.., classes]`. An integer that
    /// names no class, below 0 or from `classes` on, gives zeros.
    ///
    /// # Panics
    /// If the elements are no integers.
    #[track_caller]
    pub fn one_hot(self, classes: usize) -> Tensor<'g> {
        if !self.dtype().is_integer() {
            let what = format!("needs integers, got {}", self.dtype());
            TypeError::of_call("one_hot", [&self.ty()], what).raise();
        }
        // Counting classes in a narrow type would begin again at 0.
        let labels = match classes as u64 <= self.dtype().indices() {
            true => self,
            false => self.cast(DType::I64),
        };
        let class = self.graph().iota(labels.dtype(), [classes], 0);
        let rank = self.rank() as isize;
        labels.unsqueeze(rank).eq(class).cast(DType::F32)
    }
}
