//! Antialiased resizing with the exact arithmetic of PIL (Pillow) for 8-bit pictures.
//!
//! Published figures of image models depend on the resizer: a bilinear filter that does not widen
//! when it shrinks, or that keeps fractions between its two passes, moves PSNR by tenths of a dB.
//! So this is PIL's method to the bit. Along each axis, output position `i` looks at input
//! position `(i + 1/2) * scale`, where `scale` is input size / output size; a filter that is
//! stretched by `max(scale, 1)` weighs the inputs around it; the weights are normalised in f64 and
//! rounded to multiples of 2^-22. Columns are resampled first, then rows, and each pass sums
//! integers and rounds to 8 bits. An axis whose size stays is left alone. (Pillow 13 and later
//! resample rows first where that is cheaper, which moves single levels of tall or strongly
//! flattened pictures; results here are those of all versions before it.)

use super::{Picture, center_crop};
use std::ops::Range;

/// The function that weighs input samples by their distance from an output sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Equal weights within half a sample.
    Box,
    /// A triangle of half width 1: what training uses.
    #[default]
    Bilinear,
    /// Keys' cubic with a = -1/2, half width 2.
    Bicubic,
    /// A sinc windowed by a wider sinc, half width 3: what evaluation uses.
    Lanczos,
}

impl Filter {
    /// The distance from which on the weight is zero.
    fn support(self) -> f64 {
        match self {
            Filter::Box => 0.5,
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            // Half open, so that of two inputs at the same distance one counts.
            Filter::Box => f64::from(x > -0.5 && x <= 0.5),
            Filter::Bilinear => (1.0 - x.abs()).max(0.0),
            Filter::Bicubic => {
                const A: f64 = -0.5;
                let x = x.abs();
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Lanczos => 0.0,
        }
    }
}

/// sin(pi x) / (pi x), from a portable sine so that every machine gets the same weights.
fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    libm::sin(x) / x
}

/// Weights are multiples of 2^-22: 8 bits of sample and 2 bits of headroom fill an i32.
const PRECISION_BITS: u32 = 22;

/// For every output position of a range: the first input it looks at, and its integer weights.
struct Taps {
    first: Vec<usize>,
    /// `[positions, longest]`, padded with zeros.
    weights: Vec<i32>,
    counts: Vec<usize>,
    longest: usize,
}

impl Taps {
    fn new(filter: Filter, input: usize, output: usize, wanted: Range<usize>) -> Taps {
        let scale = input as f64 / output as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let longest = support.ceil() as usize * 2 + 1;
        let mut taps = Taps {
            first: Vec::with_capacity(wanted.len()),
            weights: Vec::with_capacity(wanted.len() * longest),
            counts: Vec::with_capacity(wanted.len()),
            longest,
        };
        let mut weights = Vec::with_capacity(longest);
        for position in wanted {
            let center = (position as f64 + 0.5) * scale;
            // Conversions to usize truncate, and send negative numbers to zero.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            weights.clear();
            weights.extend((first..end).map(|at| {
                // A product with the reciprocal, in this order: it decides last bits.
                filter.weight((at as f64 - center + 0.5) * (1.0 / stretch))
            }));
            let total: f64 = weights.iter().sum();
            for weight in &mut weights {
                if total != 0.0 {
                    *weight /= total;
                }
            }
            taps.first.push(first);
            taps.counts.push(weights.len());
            taps.weights.extend(weights.iter().map(|weight| {
                let scaled = weight * f64::from(1 << PRECISION_BITS);
                (scaled + 0.5_f64.copysign(scaled)) as i32
            }));
            let filled = taps.first.len() * longest;
            taps.weights.resize(filled, 0);
        }
        taps
    }

    /// The first input of output `i` of the range, and its weights.
    fn of(&self, i: usize) -> (usize, &[i32]) {
        let start = i * self.longest;
        (self.first[i], &self.weights[start..start + self.counts[i]])
    }

    /// All inputs that any output of the range looks at.
    fn inputs(&self) -> Range<usize> {
        let last = self.first.len() - 1;
        self.first[0]..self.first[last] + self.counts[last]
    }
}

/// A sum that starts with this rounds to nearest when it is shifted down.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn to_sample(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// The picture resampled to `width` x `height`.
///
/// # Panics
/// When the new size is empty.
#[track_caller]
pub fn resize(picture: &Picture, width: usize, height: usize, filter: Filter) -> Picture {
    resize_and_crop(picture, width, height, filter, 0..width, 0..height)
}

/// The given columns and rows of the picture resampled to `width` x `height`: the same bytes as
/// [`resize`] followed by a crop, at the cost of the crop alone.
///
/// # Panics
/// When the new size or the crop is empty, or the crop reaches out of the new size.
#[track_caller]
pub fn resize_and_crop(
    picture: &Picture,
    width: usize,
    height: usize,
    filter: Filter,
    columns: Range<usize>,
    rows: Range<usize>,
) -> Picture {
    assert!(
        columns.start < columns.end && columns.end <= width,
        "columns {columns:?} of a picture {width} wide"
    );
    assert!(
        rows.start < rows.end && rows.end <= height,
        "rows {rows:?} of a picture {height} high"
    );
    let vertical =
        (height != picture.height).then(|| Taps::new(filter, picture.height, height, rows.clone()));
    let input_rows = vertical.as_ref().map_or(rows, Taps::inputs);

    let narrow = if width == picture.width {
        super::crop(
            picture,
            columns.start,
            input_rows.start,
            columns.len(),
            input_rows.len(),
        )
    } else {
        let horizontal = Taps::new(filter, picture.width, width, columns);
        resample_columns(picture, &horizontal, input_rows.clone())
    };
    match vertical {
        Some(taps) => resample_rows(&narrow, &taps, input_rows.start),
        None => narrow,
    }
}

fn resample_columns(picture: &Picture, taps: &Taps, rows: Range<usize>) -> Picture {
    let width = taps.first.len();
    let mut rgb = Vec::with_capacity(3 * width * rows.len());
    for y in rows.clone() {
        let row = picture.row(y).as_chunks::<3>().0;
        for x in 0..width {
            let (first, weights) = taps.of(x);
            let mut sums = [HALF; 3];
            for (weight, pixel) in weights.iter().zip(&row[first..]) {
                for (sum, &sample) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(sample);
                }
            }
            rgb.extend(sums.map(to_sample));
        }
    }
    Picture::new(width, rows.len(), rgb)
}

/// `first_row` is the number that row 0 of `picture` has in the coordinates of `taps`.
fn resample_rows(picture: &Picture, taps: &Taps, first_row: usize) -> Picture {
    let height = taps.first.len();
    let mut rgb = Vec::with_capacity(3 * picture.width * height);
    let mut sums = vec![0_i32; 3 * picture.width];
    for y in 0..height {
        let (first, weights) = taps.of(y);
        sums.fill(HALF);
        for (&weight, row) in weights.iter().zip(first - first_row..) {
            for (sum, &sample) in sums.iter_mut().zip(picture.row(row)) {
                *sum += weight * i32::from(sample);
            }
        }
        rgb.extend(sums.iter().map(|&sum| to_sample(sum)));
    }
    Picture::new(picture.width, height, rgb)
}

/// The size (width, height) at which the shorter side is `side` and the longer one is
/// floor(side * long / short).
pub fn size_for_shorter_side(width: usize, height: usize, side: usize) -> (usize, usize) {
    if width <= height {
        (side, side * height / width)
    } else {
        (side * width / height, side)
    }
}

/// The picture resized so that its shorter side is `side`.
///
/// # Panics
/// As [`resize`]: if a side is 0.
#[track_caller]
pub fn resize_shorter_side(picture: &Picture, side: usize, filter: Filter) -> Picture {
    let (width, height) = size_for_shorter_side(picture.width, picture.height, side);
    resize(picture, width, height, filter)
}

/// How evaluation sees a picture: the shorter side resized to `side`, then the middle square.
///
/// # Panics
/// As [`resize`]: if a side is 0.
#[track_caller]
pub fn resize_and_center_crop(picture: &Picture, side: usize, filter: Filter) -> Picture {
    center_crop(&resize_shorter_side(picture, side, filter), side, side)
}

#[cfg(test)]
#[path = "resize_tests.rs"]
mod tests;
