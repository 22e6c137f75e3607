//! Sums, means and maxima.

use super::Tensor;
use super::axes::Axes;
use crate::op::{Op, TypeError};
use crate::shape::Shape;

impl<'g> Tensor<'g> {
    /// Sum over axes, which disappear.
    #[track_caller]
    pub fn sum(self, axes: impl Axes) -> Tensor<'g> {
        let axes = self.axes("sum", axes);
        if axes.is_empty() {
            return self;
        }
        self.apply(Op::Sum(axes), &[])
    }

    /// Arithmetic mean over axes: the sum times the reciprocal of the count.
    #[track_caller]
    pub fn mean(self, axes: impl Axes) -> Tensor<'g> {
        let shape = self.shape();
        let axes = self.axes("mean", axes);
        if !self.dtype().is_float() {
            let what = format!("needs f32, got {}", self.dtype());
            TypeError::of_call("mean", [&self.ty()], what)
                .help("cast it first")
                .raise();
        }
        let count: usize = axes.iter().map(|&axis| shape[axis]).product();
        let signed: Vec<isize> = axes.iter().map(|&axis| axis as isize).collect();
        self.sum(&signed[..]) * (1.0 / count as f64)
    }

    /// Maximum over axes, which disappear.
    #[track_caller]
    pub fn max(self, axes: impl Axes) -> Tensor<'g> {
        let axes = self.axes("max", axes);
        if axes.is_empty() {
            return self;
        }
        self.apply(Op::ReduceMax(axes), &[])
    }

    /// Index (`i32`) of the first maximum along an axis; of the first NaN if there is one.
    ///
    /// # Panics
    /// If the axis is empty or has more elements than `i32` counts, 2^31.
    #[track_caller]
    pub fn argmax(self, axis: isize) -> Tensor<'g> {
        self.apply(Op::ArgMax(self.axis("argmax", axis)), &[])
    }

    /// Repeats a reduced tensor over the axes that were reduced from `shape`: the inverse in
    /// shape of `sum` and `max`.
    #[track_caller]
    pub fn expand_axes(self, axes: impl Axes, shape: impl Into<Shape>) -> Tensor<'g> {
        let shape = shape.into();
        let reduced = match axes.resolve(shape.rank()) {
            Ok(reduced) => reduced,
            Err(what) => {
                let what = format!("{what} of {shape}");
                TypeError::of_call("expand_axes", [&self.ty()], what).raise()
            }
        };
        let kept: Vec<usize> = (0..shape.rank())
            .filter(|axis| !reduced.contains(axis))
            .collect();
        self.broadcast_in_dim(shape, &kept)
    }
}
