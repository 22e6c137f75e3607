//! Probabilities as integers: the exact numbers that the entropy coder works with.
//!
//! A probability p, an `f32` of the same bits everywhere, becomes a count out of 2^24:
//! `1 + floor(p * (2^24 - n))` for one of n symbols, one rounded multiplication and one exact
//! truncation. What is missing to 2^24 is added to the first of the largest counts, so the total is
//! a power of two and no symbol has count 0, whatever the model says.

use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use std::borrow::Borrow;
use std::num::NonZeroU32;

/// Bits of the total count.
pub const PRECISION: usize = 24;

/// The cumulative counts of one symbol's values, as the coder takes them.
#[derive(Clone, Debug, Default)]
pub struct QuantizedCdf {
    /// What stands before each value, and the total.
    cumulative: Vec<u32>,
}

impl QuantizedCdf {
    /// Replaces the counts by those of some probabilities, at most 2^16.
    pub fn set(&mut self, probabilities: &[f32]) {
        let total = 1_u32 << PRECISION;
        let scale = (total - probabilities.len() as u32) as f32;
        let count = |&p: &f32| 1 + ((p * scale) as u32).min(total);
        // At most 2^16 counts of at most 2^24 + 1 each.
        let sum: u64 = probabilities.iter().map(|p| u64::from(count(p))).sum();
        let mut largest = 0;
        for (index, p) in probabilities.iter().enumerate() {
            if count(p) > count(&probabilities[largest]) {
                largest = index;
            }
        }
        let excess = sum as i64 - i64::from(total);
        let rest = i64::from(count(&probabilities[largest])) - excess;
        self.cumulative.clear();
        if rest < 1 {
            // These were no probabilities: their sum is far from one. All values are alike then.
            return self.set_uniform(probabilities.len());
        }
        let mut before = 0;
        for (index, p) in probabilities.iter().enumerate() {
            self.cumulative.push(before);
            before += match index == largest {
                true => rest as u32,
                false => count(p),
            };
        }
        self.cumulative.push(before);
        debug_assert_eq!(before, total);
    }

    fn set_uniform(&mut self, values: usize) {
        let total = 1_u64 << PRECISION;
        let before = |value: usize| (total * value as u64 / values as u64) as u32;
        self.cumulative = (0..=values).map(before).collect();
    }

    /// The count of a value.
    pub fn count(&self, value: usize) -> u32 {
        self.cumulative[value + 1] - self.cumulative[value]
    }

    /// The bits that the value costs.
    pub fn bits(&self, value: usize) -> f64 {
        PRECISION as f64 - f64::from(self.count(value)).log2()
    }
}

/// The most probable value; the first of several.
pub fn most_probable(probabilities: &[f32]) -> usize {
    let mut best = 0;
    for (index, p) in probabilities.iter().enumerate() {
        if *p > probabilities[best] {
            best = index;
        }
    }
    best
}

impl EntropyModel<PRECISION> for QuantizedCdf {
    type Symbol = usize;
    type Probability = u32;
}

impl EncoderModel<PRECISION> for QuantizedCdf {
    fn left_cumulative_and_probability(
        &self,
        symbol: impl Borrow<usize>,
    ) -> Option<(u32, NonZeroU32)> {
        let symbol = *symbol.borrow();
        let [before, after] = *self.cumulative.get(symbol..symbol + 2)? else {
            return None;
        };
        Some((before, NonZeroU32::new(after - before)?))
    }
}

impl DecoderModel<PRECISION> for QuantizedCdf {
    fn quantile_function(&self, quantile: u32) -> (usize, u32, NonZeroU32) {
        let symbol = self
            .cumulative
            .partition_point(|&before| before <= quantile)
            - 1;
        let (before, count) = (self.cumulative[symbol], self.count(symbol));
        let count = NonZeroU32::new(count).expect("the quantile is inside the symbol's range");
        (symbol, before, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(probabilities: &[f32]) -> Vec<u32> {
        let mut cdf = QuantizedCdf::default();
        cdf.set(probabilities);
        (0..probabilities.len()).map(|i| cdf.count(i)).collect()
    }

    #[test]
    fn certain_and_impossible_values_keep_a_count() {
        assert_eq!(counts(&[1.0, 0.0, 0.0]), [(1 << 24) - 2, 1, 1]);
        assert_eq!(counts(&[0.5, 0.5]), [1 << 23, 1 << 23]);
        assert_eq!(counts(&[1.0]), [1 << 24]);
    }

    #[test]
    fn anything_that_a_broken_model_says_gives_a_total() {
        for p in [f32::NAN, f32::INFINITY, -1.0, 1e30, 0.0] {
            for n in [1, 2, 16, 4096] {
                let all = counts(&vec![p; n]);
                assert_eq!(all.iter().map(|&c| u64::from(c)).sum::<u64>(), 1 << 24);
                assert!(all.iter().all(|&count| count > 0), "{p} {n}");
            }
        }
    }

    proptest! {
        #[test]
        fn counts_follow_probabilities(weights in prop::collection::vec(0.0_f32..1.0, 1..300)) {
            let sum: f32 = weights.iter().sum::<f32>().max(1e-6);
            let p: Vec<f32> = weights.iter().map(|w| w / sum).collect();
            let counts = counts(&p);
            prop_assert_eq!(counts.iter().sum::<u32>(), 1 << 24);
            for (p, &count) in p.iter().zip(&counts) {
                prop_assert!(count > 0);
                let error = f64::from(count) / 2f64.powi(24) - f64::from(*p);
                // One count each, and all of them and the sum's rounding for the largest.
                prop_assert!(error.abs() < 1e-4, "{} {}", p, count);
            }
        }

        #[test]
        fn quantiles_lead_back(weights in prop::collection::vec(0.0_f32..1.0, 1..300), at in 0_u32..1 << 24) {
            let sum: f32 = weights.iter().sum::<f32>().max(1e-6);
            let mut cdf = QuantizedCdf::default();
            cdf.set(&weights.iter().map(|w| w / sum).collect::<Vec<_>>());
            let (symbol, before, count) = cdf.quantile_function(at);
            prop_assert!(before <= at && at < before + count.get());
            prop_assert_eq!(cdf.left_cumulative_and_probability(symbol), Some((before, count)));
        }
    }
}
