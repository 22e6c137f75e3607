//! The head that predicts, per pixel value, a Laplace distribution of its logit.
//!
//! A pixel `x` in 0..1 is squeezed into 0.1..0.9 so that its logit is finite. The decoder gives
//! two planes per colour: the distribution's centre, and the logarithm of its width.

use bsq_ir::Tensor;

const LOW: f64 = 0.1;
const SPAN: f64 = 0.8;

/// Pixels in 0..1 to 0.1..0.9, what the encoder sees and the likelihood is of.
pub(crate) fn squeeze(image: Tensor<'_>) -> Tensor<'_> {
    image * SPAN + LOW
}

/// Centre and log-width, each `[batch, 3, height, width]`, of the decoder's six planes.
pub(crate) fn parts<'g>(raw: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
    let channels = raw.shape()[1] / 2;
    (
        raw.slice(1, 0..channels),
        raw.slice(1, channels..2 * channels),
    )
}

/// Pixels in 0..1 at the centres.
pub(super) fn reconstruct(raw: Tensor<'_>) -> Tensor<'_> {
    let (centre, _) = parts(raw);
    ((centre.sigmoid() - LOW) * (1.0 / SPAN)).clamp(0.0, 1.0)
}
