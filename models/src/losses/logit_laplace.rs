//! The negative log-likelihood of pixels under Laplace distributions of their logits.

use crate::tokenizer::logit_laplace::{parts, squeeze};
use bsq_ir::Tensor;

/// The mean over pixel values of `|logit(x) - centre| / width + ln width + ln(x (1 - x))`, where
/// x are the pixels of `image` (in 0..1) squeezed into 0.1..0.9 and the decoder's planes `raw`
/// (`[batch, 6, height, width]`) hold centres and log-widths. The constant ln 2 is left out.
///
/// # Panics
/// If `raw` does not have twice the planes of `image`.
#[track_caller]
pub fn logit_laplace<'g>(raw: Tensor<'g>, image: Tensor<'g>) -> Tensor<'g> {
    let x = squeeze(image);
    let (centre, log_width) = parts(raw);
    let (log_x, log_rest) = (x.log(), (1.0 - x).log());
    let distance = (log_x - log_rest - centre).abs() * (-log_width).exp();
    (distance + log_width + (log_x + log_rest)).mean(..)
}
