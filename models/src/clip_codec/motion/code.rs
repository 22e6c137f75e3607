//! Vectors as binary decisions: what each differs from the expected one, with probabilities that
//! adapt to what was coded before.

use super::{LONGEST, MotionField, Vector};
use crate::image_io::ImageSize;
use crate::transform_codec::level_coder::Decide;

/// How often a decision came out either way.
#[derive(Clone, Copy, Debug)]
struct Counts([u16; 2]);

impl Default for Counts {
    fn default() -> Counts {
        Counts([1, 1])
    }
}

impl Counts {
    fn code(&mut self, coder: &mut impl Decide, known: bool) -> Option<bool> {
        let [no, yes] = self.0.map(f64::from);
        let found = coder.decide(yes / (no + yes), known)?;
        self.0[usize::from(found)] += 1;
        // What is long ago counts less.
        if self.0[0] + self.0[1] > 255 {
            self.0 = self.0.map(|count| count.div_ceil(2));
        }
        Some(found)
    }
}

/// Bits of the length of a difference.
const LENGTHS: usize = 12;

/// What is known of the two parts of vectors.
#[derive(Clone, Debug, Default)]
struct PartCounts {
    /// By how many of the left and the upper block are as expected.
    is_zero: [Counts; 3],
    is_negative: Counts,
    /// Whether a size has more bits than this.
    is_longer: [Counts; LENGTHS],
}

/// Codes the motion of one frame after another.
#[derive(Clone, Debug, Default)]
pub struct MotionCoder {
    /// Whether the whole frame stands still.
    is_still: Counts,
    parts: [PartCounts; 2],
}

impl MotionCoder {
    /// Codes a field; a decoder's `known` is a still one. `None` if no encoder has written this.
    pub fn code(
        &mut self,
        coder: &mut impl Decide,
        size: ImageSize,
        known: &MotionField,
    ) -> Option<MotionField> {
        let mut field = MotionField::still(size);
        let is_still = known
            .vectors
            .iter()
            .all(|&vector| vector == Vector::default());
        if self.is_still.code(coder, is_still)? {
            return Some(field);
        }
        let mut is_expected = vec![[false; 2]; field.vectors.len()];
        for row in 0..field.rows {
            for column in 0..field.columns {
                let at = row * field.columns + column;
                let left = column.checked_sub(1).map(|_| is_expected[at - 1]);
                let up = row.checked_sub(1).map(|_| is_expected[at - field.columns]);
                let (expected, known) = (field.expected(row, column), known.vectors[at]);
                let pairs = [(expected.down, known.down), (expected.right, known.right)];
                let mut found = [0; 2];
                for (part, (expected, known)) in pairs.into_iter().enumerate() {
                    let neighbours = [left, up]
                        .into_iter()
                        .flatten()
                        .filter(|all| all[part])
                        .count();
                    let difference =
                        self.parts[part].code(coder, neighbours, known.wrapping_sub(expected))?;
                    found[part] = expected
                        .checked_add(difference)
                        .filter(|x| x.abs() <= LONGEST)?;
                    is_expected[at][part] = difference == 0;
                }
                let [down, right] = found;
                field.vectors[at] = Vector { down, right };
            }
        }
        Some(field)
    }
}

impl PartCounts {
    fn code(&mut self, coder: &mut impl Decide, neighbours: usize, known: i16) -> Option<i16> {
        if self.is_zero[neighbours].code(coder, known == 0)? {
            return Some(0);
        }
        let is_negative = self.is_negative.code(coder, known < 0)?;
        let size = known.unsigned_abs();
        let known_length = (u16::BITS - size.leading_zeros()) as usize;
        let mut length = 1;
        while self
            .is_longer
            .get_mut(length)?
            .code(coder, known_length > length)?
        {
            length += 1;
        }
        // The first bit is one.
        let mut found = 1_i16;
        for bit in (0..length - 1).rev() {
            found = 2 * found + i16::from(coder.decide(0.5, size >> bit & 1 == 1)?);
        }
        Some(if is_negative { -found } else { found })
    }
}
