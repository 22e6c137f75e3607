//! How near a reconstruction is to its original: PSNR, SSIM, MS-SSIM, and bits per pixel.
//!
//! All functions take f32 planes `[channels, height, width]` in -1..1, as a model makes them, and
//! look at `(x + 1) * 127.5` **without rounding to 8 bits**, which is how figures of image
//! tokenizers are reported. They are per image: a mean over a data set is the mean of the images'
//! values, not the value of the mean error. Arithmetic is f64 in a fixed order, so a figure is the
//! same on every machine. [`RowMetrics`] compares pictures that are too large to be in memory.
//!
//! | metric | range | identical images |
//! |---|---|---|
//! | [`psnr`] | decibels | infinite |
//! | [`ssim`] | -1..1 | 1 |
//! | [`ms_ssim`] | 0..1 | 1 |
//! | [`Lpips`] | 0.. | 0; needs weights that are not part of this program |
//!
//! Figures of whole sets, FID and its kin, are in [`sets`].

mod border_steps;
mod clip;
mod gaussian;
mod lpips;
mod rows;
pub mod sets;
mod ssim;

pub use border_steps::BorderSteps;
pub use clip::ClipMetrics;
pub(crate) use gaussian::window as ssim_window;
pub use lpips::{Lpips, LpipsError};
pub use rows::RowMetrics;
pub(crate) use ssim::{C1 as SSIM_C1, C2 as SSIM_C2, SCALE_WEIGHTS as SSIM_SCALE_WEIGHTS};
pub use ssim::{MS_SSIM_SMALLEST_SIDE, ms_ssim, ssim};

/// Peak signal-to-noise ratio in decibels, `20 log10(255 / sqrt(MSE))` over all values;
/// infinite when the images are equal.
///
/// # Panics
/// When the images are empty or differ in length.
#[track_caller]
pub fn psnr(original: &[f32], reconstruction: &[f32]) -> f64 {
    assert_eq!(
        original.len(),
        reconstruction.len(),
        "PSNR of images of different sizes"
    );
    assert!(!original.is_empty(), "PSNR of an empty image");
    let squared = original
        .iter()
        .zip(reconstruction)
        .map(|(&a, &b)| {
            let difference = to_levels(a) - to_levels(b);
            difference * difference
        })
        .sum();
    decibels(squared, original.len())
}

/// Of the sum of the squares of so many differences.
fn decibels(squared: f64, values: usize) -> f64 {
    20.0 * libm::log10(255.0 / (squared / values as f64).sqrt())
}

/// Bits of tokens per pixel of the picture they stand for.
pub fn bits_per_pixel(bits: u64, width: usize, height: usize) -> f64 {
    bits as f64 / (width as f64 * height as f64)
}

/// A value in -1..1 on the scale 0..255 on which metrics are defined.
fn to_levels(value: f32) -> f64 {
    (f64::from(value) + 1.0) * 127.5
}

#[cfg(test)]
mod tests;
