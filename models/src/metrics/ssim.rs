//! Structural similarity, at one scale and at five.

use super::{
    gaussian::{Plane, window_along},
    to_levels,
};

/// Smaller pictures have no MS-SSIM: [`ms_ssim`] gives `None`, as figures are reported.
pub const MS_SSIM_SMALLEST_SIDE: usize = 256;

/// Exponents of the five scales, finest first (Wang, Simoncelli and Bovik 2003).
const SCALE_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// (0.01 * 255)^2 and (0.03 * 255)^2 keep quotients of flat regions finite.
const C1: f64 = 6.5025;
const C2: f64 = 58.5225;

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
    mean(channels.map(|(a, b)| compare(&a, &b).ssim))
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
                product *= libm::pow(similarity.ssim.max(0.0), *weight);
            } else {
                product *= libm::pow(similarity.contrast_structure.max(0.0), *weight);
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

/// Means over the maps of one channel at one scale.
struct Similarity {
    ssim: f64,
    contrast_structure: f64,
}

/// Both images, their squares and their product.
const MOMENTS: usize = 5;

/// Compares two planes row by row: only as many blurred rows are kept as the window is high.
fn compare(a: &Plane, b: &Plane) -> Similarity {
    let (across, down) = (window_along(a.width), window_along(a.height));
    let width = a.width - across.len() + 1;
    let mut moments = [(); MOMENTS].map(|()| vec![0.0; a.width]);
    let mut blurred_rows = vec![[(); MOMENTS].map(|()| vec![0.0; width]); down.len()];
    let mut blurred = [(); MOMENTS].map(|()| vec![0.0; width]);
    let (mut ssim, mut contrast_structure) = (0.0, 0.0);
    for (y, (row_a, row_b)) in a.rows().zip(b.rows()).enumerate() {
        for (x, (&a, &b)) in row_a.iter().zip(row_b).enumerate() {
            for (moment, value) in moments.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                moment[x] = value;
            }
        }
        for (sums, moment) in blurred_rows[y % down.len()].iter_mut().zip(&moments) {
            sums.fill(0.0);
            for (tap, weight) in across.iter().enumerate() {
                add_scaled(sums, &moment[tap..tap + width], *weight);
            }
        }
        let Some(top) = (y + 1).checked_sub(down.len()) else {
            continue;
        };
        for (moment, sums) in blurred.iter_mut().enumerate() {
            sums.fill(0.0);
            for (tap, weight) in down.iter().enumerate() {
                let row = &blurred_rows[(top + tap) % down.len()];
                add_scaled(sums, &row[moment], *weight);
            }
        }
        let [mean_a, mean_b, square_a, square_b, product] = &blurred;
        for x in 0..width {
            let (mean_a, mean_b) = (mean_a[x], mean_b[x]);
            let variances = square_a[x] - mean_a * mean_a + (square_b[x] - mean_b * mean_b);
            let covariance = product[x] - mean_a * mean_b;
            let structure = (2.0 * covariance + C2) / (variances + C2);
            let luminance = (2.0 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1);
            contrast_structure += structure;
            ssim += luminance * structure;
        }
    }
    let count = (width * (a.height - down.len() + 1)) as f64;
    Similarity {
        ssim: ssim / count,
        contrast_structure: contrast_structure / count,
    }
}

fn add_scaled(sums: &mut [f64], values: &[f64], scale: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += scale * value;
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}
