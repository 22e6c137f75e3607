//! Sums, means, extremes and products over axes, which disappear unless they are in
//! [`Keep`](super::Keep).

use super::Tensor;
use super::axes::{Axes, ReduceAxes};
use crate::dtype::DType;
use crate::op::{Op, TypeError};
use crate::shape::Shape;

impl<'g> Tensor<'g> {
    /// Sum over axes.
    ///
    /// # Panics
    /// If there is no such axis, one is named twice, or the elements are no numbers.
    #[track_caller]
    pub fn sum(self, axes: impl ReduceAxes) -> Tensor<'g> {
        let plan = self.reduction("sum", axes);
        let sum = match plan.axes.is_empty() {
            true => self,
            false => self.apply(Op::Sum(plan.axes.clone()), &[]),
        };
        plan.finish(sum)
    }

    /// Arithmetic mean over axes: the sum times the reciprocal of the count.
    ///
    /// # Panics
    /// If there is no such axis, one is named twice, or the elements are not `f32`.
    #[track_caller]
    pub fn mean(self, axes: impl ReduceAxes) -> Tensor<'g> {
        let plan = self.reduction("mean", axes);
        self.needs_float("mean");
        plan.finish(self.sum(&plan.signed()[..]) * (1.0 / plan.count as f64))
    }

    /// Maximum over axes; NaN if an element is. Equal maxima share the gradient.
    ///
    /// # Panics
    /// If an axis is empty.
    #[track_caller]
    pub fn max(self, axes: impl ReduceAxes) -> Tensor<'g> {
        let plan = self.reduction("max", axes);
        let max = match plan.axes.is_empty() {
            true => self,
            false => self.apply(Op::ReduceMax(plan.axes.clone()), &[]),
        };
        plan.finish(max)
    }

    /// Minimum over axes; NaN if an element is. Equal minima share the gradient.
    ///
    /// # Panics
    /// If an axis is empty.
    #[track_caller]
    pub fn min(self, axes: impl ReduceAxes) -> Tensor<'g> {
        // The order of integers is turned by `!x`: `-x` of the least wraps to itself.
        match self.dtype().is_integer() {
            true => self.logical_not().max(axes).logical_not(),
            false => -((-self).max(axes)),
        }
    }

    /// Product over axes: halves of what is left are multiplied, again and again, so that the order is
    /// fixed and derivatives of every order are right where elements are 0. Of no elements it is 1.
    ///
    /// # Panics
    /// If there is no such axis, one is named twice, or the elements are no numbers.
    #[track_caller]
    pub fn prod(self, axes: impl ReduceAxes) -> Tensor<'g> {
        let plan = self.reduction("prod", axes);
        let kept = self.shape().without(&plan.axes);
        let order: Vec<usize> = (0..self.rank())
            .filter(|axis| !plan.axes.contains(axis))
            .chain(plan.axes.iter().copied())
            .collect();
        let flat = [&kept[..], &[plan.count]].concat();
        let mut left = plan.count.next_power_of_two();
        let ones = left - plan.count;
        let mut factors = self.transpose(&order).reshape(flat).pad(-1, 0, ones, 1.0);
        while left > 1 {
            left /= 2;
            factors = factors.slice(-1, 0..left) * factors.slice(-1, left..2 * left);
        }
        plan.finish(factors.squeeze(-1))
    }

    /// Variance over axes: squares of the distances from the mean, divided by the number of elements
    /// less `correction`. 0 is the biased variance, NumPy's; 1 the unbiased one, PyTorch's. NaN where
    /// nothing is left to divide by.
    ///
    /// # Panics
    /// If there is no such axis, one is named twice, or the elements are not `f32`.
    #[track_caller]
    pub fn var(self, axes: impl ReduceAxes, correction: usize) -> Tensor<'g> {
        let plan = self.reduction("var", axes);
        self.needs_float("var");
        let axes = plan.signed();
        let centred = self - self.mean(super::Keep(&axes[..]));
        let left = plan.count.saturating_sub(correction);
        let squares = centred.square().sum(&axes[..]);
        plan.finish(match left {
            0 => squares * f64::NAN,
            left => squares * (1.0 / left as f64),
        })
    }

    /// The root of [`var`](Tensor::var). Where all elements are equal its gradient is NaN, 0 times the
    /// infinite derivative of the root.
    ///
    /// # Panics
    /// As [`var`](Tensor::var).
    #[track_caller]
    pub fn std(self, axes: impl ReduceAxes, correction: usize) -> Tensor<'g> {
        self.var(axes, correction).sqrt()
    }

    /// `ln(sum(exp(x)))` over axes, without overflow.
    ///
    /// Spelled `m + ln(sum(exp(x - m)))`, which does not depend on m; the maximum m, where it is
    /// finite, is held constant.
    ///
    /// # Panics
    /// If an axis is empty.
    #[track_caller]
    pub fn log_sum_exp(self, axes: impl ReduceAxes) -> Tensor<'g> {
        let plan = self.reduction("log_sum_exp", axes);
        let axes = plan.signed();
        let m = self.max(&axes[..]).stop_gradient();
        let m = m.where_(m.abs().lt(f64::INFINITY), 0.0);
        let shifted = self - m.expand_axes(&axes[..], self.shape());
        plan.finish(shifted.exp().sum(&axes[..]).log() + m)
    }

    /// Whether any element over axes is true, of `bool`; of none it is false.
    ///
    /// # Panics
    /// If there is no such axis, one is named twice, or the elements are not `bool`.
    #[track_caller]
    pub fn any(self, axes: impl ReduceAxes) -> Tensor<'g> {
        let plan = self.reduction("any", axes);
        self.needs_bool("any");
        let count = self.cast(DType::I64).sum(&plan.signed()[..]);
        plan.finish(count.gt(0.0))
    }

    /// Whether all elements over axes are true, of `bool`; of none it is true.
    ///
    /// # Panics
    /// As [`any`](Tensor::any).
    #[track_caller]
    pub fn all(self, axes: impl ReduceAxes) -> Tensor<'g> {
        self.needs_bool("all");
        self.logical_not().any(axes).logical_not()
    }

    #[track_caller]
    fn needs_float(self, name: &'static str) {
        if !self.dtype().is_float() {
            let what = format!("needs f32, got {}", self.dtype());
            TypeError::of_call(name, [&self.ty()], what)
                .help("cast it first")
                .raise();
        }
    }

    #[track_caller]
    fn needs_bool(self, name: &'static str) {
        if self.dtype() != DType::Bool {
            let what = format!("needs bool, got {}", self.dtype());
            TypeError::of_call(name, [&self.ty()], what)
                .help("compare it: x.ne(0.0)")
                .raise();
        }
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
    ///
    /// # Panics
    /// If `shape` does not have the axes, or differs in the others.
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
