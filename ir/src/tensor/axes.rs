//! Axes as users write them: one or several, negative from the end, or all with `..`.

use std::ops::RangeFull;

/// One axis, several, or `..` for all. Negative axes count from the end.
pub trait Axes {
    /// Ascending axes of a tensor of `rank`.
    ///
    /// # Panics
    /// If an axis is outside the rank or appears twice.
    fn resolve(&self, rank: usize) -> Vec<usize>;
}

/// One axis, negative from the end.
#[track_caller]
pub(crate) fn resolve_axis(axis: isize, rank: usize) -> usize {
    let resolved = if axis < 0 { axis + rank as isize } else { axis };
    assert!(
        (0..rank as isize).contains(&resolved),
        "axis {axis} is outside rank {rank}"
    );
    resolved as usize
}

impl Axes for isize {
    #[track_caller]
    fn resolve(&self, rank: usize) -> Vec<usize> {
        vec![resolve_axis(*self, rank)]
    }
}

impl Axes for RangeFull {
    fn resolve(&self, rank: usize) -> Vec<usize> {
        (0..rank).collect()
    }
}

impl Axes for &[isize] {
    #[track_caller]
    fn resolve(&self, rank: usize) -> Vec<usize> {
        let mut axes: Vec<usize> = Vec::with_capacity(self.len());
        for &axis in *self {
            axes.push(resolve_axis(axis, rank));
        }
        axes.sort_unstable();
        let twice = axes.windows(2).find(|pair| pair[0] == pair[1]);
        assert!(twice.is_none(), "axis {} appears twice", twice.unwrap()[0]);
        axes
    }
}

impl<const N: usize> Axes for [isize; N] {
    #[track_caller]
    fn resolve(&self, rank: usize) -> Vec<usize> {
        self.as_slice().resolve(rank)
    }
}
