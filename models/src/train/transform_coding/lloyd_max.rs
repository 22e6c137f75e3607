//! Scalar quantizers of least squared error (Lloyd and Max), and bits shared out among them.

/// Rounds of refinement; each lowers the error.
const ROUNDS: usize = 200;

/// A quantizer of one number to `2^bits` levels.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalarQuantizer {
    pub bits: usize,
    /// Where cells meet, ascending: one fewer than levels.
    pub thresholds: Vec<f64>,
    /// What each cell is decoded as, ascending.
    pub levels: Vec<f64>,
    /// The part of the samples in each cell.
    pub shares: Vec<f64>,
    /// Mean squared error.
    pub error: f64,
}

impl ScalarQuantizer {
    /// The quantizer of samples, which ascend.
    pub fn of(samples: &[f64], bits: usize) -> ScalarQuantizer {
        let (count, cells) = (samples.len(), 1 << bits);
        let mut sums = Vec::with_capacity(count + 1);
        sums.push(0.0);
        for &x in samples {
            sums.push(sums[sums.len() - 1] + x);
        }
        let squares: f64 = samples.iter().map(|x| x * x).sum();
        // It starts with cells of cube-root density, which is near the best where cells are small;
        // equal steps between extreme quantiles are close to that for peaked distributions.
        let (mut low, mut high) = (samples[count / 500], samples[count - 1 - count / 500]);
        if low == high {
            // All but a few are one number: the few are what there is to tell apart.
            (low, high) = (samples[0], samples[count - 1]);
        }
        let step = (high - low) / cells as f64;
        let mut levels: Vec<f64> = (0..cells).map(|i| low + (i as f64 + 0.5) * step).collect();
        let mut ends = Vec::new();
        let mut thresholds = Vec::new();
        for _ in 0..ROUNDS {
            thresholds = levels.windows(2).map(|w| 0.5 * (w[0] + w[1])).collect();
            ends = thresholds
                .iter()
                .map(|&t| samples.partition_point(|&x| x < t))
                .chain([count])
                .collect();
            let mut start = 0;
            for (level, &end) in levels.iter_mut().zip(&ends) {
                if end > start {
                    *level = (sums[end] - sums[start]) / (end - start) as f64;
                }
                start = end;
            }
        }
        let mut shares = Vec::with_capacity(cells);
        let (mut start, mut explained) = (0, 0.0);
        for (level, &end) in levels.iter().zip(&ends) {
            // The sum over a cell of x^2 - (x - level)^2.
            explained += 2.0 * level * (sums[end] - sums[start]);
            explained -= level * level * (end - start) as f64;
            shares.push((end - start) as f64 / count as f64);
            start = end;
        }
        ScalarQuantizer {
            bits,
            thresholds,
            levels,
            shares,
            error: (squares - explained) / count as f64,
        }
    }

    /// The quantizer of samples that are multiplied by a positive number.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> ScalarQuantizer {
        let all = self.thresholds.iter_mut().chain(&mut self.levels);
        all.for_each(|x| *x *= factor);
        self.error *= factor * factor;
        self
    }
}

/// One quantizer for each of the lists of samples (ascending), of together `bits` bits: bit after
/// bit goes to where it lowers the squared error most. Lists that get none are left out.
pub fn share_bits(samples: &[Vec<f64>], bits: usize, most: usize) -> Vec<(usize, ScalarQuantizer)> {
    let of = |list: usize, bits: usize| ScalarQuantizer::of(&samples[list], bits);
    let mut chosen: Vec<_> = (0..samples.len()).map(|list| of(list, 0)).collect();
    let mut next: Vec<_> = (0..samples.len()).map(|list| of(list, 1)).collect();
    for _ in 0..bits {
        let open = (0..samples.len()).filter(|&list| chosen[list].bits < most);
        let gain = |list: usize| chosen[list].error - next[list].error;
        let best = open.max_by(|&i, &j| gain(i).total_cmp(&gain(j)));
        let Some(best) = best else { break };
        let better = of(best, next[best].bits + 1);
        chosen[best] = std::mem::replace(&mut next[best], better);
    }
    let with_bits = chosen.into_iter().enumerate();
    with_bits
        .filter(|(_, quantizer)| quantizer.bits > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the uniform distribution on -1..1.
    fn uniform(scale: f64) -> Vec<f64> {
        (0..4000)
            .map(|i| scale * ((i as f64 + 0.5) / 2000.0 - 1.0))
            .collect()
    }

    #[test]
    fn a_uniform_distribution_gets_equal_cells() {
        let quantizer = ScalarQuantizer::of(&uniform(1.0), 2);
        for (found, expected) in quantizer.levels.iter().zip([-0.75, -0.25, 0.25, 0.75]) {
            assert!((found - expected).abs() < 1e-3, "{quantizer:?}");
        }
        let expected = 0.5 * 0.5 / 12.0;
        assert!(
            (quantizer.error / expected - 1.0).abs() < 1e-3,
            "{quantizer:?}"
        );
    }

    #[test]
    fn bits_go_where_the_error_is() {
        // Four times the scale is two bits more.
        let quantizers = share_bits(&[uniform(1.0), uniform(4.0), uniform(0.001)], 8, 6);
        let bits: Vec<_> = quantizers.iter().map(|(list, q)| (*list, q.bits)).collect();
        assert_eq!(bits, [(0, 3), (1, 5)]);
    }
}
