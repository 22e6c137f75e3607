//! What a frame looks like if its blocks have moved: integers only, the same on every machine.
//!
//! A pixel is a mean of what the four nearest blocks' vectors say, weighted by how near their middles
//! are (overlapped block motion compensation: Orchard and Sullivan 1994), so that blocks do not show.
//! Between pixels samples are interpolated with Catmull and Rom's cubic.

use super::{BLOCK, MotionField, PARTS, Vector};
use crate::image_io::Picture;

/// Weights in 128ths of four samples around a place so many quarters after the second.
const CUBIC: [[i32; 4]; 4] = [
    [0, 128, 0, 0],
    [-9, 111, 29, -3],
    [-8, 72, 72, -8],
    [-3, 29, 111, -9],
];
/// A block's vector counts in a square of twice its side.
const SIDE: usize = 2 * BLOCK;
/// Bits behind the point of interpolated samples.
const POINT: u32 = 4;

/// The frame after `before`, by its motion.
pub fn predict(before: &Picture, motion: &MotionField) -> Picture {
    let (height, width) = (before.height, before.width);
    // Weighted sums: of 32 x 32 parts, each from the middle of one block to that of the next.
    let mut sums = vec![0_i32; 3 * height * width];
    let mut window = Window::default();
    for row in 0..motion.rows {
        for column in 0..motion.columns {
            let (top, left) = (start(row), start(column));
            window.fill(before, (top, left), motion.at(row, column));
            let [down, right] = [(row, motion.rows), (column, motion.columns)]
                .map(|(at, count)| weights(at, count));
            for (dy, &down) in down.iter().enumerate() {
                let Some(y) = inside(top, dy, height) else {
                    continue;
                };
                for (dx, &right) in right.iter().enumerate() {
                    let Some(x) = inside(left, dx, width) else {
                        continue;
                    };
                    let (to, from) = (3 * (y * width + x), 3 * (dy * SIDE + dx));
                    for channel in 0..3 {
                        sums[to + channel] += down * right * window.samples[from + channel];
                    }
                }
            }
        }
    }
    // Weights add up to 32 x 32.
    let shift = POINT + 10;
    let sample = |&sum: &i32| ((sum + (1 << (shift - 1))) >> shift).clamp(0, 255) as u8;
    Picture::new(width, height, sums.iter().map(sample).collect())
}

/// The first row or column that a block counts in; half a block before its own.
fn start(block: usize) -> isize {
    (block * BLOCK) as isize - (BLOCK / 2) as isize
}

fn inside(start: isize, by: usize, limit: usize) -> Option<usize> {
    usize::try_from(start + by as isize)
        .ok()
        .filter(|&at| at < limit)
}

/// How much a block counts in each of its rows or columns, of 32: rising to its middle and falling
/// from there; what blocks outside of the frame would count is the outermost's.
fn weights(block: usize, count: usize) -> [i32; SIDE] {
    std::array::from_fn(|at| match at < BLOCK {
        true if block == 0 => 2 * BLOCK as i32,
        false if block + 1 == count => 2 * BLOCK as i32,
        true => 2 * at as i32 + 1,
        false => 2 * (SIDE - at) as i32 - 1,
    })
}

/// What a vector says of a square of pixels.
struct Window {
    /// `[SIDE, SIDE, 3]`.
    samples: Vec<i32>,
    /// Rows of it and three more, interpolated along rows.
    rows: Vec<i32>,
}

impl Default for Window {
    fn default() -> Window {
        Window {
            samples: vec![0; 3 * SIDE * SIDE],
            rows: vec![0; 3 * SIDE * (SIDE + 3)],
        }
    }
}

impl Window {
    fn fill(&mut self, before: &Picture, (top, left): (isize, isize), vector: Vector) {
        let whole = |part: i16| {
            (
                part.div_euclid(PARTS) as isize,
                part.rem_euclid(PARTS) as usize,
            )
        };
        let ((down, down_part), (right, right_part)) = (whole(vector.down), whole(vector.right));
        let (across, along) = (&CUBIC[down_part], &CUBIC[right_part]);
        let nearest = |at: isize, limit: usize| at.clamp(0, limit as isize - 1) as usize;
        let (top, left) = (top + down - 1, left + right - 1);
        for (dy, out) in self.rows.chunks_exact_mut(3 * SIDE).enumerate() {
            let y = nearest(top + dy as isize, before.height);
            let row = &before.rgb[3 * y * before.width..][..3 * before.width];
            for (dx, out) in out.chunks_exact_mut(3).enumerate() {
                let places: [usize; 4] =
                    std::array::from_fn(|i| 3 * nearest(left + (dx + i) as isize, before.width));
                for (channel, out) in out.iter_mut().enumerate() {
                    *out = (0..4)
                        .map(|i| along[i] * i32::from(row[places[i] + channel]))
                        .sum();
                }
            }
        }
        for (at, out) in self.samples.iter_mut().enumerate() {
            let sum: i32 = (0..4)
                .map(|i| across[i] * self.rows[at + 3 * SIDE * i])
                .sum();
            *out = (sum + (1 << (13 - POINT))) >> (14 - POINT);
        }
    }
}
