//! Axes as users write them: one or several, negative from the end, or all with `..`.

use super::Tensor;
use crate::op::TypeError;
use crate::shape::{Shape, Type};
use std::ops::RangeFull;

/// One axis, several, or `..` for all. Negative axes count from the end.
pub trait Axes {
    /// Ascending axes of a tensor of `rank`.
    ///
    /// # Errors
    /// Says which axis is outside the rank or appears twice.
    fn resolve(&self, rank: usize) -> Result<Vec<usize>, String>;
}

/// Axes of a reduction: plain ones disappear, those in [`Keep`] stay with extent 1.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no axes",
    label = "expected axes",
    note = "axes are `1`, `-1`, `[0, 2]` or `..`; `Keep(-1)` leaves them with extent 1"
)]
pub trait ReduceAxes {
    /// As [`Axes::resolve`].
    ///
    /// # Errors
    /// As [`Axes::resolve`].
    fn resolve_reduced(&self, rank: usize) -> Result<Vec<usize>, String>;

    /// Whether the axes stay, with extent 1.
    fn are_kept(&self) -> bool;
}

impl<A: Axes> ReduceAxes for A {
    fn resolve_reduced(&self, rank: usize) -> Result<Vec<usize>, String> {
        self.resolve(rank)
    }

    fn are_kept(&self) -> bool {
        false
    }
}

/// Axes that a reduction leaves with extent 1, so that its result broadcasts to what was reduced:
/// PyTorch's `keepdim=True`.
///
/// ```
/// # use bsq_ir::{DType, Graph, tensor::Keep};
/// let g = Graph::new();
/// let x = g.input("x", DType::F32, [4, 8]);
/// let centred = x - x.mean(Keep(-1));
/// assert_eq!(x.mean(Keep(-1)).ty().to_string(), "f32[4,1]");
/// # let _ = centred;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep<A>(pub A);

impl<A: Axes> ReduceAxes for Keep<A> {
    fn resolve_reduced(&self, rank: usize) -> Result<Vec<usize>, String> {
        self.0.resolve(rank)
    }

    fn are_kept(&self) -> bool {
        true
    }
}

impl Axes for isize {
    fn resolve(&self, rank: usize) -> Result<Vec<usize>, String> {
        Ok(vec![resolve_axis(*self, rank)?])
    }
}

impl Axes for RangeFull {
    fn resolve(&self, rank: usize) -> Result<Vec<usize>, String> {
        Ok((0..rank).collect())
    }
}

impl Axes for &[isize] {
    fn resolve(&self, rank: usize) -> Result<Vec<usize>, String> {
        let axes = self.iter().map(|&axis| resolve_axis(axis, rank));
        let mut axes: Vec<usize> = axes.collect::<Result<_, _>>()?;
        axes.sort_unstable();
        match axes.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(axes),
            Some(pair) => Err(format!("axis {} appears twice in {self:?}", pair[0])),
        }
    }
}

impl<const N: usize> Axes for [isize; N] {
    fn resolve(&self, rank: usize) -> Result<Vec<usize>, String> {
        self.as_slice().resolve(rank)
    }
}

fn resolve_axis(axis: isize, rank: usize) -> Result<usize, String> {
    let from_end = usize::try_from(axis).is_err();
    let resolved = match from_end {
        true => rank.checked_add_signed(axis),
        false => Some(axis.unsigned_abs()),
    };
    let resolved = resolved.filter(|&axis| axis < rank);
    resolved.ok_or_else(|| format!("axis {axis} is outside rank {rank}"))
}

/// One axis of an operand of `ty`, or a type error of the method `name` at the caller's line.
#[track_caller]
pub(super) fn one_axis(name: &'static str, ty: &Type, axis: isize, rank: usize) -> usize {
    match resolve_axis(axis, rank) {
        Ok(axis) => axis,
        Err(what) => TypeError::of_call(name, [ty], what).raise(),
    }
}

/// The axes that a reduction takes away, and what is left of the shape.
pub(super) struct Reduction {
    /// Ascending.
    pub axes: Vec<usize>,
    /// How many elements become one.
    pub count: usize,
    /// The shape with the axes at extent 1, if they are kept.
    kept: Option<Shape>,
}

impl Reduction {
    pub fn signed(&self) -> Vec<isize> {
        self.axes.iter().map(|&axis| axis as isize).collect()
    }

    /// The result of the reduction with the axes that are kept.
    ///
    /// # Panics
    /// If the result does not have the elements of the kept shape.
    #[track_caller]
    pub fn finish<'g>(&self, result: Tensor<'g>) -> Tensor<'g> {
        match &self.kept {
            Some(shape) => result.reshape(shape),
            None => result,
        }
    }
}

impl Tensor<'_> {
    /// One axis of this tensor, or a type error of the method `name` at the caller's line.
    #[track_caller]
    pub(super) fn axis(self, name: &'static str, axis: isize) -> usize {
        one_axis(name, &self.ty(), axis, self.rank())
    }

    /// What a reduction over axes takes away, or a type error of the method `name` at the caller's
    /// line.
    #[track_caller]
    pub(super) fn reduction(self, name: &'static str, axes: impl ReduceAxes) -> Reduction {
        let shape = self.shape();
        let reduced = match axes.resolve_reduced(shape.rank()) {
            Ok(reduced) => reduced,
            Err(what) => TypeError::of_call(name, [&self.ty()], what).raise(),
        };
        let kept = axes.are_kept().then(|| {
            let mut extents = shape.to_vec();
            reduced.iter().for_each(|&axis| extents[axis] = 1);
            extents.into()
        });
        Reduction {
            count: reduced.iter().map(|&axis| shape[axis]).product(),
            axes: reduced,
            kept,
        }
    }

    /// Axes of this tensor, or a type error of the method `name` at the caller's line.
    #[track_caller]
    pub(super) fn axes(self, name: &'static str, axes: impl Axes) -> Vec<usize> {
        match axes.resolve(self.rank()) {
            Ok(axes) => axes,
            Err(what) => TypeError::of_call(name, [&self.ty()], what).raise(),
        }
    }
}
