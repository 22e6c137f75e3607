//! PSNR and SSIM of 8-bit pictures that come row by row.

use super::ssim::{SimilarityRows, mean};
use super::{decibels, to_levels};
use crate::image_io::{ImageSize, PixelRange};

/// Compares two pictures of which a few rows are in memory at a time.
///
/// SSIM is [`ssim`](super::ssim)'s, bit for bit. PSNR is [`psnr`](super::psnr)'s to 1e-12: squares
/// are added up for each channel by itself.
pub struct RowMetrics {
    levels: [f64; 256],
    values: usize,
    squared: [f64; 3],
    similarity: [SimilarityRows; 3],
    /// One channel of a row of both.
    planes: [Vec<f64>; 2],
}

impl RowMetrics {
    /// # Panics
    /// If the pictures have no pixels.
    pub fn new(size: ImageSize) -> RowMetrics {
        let ImageSize { height, width } = size;
        assert!(height * width > 0, "metrics of an empty picture");
        RowMetrics {
            levels: PixelRange::MinusOneToOne.table().map(to_levels),
            values: 3 * height * width,
            squared: [0.0; 3],
            similarity: [(); 3].map(|()| SimilarityRows::new(height, width)),
            planes: [Vec::new(), Vec::new()],
        }
    }

    /// The next row of both: red, green and blue of every pixel.
    pub fn push(&mut self, original: &[u8], reconstruction: &[u8]) {
        for channel in 0..3 {
            for (plane, row) in self.planes.iter_mut().zip([original, reconstruction]) {
                let samples = row.iter().skip(channel).step_by(3);
                plane.clear();
                plane.extend(samples.map(|&sample| self.levels[usize::from(sample)]));
            }
            let [a, b] = &self.planes;
            let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
            self.squared[channel] += squares.sum::<f64>();
            self.similarity[channel].push(a, b);
        }
    }

    /// Decibels, after the last row; infinite if the pictures are equal.
    pub fn psnr(&self) -> f64 {
        decibels(self.squared.iter().sum(), self.values)
    }

    /// Structural similarity, after the last row.
    pub fn ssim(&self) -> f64 {
        mean(self.similarity.iter().map(SimilarityRows::ssim))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_io::{Picture, to_planar};
    use crate::metrics::{psnr, ssim};

    #[test]
    fn figures_by_rows_are_those_of_whole_pictures() {
        for (width, height) in [(1, 1), (4, 30), (30, 4), (37, 41)] {
            let picture = |factor: usize| {
                let rgb = (0..3 * width * height).map(|i| (i * factor % 251) as u8);
                Picture::new(width, height, rgb.collect())
            };
            let (a, b) = (picture(7), picture(13));
            let mut rows = RowMetrics::new(a.size());
            (0..height).for_each(|y| rows.push(a.row(y), b.row(y)));
            let [a, b] = [a, b].map(|picture| to_planar(&picture, PixelRange::MinusOneToOne));
            assert_eq!(rows.ssim(), ssim(&a, &b, [3, height, width]));
            let (by_rows, whole) = (rows.psnr(), psnr(&a, &b));
            assert!(
                by_rows == whole || (by_rows - whole).abs() < 1e-12 * whole,
                "{by_rows} {whole}"
            );
        }
    }
}
