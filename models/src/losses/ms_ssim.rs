//! Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003) that gradients go through.
//!
//! The values are those of [`metrics::ms_ssim`](crate::metrics::ms_ssim). Of two planes a and b with
//! d = a - b, whose means and variances are taken under a Gaussian window,
//!
//! ```text
//! contrast and structure = 1 - var(d) / (var(a) + var(b) + C2)
//! luminance              = 1 - mean(d)^2 / (mean(a)^2 + mean(b)^2 + C1)
//! ```
//!
//! is what the paper writes with the covariance of a and b. It has one moment less, is exactly 1 where
//! the planes are equal, and keeps its precision where they almost are.
//!
//! A window of 11 taps along an axis is a contraction: pieces of the axis, each as long as its results
//! and ten more, with a matrix that has the taps on its diagonals. That is 26 to 53 products for a
//! result instead of 11, but in the kernels that contractions have.

use crate::metrics::{SSIM_C1, SSIM_C2, SSIM_SCALE_WEIGHTS, ssim_window};
use bsq_ir::{Graph, Tensor};

/// The shortest side that has a window's length left at the coarsest scale.
pub const MS_SSIM_SMALLEST_CROP: usize = 176;

/// How many squared levels of a pixel, those of its three samples together, `1 - MS-SSIM` is worth
/// where it is added to the squared error.
///
/// Both grow alike with the quantizer's step s: of crops of photographs that the transform codec
/// codes, `1 - MS-SSIM` is about proportional to s (.0045, .021 and .081 at s = 14, 58 and 240), and
/// the squared error is 2100, 2500 and 2800 times as much. So the sum has one weight for all
/// steps, and at a weight of 1 both have about the same share in it.
pub const MS_SSIM_SCALE: f64 = 2500.0;

/// What is added to pixels of -127.5 to 127.5, in which variances are most precise.
const MIDDLE: f64 = 127.5;

/// Means of a scale that are not above this count as zero. Powers have no finite slope there.
const FLOOR: f64 = 1e-6;

/// Results of a piece of an axis, at least, where it has as many.
const PIECE: usize = 16;

/// MS-SSIM of each picture, `[B]`; pictures are `[B, channels, height, width]`, with pixels of -127.5
/// to 127.5 as a transform codec has them.
///
/// # Panics
/// If the shapes differ, or a side is shorter than [`MS_SSIM_SMALLEST_CROP`] or no multiple of 16.
#[track_caller]
pub fn ms_ssim<'g>(original: Tensor<'g>, reconstruction: Tensor<'g>) -> Tensor<'g> {
    let shape = original.shape();
    assert_eq!(shape, reconstruction.shape(), "MS-SSIM of pictures");
    for &side in &shape[2..] {
        assert!(
            side >= MS_SSIM_SMALLEST_CROP && side.is_multiple_of(16),
            "MS-SSIM of pictures of shape {shape}"
        );
    }
    let (mut original, mut difference) = (original, original - reconstruction);
    let mut product: Option<Tensor<'g>> = None;
    for (scale, &weight) in SSIM_SCALE_WEIGHTS.iter().enumerate() {
        let is_coarsest = scale + 1 == SSIM_SCALE_WEIGHTS.len();
        let similarity = similarity(original, difference, is_coarsest);
        let power = power(similarity, weight);
        product = Some(product.map_or(power, |product| product * power));
        if !is_coarsest {
            (original, difference) = (halved(original), halved(difference));
        }
    }
    product.expect("there are scales").mean(1)
}

/// The mean similarity of each plane, `[B, channels]`: of contrast and structure, and of luminance if
/// asked for.
fn similarity<'g>(original: Tensor<'g>, difference: Tensor<'g>, luminance: bool) -> Tensor<'g> {
    let reconstruction = original - difference;
    let squares = original.square() + reconstruction.square();
    let mean = blurred(original);
    let mean_difference = blurred(difference);
    let square_difference = mean_difference.square();
    let other = mean - mean_difference;
    let variances = blurred(squares) - (mean.square() + other.square());
    let variance = blurred(difference.square()) - square_difference;
    let structure = 1.0 - variance / (variances + SSIM_C2);
    let places = [2, 3, 4];
    if !luminance {
        return structure.mean(places);
    }
    let lights = (mean + MIDDLE).square() + (other + MIDDLE).square();
    let luminance = 1.0 - square_difference / (lights + SSIM_C1);
    (structure * luminance).mean(places)
}

/// `x^exponent` of means, and 0 with a gradient of 0 where `x` is not above the floor.
fn power(x: Tensor<'_>, exponent: f64) -> Tensor<'_> {
    let power = (x.maximum(FLOOR).log() * exponent).exp();
    power.where_(x.gt(FLOOR), 0.0)
}

/// Planes `[B, channels, height, width]` under the window, without those places where it reaches
/// beyond the border: `[B, channels, pieces, width - 10, height of a piece]`.
fn blurred(x: Tensor<'_>) -> Tensor<'_> {
    let across = blurred_pieces(x, 3);
    let shape = across.shape();
    let rows = across.reshape([shape[0], shape[1], shape[2], shape[3] * shape[4]]);
    blurred_pieces(rows, 2)
}

/// The window along an axis, which becomes pieces there and the places of a piece at the end.
fn blurred_pieces(x: Tensor<'_>, axis: usize) -> Tensor<'_> {
    let more = ssim_window().len() - 1;
    let places = x.shape()[axis] - more;
    let divides = |size: &usize| places.is_multiple_of(*size);
    let size = (PIECE..places).find(divides).unwrap_or(places);
    let pieces = x.window(axis as isize, size + more, size, 1);
    pieces.dot_general(diagonals(x.graph(), size), &[], &[(axis + 1, 0)])
}

/// `[size + 10, size]`: column i has the taps from row i on.
fn diagonals(graph: &Graph, size: usize) -> Tensor<'_> {
    let taps = ssim_window();
    let rows = size + taps.len() - 1;
    let at = |row: usize, column: usize| {
        let tap = row.checked_sub(column).and_then(|tap| taps.get(tap));
        tap.map_or(0.0, |&tap| tap as f32)
    };
    let values: Vec<f32> = (0..rows * size).map(|i| at(i / size, i % size)).collect();
    graph.constant_f32(&values, [rows, size])
}

/// Means of 2x2 pixels.
fn halved(x: Tensor<'_>) -> Tensor<'_> {
    let [batch, channels, height, width] = x.shape()[..] else {
        panic!("planes, not {}", x.shape())
    };
    let blocks = x.reshape([batch, channels, height / 2, 2, width / 2, 2]);
    let pixel = |row: usize, column: usize| {
        let pixel = blocks.slice(3, row..row + 1).slice(5, column..column + 1);
        pixel.reshape([batch, channels, height / 2, width / 2])
    };
    (pixel(0, 0) + pixel(0, 1) + (pixel(1, 0) + pixel(1, 1))) * 0.25
}

#[cfg(test)]
mod tests;
