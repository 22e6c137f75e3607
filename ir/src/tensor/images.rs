//! Convolution and pooling of images, spelled in windows.

use super::Tensor;
use crate::op::{Op, TypeError};

impl<'g> Tensor<'g> {
    /// Slides a weight `[o, c, kh, kw]` over images `[n, c, h, w]`, with `padding` zeros on each
    /// side: `[n, o, (h + 2 padding - kh) / stride + 1, ...]`. It is PyTorch's `conv2d` without a
    /// bias.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn conv2d(self, weight: Tensor<'g>, stride: usize, padding: usize) -> Tensor<'g> {
        self.beside("conv2d", &[weight]);
        let (x, w) = (self.ty(), weight.ty());
        if x.shape.rank() != 4 || w.shape.rank() != 4 || x.shape[1] != w.shape[1] {
            let what = "needs images [n, c, h, w] and a weight [o, c, kh, kw]".to_string();
            TypeError::of_call("conv2d", [&x, &w], what).raise();
        }
        let mut padded = self;
        for axis in [2, 3] {
            padded = padded.pad(axis, padding, padding, 0.0);
        }
        // [n, c, oh, kh, ow, kw], contracted to [n, oh, ow, o].
        let windows = padded.window(3, w.shape[3], stride, 1);
        let windows = windows.window(2, w.shape[2], stride, 1);
        let y = windows.dot_general(weight, &[], &[(1, 1), (3, 2), (5, 3)]);
        y.transpose(&[0, 3, 1, 2])
    }

    /// The largest of each window of `size x size`, one every `stride`, of images
    /// `[n, c, h, w]`; what is left over at the end is left out. It is PyTorch's `max_pool2d`: of
    /// equal values in a window the first, row by row, gets the gradient.
    ///
    /// # Panics
    /// If this is no image, or smaller than a window.
    #[track_caller]
    pub fn max_pool2d(self, size: usize, stride: usize) -> Tensor<'g> {
        if self.rank() != 4 {
            let what = "needs images [n, c, h, w]".to_string();
            TypeError::of_call("max_pool2d", [&self.ty()], what).raise();
        }
        // Of the columns of a row first: the first of equal values is then that of the first row.
        self.largest_of_windows(3, size, stride)
            .largest_of_windows(2, size, stride)
    }

    /// A maximum of two gives the gradient of equal values to the first, unlike one of many.
    #[track_caller]
    fn largest_of_windows(self, axis: usize, size: usize, stride: usize) -> Tensor<'g> {
        // The number of windows, or why there are none.
        let count = self.window(axis as isize, size, stride, 1).shape()[axis];
        let mut largest = self.every(axis, 0, stride, count);
        for position in 1..size {
            largest = largest.maximum(self.every(axis, position, stride, count));
        }
        largest
    }

    /// `count` elements of an axis from `first`, `stride` apart.
    #[track_caller]
    fn every(self, axis: usize, first: usize, stride: usize, count: usize) -> Tensor<'g> {
        let shape = self.shape();
        let (mut start, mut stop) = (vec![0; shape.rank()], shape.to_vec());
        let mut steps = vec![1; shape.rank()];
        (start[axis], steps[axis]) = (first, stride);
        stop[axis] = first + (count - 1) * stride + 1;
        let op = Op::Slice {
            start,
            stop,
            stride: steps,
        };
        self.apply(op, &[])
    }
}
