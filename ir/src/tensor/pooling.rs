//! Pooling, and slices with a step that spell it.

use super::{Slide, Tensor};
use crate::op::{Op, Padding, TypeError};
use crate::shape::Shape;

impl<'g> Tensor<'g> {
    /// The largest of each window of `size x size`, one every `stride`, of images
    /// `[n, c, h, w]`; what is left over at the end is left out. It is PyTorch's `max_pool2d`: of
    /// equal values in a window the first, row by row, gets the gradient.
    ///
    /// # Panics
    /// If this is no image, or smaller than a window.
    #[track_caller]
    pub fn max_pool2d(self, size: usize, stride: usize) -> Tensor<'g> {
        let slide = Slide {
            stride,
            ..Slide::default()
        };
        self.max_pool(&[size; 2], &[slide; 2])
    }

    /// The largest of each window, along as many axes behind `[batch, channels]` as there are
    /// sizes. What is added outside is never the largest. Of equal values in a window the first,
    /// row-major, gets the gradient.
    ///
    /// # Panics
    /// If the axes are not as many, or shorter than a window.
    #[track_caller]
    pub fn max_pool(self, sizes: &[usize], slides: &[Slide]) -> Tensor<'g> {
        let padded = self.padded_for_pool("max_pool", sizes, slides, f64::NEG_INFINITY);
        // The last axis first: the first of equal values is then that of the first row. A maximum
        // of two gives the gradient of equal values to the first, unlike one of many.
        let mut y = padded;
        for (axis, (&size, slide)) in sizes.iter().zip(slides).enumerate().rev() {
            y = y.folded(axis + 2, size, *slide, Op::Max);
        }
        y
    }

    /// The mean of each window, along as many axes behind `[batch, channels]` as there are sizes;
    /// zeros outside count. It is PyTorch's `avg_pool2d`.
    ///
    /// # Panics
    /// As [`max_pool`](Tensor::max_pool).
    #[track_caller]
    pub fn average_pool(self, sizes: &[usize], slides: &[Slide]) -> Tensor<'g> {
        let sum = self.sum_pool(sizes, slides);
        sum * (1.0 / sizes.iter().product::<usize>() as f64)
    }

    /// [`average_pool`](Tensor::average_pool), with the mean over those elements of a window that
    /// are not padding: PyTorch's `count_include_pad=False`.
    ///
    /// # Panics
    /// As [`max_pool`](Tensor::max_pool).
    #[track_caller]
    pub fn average_pool_inside(self, sizes: &[usize], slides: &[Slide]) -> Tensor<'g> {
        let counts = self.full_like(1.0).sum_pool(sizes, slides);
        self.sum_pool(sizes, slides) / counts
    }

    /// The sum of each window; zeros are outside.
    #[track_caller]
    fn sum_pool(self, sizes: &[usize], slides: &[Slide]) -> Tensor<'g> {
        let mut y = self.padded_for_pool("average_pool", sizes, slides, 0.0);
        for (axis, (&size, slide)) in sizes.iter().zip(slides).enumerate().rev() {
            y = y.folded(axis + 2, size, *slide, Op::Add);
        }
        y
    }

    #[track_caller]
    fn padded_for_pool(
        self,
        name: &'static str,
        sizes: &[usize],
        slides: &[Slide],
        value: f64,
    ) -> Tensor<'g> {
        if sizes.len() != slides.len() || self.rank() != sizes.len() + 2 {
            let axes = sizes.len();
            let what = format!("needs [batch, channels] and {axes} axes");
            TypeError::of_call(name, [&self.ty()], what).raise();
        }
        let axes = slides.iter().enumerate();
        self.pad_axes(axes.map(|(axis, slide)| (axis + 2, slide.padding)), value)
    }

    /// The elements of each window of an axis, joined from the first to the last.
    #[track_caller]
    fn folded(self, axis: usize, size: usize, slide: Slide, join: Op) -> Tensor<'g> {
        // The number of windows, or why there are none.
        let signed = axis as isize;
        let windows = self.window(signed, size, slide.stride, slide.dilation);
        let count = windows.shape()[axis];
        let mut joined = self.every(signed, 0, slide.stride, count);
        for position in 1..size {
            let next = self.every(signed, position * slide.dilation, slide.stride, count);
            joined = joined.apply(join.clone(), &[next]);
        }
        joined
    }

    /// `count` elements of an axis from `first`, `stride` apart: a slice with a step.
    ///
    /// # Panics
    /// If there is no such axis, the elements reach beyond it, or the step is 0.
    #[track_caller]
    pub fn every(self, axis: isize, first: usize, stride: usize, count: usize) -> Tensor<'g> {
        let shape = self.shape();
        let axis = self.axis("every", axis);
        let (mut start, mut stop) = (vec![0; shape.rank()], shape.to_vec());
        let mut steps = vec![1; shape.rank()];
        (start[axis], steps[axis]) = (first, stride);
        stop[axis] = first + count.saturating_sub(1) * stride + usize::from(count > 0);
        if (start[axis], stop[axis], stride) == (0, shape[axis], 1) {
            return self;
        }
        let op = Op::Slice {
            start,
            stop,
            stride: steps,
        };
        self.apply(op, &[])
    }

    /// `between` zeros between the neighbours along an axis.
    #[track_caller]
    pub(super) fn stuffed(self, axis: usize, between: usize) -> Tensor<'g> {
        if between == 0 {
            return self;
        }
        let mut padding = vec![Padding::default(); self.rank()];
        padding[axis].between = between;
        let zero = self.graph().full(0.0, self.dtype(), Shape::scalar());
        self.apply(Op::Pad(padding), &[zero])
    }
}
