//! Tokens in raster order: how many lie where, and their indices.

use std::ops::Range;

/// Frames, rows and columns of a grid of tokens.
///
/// Named, so that rows and columns cannot change places unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GridShape {
    /// Pictures one after the other in time; a still picture has one.
    pub frames: usize,
    /// Tokens one above the other.
    pub rows: usize,
    /// Tokens side by side.
    pub columns: usize,
}

impl GridShape {
    /// The shape of a still picture's grid.
    pub fn still(rows: usize, columns: usize) -> GridShape {
        GridShape {
            frames: 1,
            rows,
            columns,
        }
    }

    /// Tokens in all.
    pub fn tokens(&self) -> usize {
        self.frames * self.rows * self.columns
    }
}

/// The tokens of a picture or a clip: indices `[frames, rows, columns]`, row-major.
///
/// ```
/// use bsq::token_grid::{GridShape, TokenGrid};
///
/// let grid = TokenGrid::new(GridShape::still(2, 3), (0..6).collect());
/// assert_eq!(grid.row(0, 1), [3, 4, 5]);
/// assert_eq!(grid.cut(0, 1, 2, 2).indices, [1, 2, 4, 5]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenGrid {
    pub shape: GridShape,
    /// One index a token; `shape.tokens()` of them.
    pub indices: Vec<u64>,
}

impl TokenGrid {
    /// A grid over these indices.
    ///
    /// # Panics
    /// If there are not `shape.tokens()` of them.
    #[track_caller]
    pub fn new(shape: GridShape, indices: Vec<u64>) -> TokenGrid {
        assert_eq!(
            indices.len(),
            shape.tokens(),
            "the indices of a grid of {shape:?}"
        );
        TokenGrid { shape, indices }
    }

    /// One row of one frame.
    ///
    /// # Panics
    /// If the grid has no such row.
    #[track_caller]
    pub fn row(&self, frame: usize, row: usize) -> &[u64] {
        let GridShape { rows, columns, .. } = self.shape;
        assert!(row < rows, "row {row} of {rows}");
        &self.indices[(frame * rows + row) * columns..][..columns]
    }

    /// All rows, frame by frame.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        // A grid without columns has no rows to speak of.
        self.indices.chunks_exact(self.shape.columns.max(1))
    }

    /// Some of the frames.
    ///
    /// # Panics
    /// If the grid has not so many.
    #[track_caller]
    pub fn frames(&self, frames: Range<usize>) -> TokenGrid {
        let each = self.shape.rows * self.shape.columns;
        let shape = GridShape {
            frames: frames.len(),
            ..self.shape
        };
        let indices = &self.indices[frames.start * each..frames.end * each];
        TokenGrid::new(shape, indices.to_vec())
    }

    /// Frames of several grids, one after another.
    ///
    /// # Panics
    /// If there is none, or they differ in more than their number of frames.
    #[track_caller]
    pub fn join(parts: &[TokenGrid]) -> TokenGrid {
        let mut shape = parts[0].shape;
        shape.frames = parts.iter().map(|part| part.shape.frames).sum();
        let of_frame = |part: &TokenGrid| (part.shape.rows, part.shape.columns);
        assert!(
            parts
                .iter()
                .all(|part| of_frame(part) == (shape.rows, shape.columns))
        );
        TokenGrid::new(
            shape,
            parts
                .iter()
                .flat_map(|part| &part.indices)
                .copied()
                .collect(),
        )
    }

    /// The same rectangle of every frame: `rows` x `columns` tokens, the first at (`top`, `left`).
    ///
    /// # Panics
    /// If it does not lie inside the grid.
    #[track_caller]
    pub fn cut(&self, top: usize, left: usize, rows: usize, columns: usize) -> TokenGrid {
        let frames = self.shape.frames;
        let indices = (0..frames)
            .flat_map(|frame| (top..top + rows).map(move |row| (frame, row)))
            .flat_map(|(frame, row)| &self.row(frame, row)[left..left + columns])
            .copied();
        let shape = GridShape {
            frames,
            rows,
            columns,
        };
        TokenGrid::new(shape, indices.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_cut_at_the_same_place() {
        let shape = GridShape {
            frames: 2,
            rows: 2,
            columns: 3,
        };
        let grid = TokenGrid::new(shape, (0..12).collect());
        assert_eq!(grid.row(1, 0), [6, 7, 8]);
        assert_eq!(grid.rows().count(), 4);
        assert_eq!(grid.frames(1..2).indices, [6, 7, 8, 9, 10, 11]);
        let back = TokenGrid::join(&[grid.frames(0..1), grid.frames(1..2)]);
        assert_eq!(back, grid);
        let part = grid.cut(1, 1, 1, 2);
        assert_eq!(part.indices, [4, 5, 10, 11]);
        assert_eq!((part.shape.frames, part.shape.rows), (2, 1));
    }

    #[test]
    #[should_panic(expected = "the indices of a grid")]
    fn other_counts_are_refused() {
        TokenGrid::new(GridShape::still(2, 3), vec![0; 5]);
    }
}
