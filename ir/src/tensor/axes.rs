//! Axes as users write them: one or several, negative from the end, or all with `..`.

use super::Tensor;
use crate::op::TypeError;
use crate::shape::Type;
use std::ops::RangeFull;

/// One axis, several, or `..` for all. Negative axes count from the end.
pub trait Axes {
    /// Ascending axes of a tensor of `rank`.
    ///
    /// # Errors
    /// Says which axis is outside the rank or appears twice.
    fn resolve(&self, rank: usize) -> Result<Vec<usize>, String>;
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

impl Tensor<'_> {
    /// One axis of this tensor, or a type error of the method `name` at the caller's line.
    #[track_caller]
    pub(super) fn axis(self, name: &'static str, axis: isize) -> usize {
        one_axis(name, &self.ty(), axis, self.rank())
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
