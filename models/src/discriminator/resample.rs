//! Halving pictures behind a low-pass filter, so that what is finer does not fold back.

use bsq_ir::Tensor;

/// The filter along an axis, [1, 3, 3, 1] / 8: a binomial of four taps.
const TAPS: [f64; 2] = [0.125, 0.375];

/// The filter along rows and columns of `[batch, channels, height, width]` with `padding` zeros on
/// every side, at every `stride`th place from the first: along an axis
/// `(n + 2 padding - 4) / stride + 1` places.
#[track_caller]
pub(super) fn low_pass(x: Tensor<'_>, padding: usize, stride: usize) -> Tensor<'_> {
    let rows = along(x, 2, padding, stride);
    along(rows, 3, padding, stride)
}

#[track_caller]
fn along(x: Tensor<'_>, axis: isize, padding: usize, stride: usize) -> Tensor<'_> {
    let padded = x.pad(axis, padding, padding, 0.0);
    let taps = 2 * TAPS.len();
    let count = (padded.shape()[axis as usize] - taps) / stride + 1;
    let tap = |at: usize| padded.every(axis, at, stride, count);
    (tap(0) + tap(3)) * TAPS[0] + (tap(1) + tap(2)) * TAPS[1]
}
