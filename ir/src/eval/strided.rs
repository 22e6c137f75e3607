//! Positions of the elements of a strided view.

use crate::shape::Shape;

/// For each index of `shape`, row-major: `offset` plus the sum of index times stride.
pub(super) fn positions(shape: &[usize], offset: usize, strides: &[isize]) -> Vec<usize> {
    debug_assert_eq!(shape.len(), strides.len());
    let mut positions = vec![offset as isize];
    if shape.contains(&0) {
        return Vec::new();
    }
    for (&extent, &stride) in shape.iter().zip(strides) {
        let repeat = |&start: &isize| (0..extent).map(move |i| start + i as isize * stride);
        positions = positions.iter().flat_map(repeat).collect();
    }
    positions.into_iter().map(|at| at as usize).collect()
}

/// Row-major strides.
pub(super) fn strides(shape: &Shape) -> Vec<isize> {
    shape
        .strides()
        .into_iter()
        .map(|stride| stride as isize)
        .collect()
}

/// The elements at `positions`.
pub(super) fn pick<T: Copy>(elements: &[T], positions: &[usize]) -> Vec<T> {
    positions.iter().map(|&at| elements[at]).collect()
}
