//! What a context model sees of what is coded before a patch.

use bsq_ir::{Graph, Tensor};

/// Neighbours that are coded before a patch: (rows down, columns right).
pub const NEIGHBOURS: [(isize, isize); 6] = [(0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)];
/// The first coordinates of neighbours, which the means see unbent.
pub(super) const LINEAR: usize = 12;
/// Features that a network sees of a level.
pub(super) const SEEN: usize = 2;

/// What is known of patches before any of their levels. `..` are the axes of patches: `[B, R, C]`
/// for a whole grid, `[lanes]` for some patches.
#[derive(Clone, Debug)]
pub struct Known<'g> {
    /// Levels of each of the [`NEIGHBOURS`], `[.., K]`, zero outside of the picture.
    pub neighbours: Vec<Tensor<'g>>,
    /// One where a neighbour is inside the picture, `[.., 6]`.
    pub inside: Tensor<'g>,
    /// The logarithm of the step, `[..]` with extents of 1 where it is the same.
    pub log_step: Tensor<'g>,
    /// What else was coded before this part.
    pub before: Before<'g>,
}

/// What was coded before a part of a picture's levels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before<'g> {
    /// Other parts; none before the first.
    pub side: Option<Side<'g>>,
    /// Of predicted frames, features of what is expected, `[.., F]`.
    pub expected: Option<Tensor<'g>>,
}

/// What other parts say of a patch.
#[derive(Clone, Copy, Debug)]
pub struct Side<'g> {
    /// For the network, `[.., features]`.
    pub features: Tensor<'g>,
    /// For the means, `[.., raw]`, in levels.
    pub raw: Tensor<'g>,
}

impl<'g> Known<'g> {
    /// Of all patches of a grid of levels `[B, R, C, K]`; `log_step` is `[B]`.
    ///
    /// # Panics
    /// If the levels do not have four axes, or `log_step` is not `[B]`.
    #[track_caller]
    pub fn of_grid(levels: Tensor<'g>, log_step: Tensor<'g>, before: Before<'g>) -> Known<'g> {
        let shape = levels.shape();
        Known {
            neighbours: NEIGHBOURS.map(|place| shifted(levels, place)).to_vec(),
            inside: inside(levels.graph(), shape[1], shape[2]),
            log_step: log_step.reshape([shape[0], 1, 1]),
            before,
        }
    }
}

/// What a context model sees of a coarse picture `[B, R, C, channels]` around each patch: the
/// differences of its eight neighbours, where those outside are as the nearest inside, and itself.
pub fn surroundings(coarse: Tensor<'_>) -> Side<'_> {
    let graph = coarse.graph();
    let mut padded = coarse;
    for axis in [1, 2] {
        let extent = padded.shape()[axis as usize];
        let ends = [
            padded.slice(axis, 0..1),
            padded,
            padded.slice(axis, extent - 1..extent),
        ];
        padded = graph.concat(&ends, axis);
    }
    let shape = coarse.shape();
    let around = (0..9).filter(|&place| place != 4).map(|place| {
        let (row, column) = (place / 3, place % 3);
        let there = padded.slice(1, row..row + shape[1]);
        there.slice(2, column..column + shape[2]) - coarse
    });
    let around: Vec<Tensor<'_>> = around.collect();
    let raw = graph.concat(&around, -1);
    Side {
        features: graph.concat(&[compressed(raw), compressed(coarse)], -1),
        raw,
    }
}

/// What the model of one part sees of another's levels, `[B, R, C, coordinates]`.
pub fn of_levels(levels: Tensor<'_>) -> Side<'_> {
    let first = levels.shape()[3].min(LINEAR);
    Side {
        features: seen(levels),
        raw: levels.slice(-1, 0..first),
    }
}

/// What networks see of levels, `[.., SEEN * coordinates]`.
pub(in super::super) fn seen(levels: Tensor<'_>) -> Tensor<'_> {
    let size = (levels.abs() + 1.0).log();
    levels.graph().concat(&[compressed(levels), size], -1)
}

/// `sign(x) log(1 + |x|)`.
pub(in super::super) fn compressed(x: Tensor<'_>) -> Tensor<'_> {
    x.sign() * (x.abs() + 1.0).log()
}

/// What stands `(down, right)` of each patch of `[B, R, C, F]`, zeros outside.
fn shifted<'g>(x: Tensor<'g>, (down, right): (isize, isize)) -> Tensor<'g> {
    let mut moved = x;
    for (axis, by) in [(1, down), (2, right)] {
        let (extent, far) = (x.shape()[axis], by.unsigned_abs());
        let along = axis as isize;
        // A grid may be smaller than the way to its neighbours.
        moved = match by < 0 {
            true => moved.pad(along, far, 0, 0.0).slice(along, 0..extent),
            false => moved
                .pad(along, 0, far, 0.0)
                .slice(along, far..extent + far),
        };
    }
    moved
}

/// The patch `(down, right)` of another in a grid, if it is inside.
pub fn neighbour(
    [rows, columns]: [usize; 2],
    [row, column]: [usize; 2],
    (down, right): (isize, isize),
) -> Option<[usize; 2]> {
    let row = row.checked_add_signed(down).filter(|&row| row < rows)?;
    let column = column.checked_add_signed(right);
    Some([row, column.filter(|&column| column < columns)?])
}

/// One where a neighbour is inside the picture, `[1, R, C, 6]`.
fn inside(graph: &Graph, rows: usize, columns: usize) -> Tensor<'_> {
    let mut flags = Vec::with_capacity(rows * columns * NEIGHBOURS.len());
    for row in 0..rows {
        for column in 0..columns {
            let is_inside = |place| neighbour([rows, columns], [row, column], place).is_some();
            flags.extend(NEIGHBOURS.map(|place| f32::from(is_inside(place))));
        }
    }
    graph.constant_f32(&flags, [1, rows, columns, NEIGHBOURS.len()])
}
