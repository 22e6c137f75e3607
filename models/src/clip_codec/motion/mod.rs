//! Motion: a vector for each block of 16x16 pixels, in quarters of a pixel.
//!
//! | question | file |
//! |---|---|
//! | What does the next frame look like, by its vectors? | `predict` |
//! | Which vectors does an encoder choose? | `search` |
//! | How are vectors coded? | `code` |

mod code;
mod predict;
mod search;
#[cfg(test)]
mod tests;

pub use code::MotionCoder;
pub use predict::predict;
pub use search::search;

use crate::image_io::ImageSize;

/// Pixels along a side of a block.
pub const BLOCK: usize = 16;
/// Parts of a pixel that vectors are counted in.
pub const PARTS: i16 = 4;
/// The largest part of a vector: 64 pixels.
pub const LONGEST: i16 = 64 * PARTS;

/// From a pixel to where it was in the frame before: down and right, in quarters of a pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vector {
    pub down: i16,
    pub right: i16,
}

/// The vectors of a frame's blocks, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MotionField {
    pub rows: usize,
    pub columns: usize,
    pub vectors: Vec<Vector>,
}

impl MotionField {
    /// Nothing moves.
    pub fn still(size: ImageSize) -> MotionField {
        let (rows, columns) = (size.height.div_ceil(BLOCK), size.width.div_ceil(BLOCK));
        MotionField {
            rows,
            columns,
            vectors: vec![Vector::default(); rows * columns],
        }
    }

    pub fn at(&self, row: usize, column: usize) -> Vector {
        self.vectors[row * self.columns + column]
    }

    /// What a block's vector is likely to be, given those before it: the median of its left, upper
    /// and upper right neighbours, where those outside are still.
    pub fn expected(&self, row: usize, column: usize) -> Vector {
        let left = column.checked_sub(1).map(|column| self.at(row, column));
        let above = row.checked_sub(1);
        let up = above.map(|row| self.at(row, column));
        let up_right = above.filter(|_| column + 1 < self.columns);
        let up_right = up_right.map(|row| self.at(row, column + 1));
        // In the first row there is the left one alone.
        let (Some(up), Some(left)) = (up, left) else {
            return left.or(up).unwrap_or_default();
        };
        let third = up_right.unwrap_or_default();
        let median = |a: i16, b: i16, c: i16| a.max(b).min(a.min(b).max(c));
        Vector {
            down: median(left.down, up.down, third.down),
            right: median(left.right, up.right, third.right),
        }
    }
}
