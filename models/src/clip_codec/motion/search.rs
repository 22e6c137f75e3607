//! Which vectors an encoder chooses: those that predict well for their bits.

use super::{BLOCK, LONGEST, MotionField, PARTS, Vector};
use crate::image_io::Picture;

/// Pixels around a block that count, since its vector does there too.
const MARGIN: isize = 4;
/// Steps of the search around the best vector so far, in quarters of a pixel.
const STEPS: [i16; 7] = [64, 32, 16, 8, 4, 2, 1];

/// The motion from `before` to `now`. `bit` is what a bit is worth in absolute differences of luma;
/// `last` is the motion of the frame before, with which the search begins, too.
pub fn search(before: &Picture, now: &Picture, last: &MotionField, bit: i64) -> MotionField {
    let [before, now] = [before, now].map(Luma::of);
    let mut field = MotionField::still(now.size());
    for row in 0..field.rows {
        for column in 0..field.columns {
            let expected = field.expected(row, column);
            let block = Block {
                before: &before,
                now: &now,
                top: (row * BLOCK) as isize,
                left: (column * BLOCK) as isize,
                expected,
                bit,
            };
            let mut starts = vec![expected, Vector::default(), last.at(row, column)];
            starts.extend(column.checked_sub(1).map(|column| field.at(row, column)));
            starts.extend(row.checked_sub(1).map(|row| field.at(row, column)));
            if row + 1 < last.rows {
                starts.push(last.at(row + 1, column));
            }
            if column + 1 < last.columns {
                starts.push(last.at(row, column + 1));
            }
            field.vectors[row * field.columns + column] = block.best(&starts);
        }
    }
    field
}

/// Luma of a picture, in 256ths of a weighted sum.
struct Luma {
    height: usize,
    width: usize,
    samples: Vec<u8>,
}

impl Luma {
    fn of(picture: &Picture) -> Luma {
        let weighted = |pixel: &[u8]| {
            let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
            ((77 * red + 150 * green + 29 * blue + 128) >> 8) as u8
        };
        Luma {
            height: picture.height,
            width: picture.width,
            samples: picture.rgb.chunks_exact(3).map(weighted).collect(),
        }
    }

    fn size(&self) -> crate::image_io::ImageSize {
        crate::image_io::ImageSize {
            height: self.height,
            width: self.width,
        }
    }

    fn row(&self, y: isize) -> &[u8] {
        let y = y.clamp(0, self.height as isize - 1) as usize;
        &self.samples[y * self.width..(y + 1) * self.width]
    }
}

/// A block that a vector is wanted for.
struct Block<'a> {
    before: &'a Luma,
    now: &'a Luma,
    top: isize,
    left: isize,
    expected: Vector,
    bit: i64,
}

impl Block<'_> {
    fn best(&self, starts: &[Vector]) -> Vector {
        let mut best = (i64::MAX, Vector::default());
        let consider = |best: &mut (i64, Vector), vector: Vector| {
            if vector.down.abs().max(vector.right.abs()) > LONGEST {
                return false;
            }
            let cost = self.cost(vector, best.0);
            let is_better = cost < best.0;
            if is_better {
                *best = (cost, vector);
            }
            is_better
        };
        for &start in starts {
            consider(&mut best, start);
        }
        for step in STEPS {
            // Each size of step until none is better; long ones once.
            let rounds = if step > 16 { 1 } else { 8 };
            for _ in 0..rounds {
                let Vector { down, right } = best.1;
                let mut is_better = false;
                for (y, x) in [
                    (-1, 0),
                    (1, 0),
                    (0, -1),
                    (0, 1),
                    (-1, -1),
                    (-1, 1),
                    (1, -1),
                    (1, 1),
                ] {
                    let vector = Vector {
                        down: down + y * step,
                        right: right + x * step,
                    };
                    is_better |= consider(&mut best, vector);
                }
                if !is_better {
                    break;
                }
            }
        }
        best.1
    }

    /// Absolute differences, and bits; anything above `limit` if it is more.
    fn cost(&self, vector: Vector, limit: i64) -> i64 {
        let bits = |part: i16, expected: i16| {
            let size = (i32::from(part) - i32::from(expected)).unsigned_abs();
            match size {
                0 => 1,
                size => 2 + 2 * i64::from(u32::BITS - size.leading_zeros()),
            }
        };
        let bits = bits(vector.down, self.expected.down) + bits(vector.right, self.expected.right);
        // One of four pixels beyond the block's own are counted as one, too.
        let mut cost = self.bit * bits;
        let rows = self.top - MARGIN..self.top + BLOCK as isize + MARGIN;
        for y in rows {
            if y < 0 || y >= self.now.height as isize {
                continue;
            }
            cost += self.row_difference(y, vector);
            if cost >= limit {
                return i64::MAX;
            }
        }
        cost
    }

    fn row_difference(&self, y: isize, vector: Vector) -> i64 {
        let whole = |part: i16| {
            (
                part.div_euclid(PARTS) as isize,
                i32::from(part.rem_euclid(PARTS)),
            )
        };
        let ((down, fy), (right, fx)) = (whole(vector.down), whole(vector.right));
        let width = self.now.width as isize;
        let columns = (self.left - MARGIN).max(0)..(self.left + BLOCK as isize + MARGIN).min(width);
        let [upper, lower] = [0, 1].map(|by| self.before.row(y + down + by));
        let now = self.now.row(y);
        let mut sum = 0;
        for x in columns {
            let at = (x + right).clamp(0, width - 1) as usize;
            let then = (x + right + 1).clamp(0, width - 1) as usize;
            let [upper, lower] =
                [upper, lower].map(|row| i32::from(row[at]) * (4 - fx) + i32::from(row[then]) * fx);
            let found = (upper * (4 - fy) + lower * fy + 8) >> 4;
            sum += i64::from((found - i32::from(now[x as usize])).unsigned_abs());
        }
        sum
    }
}
