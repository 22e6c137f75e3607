//! Bits of levels under a mixture of two discretized logistic distributions of one mean.

use bsq_ir::Tensor;

/// Added to probabilities: no level takes more than 20 bits, and far ones have no gradient.
const FLOOR: f64 = 1e-6;
/// The largest exponent, where the probability is far below [`FLOOR`].
const FAR: f64 = 40.0;
/// Limits of the logarithms of scales.
const LOG_SCALES: [f64; 2] = [-5.0, 6.0];

/// Parameters of a mixture, all of one shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mixture<'g> {
    pub mean: Tensor<'g>,
    /// Logarithms of the scales of both components.
    pub log_scales: [Tensor<'g>; 2],
    /// What the sigmoid of is the first component's share.
    pub share: Tensor<'g>,
}

/// Numbers of each level in [`Mixture::table`].
pub(super) const TABLE: usize = 5;

impl<'g> Mixture<'g> {
    /// What a coder needs of each level, `[TABLE, ..]`: the mean, the reciprocals of both scales, the
    /// first component's share, and the probability of the level next to the mean,
    /// `floor(mean + 1/2)`.
    pub fn table(&self) -> Tensor<'g> {
        let distance = ((self.mean + 0.5).floor() - self.mean).abs();
        let [first, second] = self.log_scales.map(|scale| mass(distance, scale));
        let share = self.share.sigmoid();
        let nearest = second + (first - second) * share;
        let [a, b] = self.log_scales.map(reciprocal_scale);
        let all = [self.mean, a, b, share, nearest].map(|x| x.unsqueeze(0));
        self.mean.graph().concat(&all, 0)
    }

    /// Bits of levels: `-log2 P(q - 1/2 < x < q + 1/2)`.
    pub fn bits(&self, levels: Tensor<'g>) -> Tensor<'g> {
        let distance = (levels - self.mean).abs();
        let [first, second] = self.log_scales.map(|scale| mass(distance, scale));
        let share = self.share.sigmoid();
        let probability = second + (first - second) * share + FLOOR;
        probability.log() * -std::f64::consts::LOG2_E
    }
}

fn reciprocal_scale(log_scale: Tensor<'_>) -> Tensor<'_> {
    (-log_scale.clamp(LOG_SCALES[0], LOG_SCALES[1])).exp()
}

/// The probability of the interval of length 1 whose middle is `distance >= 0` from the mean.
///
/// With `h` half the interval and `u` the distance, both over the scale, it is
/// `sigmoid(h - u) - sigmoid(-h - u) = (1 - exp(-2h)) / ((1 + exp(u - h)) (1 + exp(-u - h)))`:
/// nothing cancels, however far the interval.
fn mass<'g>(distance: Tensor<'g>, log_scale: Tensor<'g>) -> Tensor<'g> {
    let inverse = reciprocal_scale(log_scale);
    let (h, u) = (inverse * 0.5, distance * inverse);
    let near = (u - h).minimum(FAR).exp() + 1.0;
    let far = (-u - h).exp() + 1.0;
    (1.0 - (-inverse).exp()) / (near * far)
}
