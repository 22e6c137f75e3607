//! Structural similarity, at one scale and at five.

use super::{
    gaussian::{Plane, window_along},
    to_levels,
};

/// Smaller pictures have no MS-SSIM: [`ms_ssim`] gives `None`, as figures are reported.
pub const MS_SSIM_SMALLEST_SIDE: usize = 256;

/// Exponents of the five scales, finest first (Wang, Simoncelli and Bovik 2003).
pub(crate) const SCALE_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// (0.01 * 255)^2 and (0.03 * 255)^2 keep quotients of flat regions finite.
pub(crate) const C1: f64 = 6.5025;
pub(crate) const C2: f64 = 58.5225;

/// Structural similarity (Wang et al. 2004): Gaussian window of 11 taps and sigma 1.5, no padding,
/// mean over each channel's map and then over channels.
///
/// `shape` is `[channels, height, width]`; see the module for the values.
///
/// # Panics
/// When an image has not as many values as its shape says, or none.
#[track_caller]
pub fn ssim(original: &[f32], reconstruction: &[f32], shape: [usize; 3]) -> f64 {
    let channels = channels_of(original, reconstruction, shape);
    mean(channels.map(|(a, b)| compare(&a, &b).ssim()))
}

/// Multi-scale structural similarity with five scales; `None` when a side is shorter than
/// [`MS_SSIM_SMALLEST_SIDE`].
///
/// Negative means of a scale count as zero; powers are multiplied within a channel and averaged
/// over channels afterwards.
///
/// # Panics
/// As [`ssim`].
#[track_caller]
pub fn ms_ssim(original: &[f32], reconstruction: &[f32], shape: [usize; 3]) -> Option<f64> {
    let channels = channels_of(original, reconstruction, shape);
    if shape[1].min(shape[2]) < MS_SSIM_SMALLEST_SIDE {
        return None;
    }
    Some(mean(channels.map(|(mut a, mut b)| {
        let mut product = 1.0;
        for (scale, weight) in SCALE_WEIGHTS.iter().enumerate() {
            let similarity = compare(&a, &b);
            if scale + 1 == SCALE_WEIGHTS.len() {
                product *= libm::pow(similarity.ssim().max(0.0), *weight);
            } else {
                product *= libm::pow(similarity.contrast_structure().max(0.0), *weight);
                (a, b) = (a.halved(), b.halved());
            }
        }
        product
    })))
}

/// The channels of both images as pairs of planes in 0..255.
#[track_caller]
fn channels_of<'a>(
    original: &'a [f32],
    reconstruction: &'a [f32],
    [channels, height, width]: [usize; 3],
) -> impl ExactSizeIterator<Item = (Plane, Plane)> + use<'a> {
    let pixels = height * width;
    assert!(channels * pixels > 0, "SSIM of an empty image");
    for image in [original, reconstruction] {
        assert_eq!(
            image.len(),
            channels * pixels,
            "SSIM of images of shape [{channels}, {height}, {width}]"
        );
    }
    let plane = move |values: &[f32]| Plane {
        width,
        height,
        values: values.iter().map(|&value| to_levels(value)).collect(),
    };
    original
        .chunks_exact(pixels)
        .zip(reconstruction.chunks_exact(pixels))
        .map(move |(a, b)| (plane(a), plane(b)))
}

/// Both images, their squares and their product.
const MOMENTS: usize = 5;

/// Compares two planes that come row by row: only as many blurred rows are kept as the window is high.
pub(super) struct SimilarityRows {
    across: &'static [f64],
    down: &'static [f64],
    /// Rows so far.
    y: usize,
    /// Places that the window has across.
    width: usize,
    moments: [Vec<f64>; MOMENTS],
    blurred_rows: Vec<[Vec<f64>; MOMENTS]>,
    blurred: [Vec<f64>; MOMENTS],
    ssim: f64,
    contrast_structure: f64,
    /// Places that the window has in all.
    count: f64,
}

impl SimilarityRows {
    pub fn new(height: usize, width: usize) -> SimilarityRows {
        let (across, down) = (window_along(width), window_along(height));
        let places = width - across.len() + 1;
        SimilarityRows {
            across,
            down,
            y: 0,
            width: places,
            moments: [(); MOMENTS].map(|()| vec![0.0; width]),
            blurred_rows: vec![[(); MOMENTS].map(|()| vec![0.0; places]); down.len()],
            blurred: [(); MOMENTS].map(|()| vec![0.0; places]),
            ssim: 0.0,
            contrast_structure: 0.0,
            count: (places * (height - down.len() + 1)) as f64,
        }
    }

    /// The next row of both planes, values in 0..255.
    pub fn push(&mut self, row_a: &[f64], row_b: &[f64]) {
        let (width, down) = (self.width, self.down.len());
        for (x, (&a, &b)) in row_a.iter().zip(row_b).enumerate() {
            for (moment, value) in self.moments.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                moment[x] = value;
            }
        }
        for (sums, moment) in self.blurred_rows[self.y % down]
            .iter_mut()
            .zip(&self.moments)
        {
            sums.fill(0.0);
            for (tap, weight) in self.across.iter().enumerate() {
                add_scaled(sums, &moment[tap..tap + width], *weight);
            }
        }
        self.y += 1;
        let Some(top) = self.y.checked_sub(down) else {
            return;
        };
        for (moment, sums) in self.blurred.iter_mut().enumerate() {
            sums.fill(0.0);
            for (tap, weight) in self.down.iter().enumerate() {
                let row = &self.blurred_rows[(top + tap) % down];
                add_scaled(sums, &row[moment], *weight);
            }
        }
        let [mean_a, mean_b, square_a, square_b, product] = &self.blurred;
        for x in 0..width {
            let (mean_a, mean_b) = (mean_a[x], mean_b[x]);
            let variances = square_a[x] - mean_a * mean_a + (square_b[x] - mean_b * mean_b);
            let covariance = product[x] - mean_a * mean_b;
            let structure = (2.0 * covariance + C2) / (variances + C2);
            let luminance = (2.0 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1);
            self.contrast_structure += structure;
            self.ssim += luminance * structure;
        }
    }

    /// The mean over all places, after the last row.
    pub fn ssim(&self) -> f64 {
        self.ssim / self.count
    }

    fn contrast_structure(&self) -> f64 {
        self.contrast_structure / self.count
    }
}

fn compare(a: &Plane, b: &Plane) -> SimilarityRows {
    let mut similarity = SimilarityRows::new(a.height, a.width);
    for (row_a, row_b) in a.rows().zip(b.rows()) {
        similarity.push(row_a, row_b);
    }
    similarity
}

fn add_scaled(sums: &mut [f64], values: &[f64], scale: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += scale * value;
    }
}

pub(super) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}
