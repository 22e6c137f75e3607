//! Tokens in raster order: how many lie where, and their indices, or their words where a token has more bits than an
//! index.

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

/// The tokens of a picture or a clip: indices `[frames, rows, columns]`, row-major, or `[frames, rows, columns, words]`
/// of tokens of several [words](crate::tokenizer::bits).
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
    /// Words of a token: 1 unless it has more bits than an index.
    pub words: usize,
    /// One index a token; `shape.tokens()` of them, times words.
    pub indices: Vec<u64>,
}

impl TokenGrid {
    /// A grid over these indices.
    ///
    /// # Panics
    /// If there are not `shape.tokens()` of them.
    #[track_caller]
    pub fn new(shape: GridShape, indices: Vec<u64>) -> TokenGrid {
        TokenGrid::of_words(shape, 1, indices)
    }

    /// A grid of tokens of so many words each.
    ///
    /// # Panics
    /// If there are not `shape.tokens()` of them.
    #[track_caller]
    pub fn of_words(shape: GridShape, words: usize, indices: Vec<u64>) -> TokenGrid {
        assert_eq!(
            indices.len(),
            shape.tokens() * words,
            "the indices of a grid of {shape:?}"
        );
        TokenGrid {
            shape,
            words,
            indices,
        }
    }

    /// Words of a row.
    fn row_words(&self) -> usize {
        self.shape.columns * self.words
    }

    /// One row of one frame: its indices, or words.
    ///
    /// # Panics
    /// If the grid has no such row.
    #[track_caller]
    pub fn row(&self, frame: usize, row: usize) -> &[u64] {
        let (rows, length) = (self.shape.rows, self.row_words());
        assert!(row < rows, "row {row} of {rows}");
        &self.indices[(frame * rows + row) * length..][..length]
    }

    /// All rows, frame by frame.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        // A grid without columns has no rows to speak of.
        self.indices.chunks_exact(self.row_words().max(1))
    }

    /// Some of the frames.
    ///
    /// # Panics
    /// If the grid has not so many.
    #[track_caller]
    pub fn frames(&self, frames: Range<usize>) -> TokenGrid {
        let each = self.shape.rows * self.row_words();
        let shape = GridShape {
            frames: frames.len(),
            ..self.shape
        };
        let indices = &self.indices[frames.start * each..frames.end * each];
        TokenGrid::of_words(shape, self.words, indices.to_vec())
    }

    /// Frames of several grids, one after another.
    ///
    /// # Panics
    /// If there is none, or they differ in more than their number of frames.
    #[track_caller]
    pub fn join(parts: &[TokenGrid]) -> TokenGrid {
        let mut shape = parts[0].shape;
        shape.frames = parts.iter().map(|part| part.shape.frames).sum();
        let words = parts[0].words;
        let of_frame = |part: &TokenGrid| (part.shape.rows, part.shape.columns, part.words);
        assert!(
            parts
                .iter()
                .all(|part| of_frame(part) == (shape.rows, shape.columns, words))
        );
        TokenGrid::of_words(
            shape,
            words,
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
        let (frames, words) = (self.shape.frames, self.words);
        let indices = (0..frames)
            .flat_map(|frame| (top..top + rows).map(move |row| (frame, row)))
            .flat_map(|(frame, row)| &self.row(frame, row)[left * words..(left + columns) * words])
            .copied();
        let shape = GridShape {
            frames,
            rows,
            columns,
        };
        TokenGrid::of_words(shape, words, indices.collect())
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
    fn words_of_a_token_stay_together() {
        let shape = GridShape {
            frames: 2,
            rows: 2,
            columns: 3,
        };
        let words = |tokens: &[u64]| {
            tokens
                .iter()
                .flat_map(|&t| [t, 100 + t])
                .collect::<Vec<_>>()
        };
        let all: Vec<u64> = (0..12).collect();
        let (one, two) = (
            TokenGrid::new(shape, all.clone()),
            TokenGrid::of_words(shape, 2, words(&all)),
        );
        assert_eq!(two.row(1, 0), words(one.row(1, 0)));
        assert_eq!(two.rows().count(), 4);
        assert_eq!(
            two.cut(1, 1, 1, 2).indices,
            words(&one.cut(1, 1, 1, 2).indices)
        );
        assert_eq!(TokenGrid::join(&[two.frames(0..1), two.frames(1..2)]), two);
    }

    #[test]
    #[should_panic(expected = "the indices of a grid")]
    fn other_counts_are_refused() {
        TokenGrid::new(GridShape::still(2, 3), vec![0; 5]);
    }
}
