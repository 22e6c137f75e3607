//! Methods that move elements.

use super::arithmetic::concat;
use super::axes::{Axes, one_axis};
use super::{Tensor, one_graph};
use crate::graph::Graph;
use crate::op::{Op, Padding, TypeError};
use crate::shape::Shape;
use std::ops::Range;

impl<'g> Tensor<'g> {
    /// The same elements in row-major order under another shape.
    ///
    /// # Panics
    /// If the shape has another number of elements.
    #[track_caller]
    pub fn reshape(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let shape = shape.into();
        if shape == self.shape() {
            return self;
        }
        self.apply(Op::Reshape(shape), &[])
    }

    /// Axis `i` of the result is axis `permutation[i]` of this tensor.
    ///
    /// # Panics
    /// If `permutation` does not name each axis once.
    #[track_caller]
    pub fn transpose(self, permutation: &[usize]) -> Tensor<'g> {
        if permutation.iter().copied().eq(0..self.rank()) {
            return self;
        }
        self.apply(Op::Transpose(permutation.to_vec()), &[])
    }

    /// Exchanges two axes (negative from the end).
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn swap_axes(self, a: isize, b: isize) -> Tensor<'g> {
        let rank = self.rank();
        let mut permutation: Vec<usize> = (0..rank).collect();
        permutation.swap(self.axis("swap_axes", a), self.axis("swap_axes", b));
        self.transpose(&permutation)
    }

    /// Repeats a scalar into `shape`.
    #[track_caller]
    pub(crate) fn expand(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let shape = shape.into();
        if shape.rank() == 0 {
            return self;
        }
        self.apply(
            Op::Broadcast {
                shape,
                axes: Vec::new(),
            },
            &[],
        )
    }

    /// Places axis `i` at axis `axes[i]` (ascending) of `shape`; the other axes repeat.
    ///
    /// # Panics
    /// If `axes` does not ascend, is not there in `shape`, or has another extent there.
    #[track_caller]
    pub fn broadcast_in_dim(self, shape: impl Into<Shape>, axes: &[usize]) -> Tensor<'g> {
        let shape = shape.into();
        if shape == self.shape() && axes.iter().copied().eq(0..self.rank()) {
            return self;
        }
        let axes = axes.to_vec();
        self.apply(Op::Broadcast { shape, axes }, &[])
    }

    /// NumPy broadcasting: trailing axes are aligned, extent 1 repeats.
    ///
    /// # Panics
    /// If an extent is neither 1 nor that of `shape`.
    #[track_caller]
    pub fn broadcast_to(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let (from, to) = (self.ty(), shape.into());
        if from.shape == to {
            return self;
        }
        if let Err(what) = super::broadcasting::check(&from.shape, &to) {
            TypeError::of_call("broadcast", [&from], what)
                .help(super::broadcasting::HELP)
                .raise();
        }
        let lead = to.rank() - from.shape.rank();
        // The op itself only repeats: axes of extent 1 that grow are dropped first.
        let kept: Vec<usize> = (0..from.shape.rank())
            .filter(|&axis| from.shape[axis] == to[axis + lead])
            .collect();
        let squeezed: Shape = kept.iter().map(|&axis| from.shape[axis]).collect();
        let axes: Vec<usize> = kept.iter().map(|&axis| axis + lead).collect();
        self.reshape(squeezed).broadcast_in_dim(to, &axes)
    }

    /// Inserts an axis of extent 1 before `axis` (negative: after the last is -1).
    ///
    /// # Panics
    /// If there is no such place.
    #[track_caller]
    pub fn unsqueeze(self, axis: isize) -> Tensor<'g> {
        let shape = self.shape();
        let axis = one_axis("unsqueeze", &self.ty(), axis, shape.rank() + 1);
        let extents = [&shape[..axis], &[1], &shape[axis..]].concat();
        self.reshape(extents)
    }

    /// Removes an axis of extent 1.
    ///
    /// # Panics
    /// If there is no such axis, or it has another extent than 1.
    #[track_caller]
    pub fn squeeze(self, axis: isize) -> Tensor<'g> {
        let shape = self.shape();
        let axis = self.axis("squeeze", axis);
        if shape[axis] != 1 {
            let what = format!("axis {axis} has {} elements, not 1", shape[axis]);
            TypeError::of_call("squeeze", [&self.ty()], what).raise();
        }
        self.reshape(shape.without(&[axis]))
    }

    /// Elements `range` of one axis.
    ///
    /// # Panics
    /// If there is no such axis, or the range does not lie in it.
    #[track_caller]
    pub fn slice(self, axis: isize, range: Range<usize>) -> Tensor<'g> {
        let shape = self.shape();
        let axis = self.axis("slice", axis);
        if range == (0..shape[axis]) {
            return self;
        }
        let (mut start, mut stop) = (vec![0; shape.rank()], shape.to_vec());
        (start[axis], stop[axis]) = (range.start, range.end);
        let stride = vec![1; shape.rank()];
        self.apply(
            Op::Slice {
                start,
                stop,
                stride,
            },
            &[],
        )
    }

    /// Equal parts along one axis.
    ///
    /// # Panics
    /// If `parts` does not divide the extent.
    #[track_caller]
    pub fn chunk(self, parts: usize, axis: isize) -> Vec<Tensor<'g>> {
        let resolved = self.axis("chunk", axis);
        let extent = self.shape()[resolved];
        if parts == 0 || !extent.is_multiple_of(parts) {
            let what = format!("axis {resolved} has {extent}: no {parts} equal parts");
            TypeError::of_call("chunk", [&self.ty()], what).raise();
        }
        let size = extent / parts;
        let mut chunks = Vec::with_capacity(parts);
        for part in 0..parts {
            chunks.push(self.slice(axis, part * size..(part + 1) * size));
        }
        chunks
    }

    /// Adds `before` and `after` elements of `value` along one axis.
    ///
    /// # Panics
    /// If there is no such axis, or the type cannot hold the value.
    #[track_caller]
    pub fn pad(self, axis: isize, before: usize, after: usize, value: f64) -> Tensor<'g> {
        let axis = self.axis("pad", axis);
        self.pad_axes([(axis, [before, after])], value)
    }

    /// Adds elements of `value` before and after those of some axes.
    #[track_caller]
    pub(super) fn pad_axes(
        self,
        axes: impl IntoIterator<Item = (usize, [usize; 2])>,
        value: f64,
    ) -> Tensor<'g> {
        let mut padding = vec![Padding::default(); self.rank()];
        for (axis, [before, after]) in axes {
            (padding[axis].before, padding[axis].after) = (before, after);
        }
        let value = self.graph().full(value, self.dtype(), Shape::scalar());
        if padding.iter().all(|axis| *axis == Padding::default()) {
            return self;
        }
        self.apply(Op::Pad(padding), &[value])
    }

    /// Reverses axes.
    ///
    /// # Panics
    /// If there is no such axis, or one is named twice.
    #[track_caller]
    pub fn flip(self, axes: impl Axes) -> Tensor<'g> {
        let axes = self.axes("flip", axes);
        self.apply(Op::Flip(axes), &[])
    }

    /// Replaces `axis` by `[count, size]`: windows of `size` elements, `dilation` apart, that
    /// start every `stride`.
    ///
    /// # Panics
    /// If there is no such axis, it has not one window, or size, stride or dilation are 0.
    #[track_caller]
    pub fn window(self, axis: isize, size: usize, stride: usize, dilation: usize) -> Tensor<'g> {
        let axis = self.axis("window", axis);
        self.apply(
            Op::Window {
                axis,
                size,
                stride,
                dilation,
            },
            &[],
        )
    }
}

impl Graph {
    /// Joins tensors along an axis (negative from the end).
    ///
    /// # Panics
    /// If there is nothing to join, the types differ but for the axis, or the tensors are of
    /// another graph.
    #[track_caller]
    pub fn concat<'g>(&'g self, tensors: &[Tensor<'g>], axis: isize) -> Tensor<'g> {
        concat(self, tensors, axis)
    }

    /// Joins tensors of one shape along a new axis (negative: after the last is -1).
    ///
    /// # Panics
    /// If there is nothing to join, the types differ, or the tensors are of another graph.
    #[track_caller]
    pub fn stack<'g>(&'g self, tensors: &[Tensor<'g>], axis: isize) -> Tensor<'g> {
        one_graph("stack", self, tensors, &[]);
        let Some(first) = tensors.first() else {
            TypeError::of_call("stack", [], "there is nothing to join").raise()
        };
        let ty = first.ty();
        if let Some(other) = tensors.iter().find(|tensor| tensor.ty() != ty) {
            TypeError::of_call("stack", [&ty, &other.ty()], "types differ").raise();
        }
        let axis = one_axis("stack", &ty, axis, ty.shape.rank() + 1) as isize;
        let mut parts = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            parts.push(tensor.unsqueeze(axis));
        }
        concat(self, &parts, axis)
    }
}
