//! Y'CbCr of 8 bits with chroma of half the rows and columns (4:2:0), and RGB.
//!
//! R = Y + (2 - 2 Kr) Cr, B = Y + (2 - 2 Kb) Cb, G = (Y - Kr R - Kb B) / Kg, where Kg = 1 - Kr - Kb
//! (ITU-R BT.601 and BT.709). A chroma sample is taken to lie in the middle of its 2x2 pixels, and is
//! interpolated with Catmull and Rom's cubic; going down, it is the mean of the four. Everything is
//! integers of 16 bits behind the point, so that a clip is the same numbers on every machine.

use crate::image_io::{ImageSize, Picture};

/// Which primaries luma is weighted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// Standard definition: Kr .299, Kb .114.
    Bt601,
    /// High definition: Kr .2126, Kb .0722.
    Bt709,
}

impl Matrix {
    /// What a clip that does not say has, by custom: BT.709 from 720 rows on.
    pub fn guess(size: ImageSize) -> Matrix {
        match size.height >= 720 {
            true => Matrix::Bt709,
            false => Matrix::Bt601,
        }
    }

    fn weights(self) -> (f64, f64) {
        match self {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
        }
    }
}

/// What black and white are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Luma 16 to 235, chroma 16 to 240: most clips.
    Limited,
    /// 0 to 255.
    Full,
}

impl Range {
    /// Black, levels of luma, and levels of chroma.
    fn levels(self) -> (i32, f64, f64) {
        match self {
            Range::Limited => (16, 219.0, 224.0),
            Range::Full => (0, 255.0, 255.0),
        }
    }
}

/// How colours are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    pub matrix: Matrix,
    pub range: Range,
}

/// The planes of a frame: luma of every pixel, chroma of `ceil(height / 2) x ceil(width / 2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yuv420 {
    pub size: ImageSize,
    pub y: Vec<u8>,
    pub u: Vec<u8>,
    pub v: Vec<u8>,
}

/// Rows and columns of chroma.
pub fn chroma_size(size: ImageSize) -> ImageSize {
    ImageSize {
        height: size.height.div_ceil(2),
        width: size.width.div_ceil(2),
    }
}

/// Bits behind the point.
const POINT: u32 = 16;
const HALF: i32 = 1 << (POINT - 1);

fn fixed(x: f64) -> i32 {
    (x * f64::from(1 << POINT)).round() as i32
}

impl Yuv420 {
    /// All samples, row by row: luma, then Cb, then Cr.
    ///
    /// # Panics
    /// If there are not as many as the planes of this size have.
    pub fn from_planes(size: ImageSize, samples: &[u8]) -> Yuv420 {
        let chroma = chroma_size(size);
        let (luma, chroma) = (size.height * size.width, chroma.height * chroma.width);
        assert_eq!(samples.len(), luma + 2 * chroma, "planes of a frame");
        Yuv420 {
            size,
            y: samples[..luma].to_vec(),
            u: samples[luma..luma + chroma].to_vec(),
            v: samples[luma + chroma..].to_vec(),
        }
    }

    /// The picture.
    pub fn to_rgb(&self, coding: Coding) -> Picture {
        let [u, v] = [&self.u, &self.v].map(|plane| upsampled(plane, self.size));
        to_rgb_444(self.size, [&self.y, &u, &v], coding)
    }
    /// The planes of a picture.
    pub fn from_rgb(picture: &Picture, coding: Coding) -> Yuv420 {
        let size = picture.size();
        let (kr, kb) = coding.matrix.weights();
        let (black, luma, chroma) = coding.range.levels();
        let kg = 1.0 - kr - kb;
        let weights = [kr, kg, kb].map(|k| fixed(k * luma / 255.0));
        let of = |k: [f64; 3], divisor: f64| k.map(|k| fixed(k * chroma / 255.0 / divisor));
        let to_u = of([-kr, -kg, 1.0 - kb], 2.0 - 2.0 * kb);
        let to_v = of([1.0 - kr, -kg, -kb], 2.0 - 2.0 * kr);
        let sum = |pixel: &[u8], weights: [i32; 3]| -> i32 {
            pixel
                .iter()
                .zip(weights)
                .map(|(&x, w)| i32::from(x) * w)
                .sum()
        };
        let sample = |x: i32, zero: i32| (((x + HALF) >> POINT) + zero).clamp(0, 255) as u8;
        let pixels = picture.rgb.chunks_exact(3);
        let y = pixels
            .map(|pixel| sample(sum(pixel, weights), black))
            .collect();
        let small = chroma_size(size);
        let mut planes = [Vec::new(), Vec::new()];
        for row in 0..small.height {
            for column in 0..small.width {
                let at = |down: usize, right: usize| {
                    let y = (2 * row + down).min(size.height - 1);
                    let x = (2 * column + right).min(size.width - 1);
                    &picture.rgb[3 * (y * size.width + x)..][..3]
                };
                let four = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)];
                for (plane, weights) in planes.iter_mut().zip([to_u, to_v]) {
                    let all: i32 = four.iter().map(|pixel| sum(pixel, weights)).sum();
                    plane.push(sample((all + 2) >> 2, 128));
                }
            }
        }
        let [u, v] = planes;
        Yuv420 { size, y, u, v }
    }
}

/// The picture of three planes of one size.
pub(super) fn to_rgb_444(size: ImageSize, [y, u, v]: [&[u8]; 3], coding: Coding) -> Picture {
    let (kr, kb) = coding.matrix.weights();
    let kg = 1.0 - kr - kb;
    let (black, luma, chroma) = coding.range.levels();
    let scale = fixed(255.0 / luma);
    let of = |factor: f64| fixed(factor * 255.0 / chroma);
    let (red, blue) = (of(2.0 - 2.0 * kr), of(2.0 - 2.0 * kb));
    let green = [
        of(-(2.0 - 2.0 * kb) * kb / kg),
        of(-(2.0 - 2.0 * kr) * kr / kg),
    ];
    let mut rgb = Vec::with_capacity(3 * y.len());
    for ((&y, &u), &v) in y.iter().zip(u).zip(v) {
        let y = (i32::from(y) - black) * scale + HALF;
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let sample = |x: i32| (x >> POINT).clamp(0, 255) as u8;
        rgb.extend([
            sample(y + red * v),
            sample(y + green[0] * u + green[1] * v),
            sample(y + blue * u),
        ]);
    }
    Picture::new(size.width, size.height, rgb)
}

/// Weights in 128ths of four samples around a place a quarter of a sample after the second.
const QUARTER: [i32; 4] = [-9, 111, 29, -3];

/// A chroma plane at the size of luma.
fn upsampled(plane: &[u8], size: ImageSize) -> Vec<u8> {
    let small = chroma_size(size);
    // A pixel lies a quarter of a chroma sample before or after one.
    let line = |length: usize,
                count: usize,
                get: &dyn Fn(usize) -> i32,
                out: &mut dyn FnMut(usize, i32)| {
        for place in 0..count {
            let middle = (place / 2) as isize;
            let sum: i32 = QUARTER
                .iter()
                .zip(-1_isize..)
                .map(|(weight, by)| {
                    let by = if place % 2 == 1 { by } else { -by };
                    let at = (middle + by).clamp(0, length as isize - 1);
                    weight * get(at as usize)
                })
                .sum();
            out(place, sum);
        }
    };
    let mut wide = vec![0_i32; small.height * size.width];
    for (row, out) in wide.chunks_exact_mut(size.width).enumerate() {
        let from = &plane[row * small.width..][..small.width];
        line(
            small.width,
            size.width,
            &|x| i32::from(from[x]),
            &mut |x, sum| out[x] = sum,
        );
    }
    let mut all = vec![0_u8; size.height * size.width];
    for column in 0..size.width {
        let get = |y: usize| wide[y * size.width + column];
        line(small.height, size.height, &get, &mut |y, sum| {
            all[y * size.width + column] = ((sum + (1 << 13)) >> 14).clamp(0, 255) as u8;
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ImageSize = ImageSize {
        height: 6,
        width: 8,
    };

    fn codings() -> impl Iterator<Item = Coding> {
        [Matrix::Bt601, Matrix::Bt709]
            .into_iter()
            .flat_map(|matrix| [Range::Limited, Range::Full].map(|range| Coding { matrix, range }))
    }

    #[test]
    fn colours_come_back_from_planes() {
        let colours = [
            [0, 0, 0],
            [255, 255, 255],
            [200, 30, 90],
            [12, 250, 3],
            [0, 0, 255],
            [128, 128, 128],
        ];
        for coding in codings() {
            for colour in colours {
                let picture = Picture::new(8, 6, colour.repeat(48));
                let back = Yuv420::from_rgb(&picture, coding).to_rgb(coding);
                let far = picture
                    .rgb
                    .iter()
                    .zip(&back.rgb)
                    .map(|(a, b)| a.abs_diff(*b))
                    .max();
                assert!(far <= Some(2), "{coding:?} {colour:?}: {far:?}");
            }
        }
    }

    /// Values of BT.709 and BT.601, limited, computed with the standards' formulas by hand.
    #[test]
    fn planes_are_those_of_the_standards() {
        let red = Picture::new(8, 6, [255, 0, 0].repeat(48));
        let of = |matrix| {
            let coding = Coding {
                matrix,
                range: Range::Limited,
            };
            let planes = Yuv420::from_rgb(&red, coding);
            (planes.y[0], planes.u[0], planes.v[0])
        };
        assert_eq!(of(Matrix::Bt601), (81, 90, 240));
        assert_eq!(of(Matrix::Bt709), (63, 102, 240));
    }

    #[test]
    fn chroma_of_odd_sizes_and_of_a_ramp() {
        let size = ImageSize {
            height: 3,
            width: 5,
        };
        assert_eq!(
            chroma_size(size),
            ImageSize {
                height: 2,
                width: 3
            }
        );
        let picture = Picture::new(5, 3, vec![77; 45]);
        let coding = codings().next().unwrap();
        assert_eq!(
            Yuv420::from_rgb(&picture, coding).to_rgb(coding).rgb,
            picture.rgb
        );
        // A straight line stays one between the ends.
        let plane: Vec<u8> = (0..3).flat_map(|_| [40, 80, 120, 160]).collect();
        let up = upsampled(&plane, SIZE);
        assert_eq!(up[3..5], [90, 110]);
    }
}
