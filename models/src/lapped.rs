//! The lapped transform: filters across the borders of patches, then a block transform.
//!
//! Along each axis the `2n` samples centred on an interior border between patches of side `2n` are
//! multiplied by
//!
//! ```text
//! F = 1/2 W diag(I, V) W,   W = [I J; J -I],   V = J C2' diag(s, 1 ..) C4 J
//! ```
//!
//! with I the identity, J the one that reverses, and C2 and C4 the orthonormal DCT-II and DCT-IV of n
//! points. F takes what neighbours share out of both; its inverse, after the block transform's
//! inverse, makes smooth transitions of blocks' edges. With s = 1 F is orthogonal (the lapped
//! orthogonal transform); a larger s takes out more.

use bsq_ir::tensor::Init;
use bsq_ir::{Scope, Tensor};
use std::f64::consts::PI;

/// Matrices of the block transform are kept as this many times what they are: an optimizer whose
/// steps have a fixed size (AdamW) so moves them by as much less.
pub const MATRIX_SCALE: f64 = 32.0;

/// A lapped transform of pictures `[B, channels, height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LappedTransform {
    pub channels: usize,
    /// Side of a patch; even.
    pub block: usize,
    /// Coordinates that are kept of a patch's features.
    pub coordinates: usize,
    /// `s` above.
    pub steepness: f64,
}

impl LappedTransform {
    /// Features of a patch: channel, row, column.
    pub fn features(&self) -> usize {
        self.channels * self.block * self.block
    }

    /// Patches `[B, rows, columns, features]` of the filtered picture.
    ///
    /// # Panics
    /// If a side is no multiple of the patch's.
    #[track_caller]
    pub fn filtered_patches<'g>(&self, picture: Tensor<'g>) -> Tensor<'g> {
        let filter = self.filter(self.steepness);
        let filtered = across_borders(picture, 3, self.block, &filter);
        let filtered = across_borders(filtered, 2, self.block, &filter);
        let shape = filtered.shape();
        let (n, rows, columns) = (self.block, shape[2] / self.block, shape[3] / self.block);
        filtered
            .reshape([shape[0], self.channels, rows, n, columns, n])
            .transpose(&[0, 2, 4, 1, 3, 5])
            .reshape([shape[0], rows, columns, self.features()])
    }

    /// The picture of filtered patches: the inverse of
    /// [`filtered_patches`](LappedTransform::filtered_patches).
    ///
    /// # Panics
    /// If the patches are not `[batch, rows, columns, features]` of this transform.
    #[track_caller]
    pub fn picture<'g>(&self, patches: Tensor<'g>) -> Tensor<'g> {
        let shape = patches.shape();
        let (n, rows, columns) = (self.block, shape[1], shape[2]);
        let filtered = patches
            .reshape([shape[0], rows, columns, self.channels, n, n])
            .transpose(&[0, 3, 1, 4, 2, 5])
            .reshape([shape[0], self.channels, rows * n, columns * n]);
        // V's inverse is that of the same form with 1 / s, transposed; so is F's.
        let inverse = transposed(&self.filter(1.0 / self.steepness));
        let picture = across_borders(filtered, 2, n, &inverse);
        across_borders(picture, 3, n, &inverse)
    }

    /// Coordinates of patches `[.., features]`; parameter `analysis [features, coordinates]`.
    ///
    /// # Panics
    /// If the last axis is not of this transform's features.
    #[track_caller]
    pub fn analysis<'g>(&self, scope: &Scope<'g>, patches: Tensor<'g>) -> Tensor<'g> {
        let shape = [self.features(), self.coordinates];
        self.apply(scope, "analysis", shape, patches)
    }

    /// Patches of coordinates; parameter `synthesis [coordinates, features]`.
    ///
    /// # Panics
    /// If the last axis is not of this transform's coordinates.
    #[track_caller]
    pub fn synthesis<'g>(&self, scope: &Scope<'g>, coordinates: Tensor<'g>) -> Tensor<'g> {
        self.synthesis_named(scope, "synthesis", coordinates)
    }

    /// The same with a parameter of another name.
    #[track_caller]
    pub(crate) fn synthesis_named<'g>(
        &self,
        scope: &Scope<'g>,
        name: &str,
        coordinates: Tensor<'g>,
    ) -> Tensor<'g> {
        let shape = [self.coordinates, self.features()];
        self.apply(scope, name, shape, coordinates)
    }

    /// The matrices' values are those of the training's start; nothing else is a transform.
    #[track_caller]
    fn apply<'g>(
        &self,
        scope: &Scope<'g>,
        name: &str,
        shape: [usize; 2],
        x: Tensor<'g>,
    ) -> Tensor<'g> {
        let matrix = scope.parameter(name, shape, Init::Constant(0.0));
        x.dot_general(matrix * (1.0 / MATRIX_SCALE), &[], &[(x.rank() - 1, 0)])
    }

    /// F, row by row, for `s = steepness`.
    fn filter(&self, steepness: f64) -> Vec<f64> {
        let (size, n) = (self.block, self.block / 2);
        let v = half(n, steepness);
        let at = |row: usize, column: usize| {
            // Row `i` of W has 1 at `i`, or -1 in the lower half, and 1 opposite.
            let opposite = |i: usize| size - 1 - i;
            let sign = |i: usize, j: usize| if i == j && i >= n { -1.0 } else { 1.0 };
            let mut sum = 0.0;
            for i in [row, opposite(row)] {
                for j in [column, opposite(column)] {
                    let middle = match (i < n, j < n) {
                        (true, true) => f64::from(i == j),
                        (false, false) => v[(i - n) * n + (j - n)],
                        _ => 0.0,
                    };
                    sum += sign(row, i) * middle * sign(j, column);
                }
            }
            0.5 * sum
        };
        let place = |i: usize| at(i / size, i % size);
        (0..size * size).map(place).collect()
    }
}

/// V of `n` points.
fn half(n: usize, steepness: f64) -> Vec<f64> {
    let size = n as f64;
    let scale = (2.0 / size).sqrt();
    let dct2 = |k: usize, i: usize| {
        let first = if k == 0 { 0.5_f64.sqrt() } else { 1.0 };
        first * scale * libm::cos(PI * (2 * i + 1) as f64 * k as f64 / (2.0 * size))
    };
    let dct4 = |k: usize, i: usize| {
        scale * libm::cos(PI * (2 * i + 1) as f64 * (2 * k + 1) as f64 / (4.0 * size))
    };
    let at = |row: usize, column: usize| {
        let (row, column) = (n - 1 - row, n - 1 - column);
        let term = |k: usize| {
            let gain = if k == 0 { steepness } else { 1.0 };
            dct2(k, row) * gain * dct4(k, column)
        };
        (0..n).map(term).sum::<f64>()
    };
    (0..n * n).map(|i| at(i / n, i % n)).collect()
}

fn transposed(matrix: &[f64]) -> Vec<f64> {
    let size = matrix.len().isqrt();
    let place = |i: usize| matrix[i % size * size + i / size];
    (0..matrix.len()).map(place).collect()
}

/// Multiplies the `block` samples centred on each interior border along an axis by a matrix.
fn across_borders<'g>(x: Tensor<'g>, axis: usize, block: usize, matrix: &[f64]) -> Tensor<'g> {
    let (shape, half) = (x.shape(), block / 2);
    let extent = shape[axis];
    if extent == block {
        return x;
    }
    let along = axis as isize;
    let inner = x.slice(along, half..extent - half);
    let mut split = shape.to_vec();
    split[axis] = extent / block - 1;
    split.insert(axis + 1, block);
    let values: Vec<f32> = matrix.iter().map(|&x| x as f32).collect();
    let matrix = x.graph().constant_f32(&values, [block, block]);
    let filtered = inner
        .reshape(split)
        .dot_general(matrix, &[], &[(axis + 1, 1)]);
    // The samples' axis came out last.
    let mut order: Vec<usize> = (0..shape.rank()).collect();
    order.insert(axis + 1, shape.rank());
    let filtered = filtered.transpose(&order).reshape(inner.shape());
    let ends = [
        x.slice(along, 0..half),
        filtered,
        x.slice(along, extent - half..extent),
    ];
    x.graph().concat(&ends, along)
}
