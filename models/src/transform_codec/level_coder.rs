//! A level as binary decisions, each with a probability from the level's distribution.
//!
//! Levels are coded as distances from the most probable one, `floor(mean + 1/2)`: is it that one? is
//! it above? how far, first the power of two, then what is between two powers, halving what is
//! left. So a level of any size has a code, and none needs an escape.
//!
//! A probability is a quotient of tails of the mixture, in `f64` with one definition of `exp` on all
//! machines, and becomes one of 2^24 counts.

use crate::codec::{PRECISION, SymbolDecoder, SymbolEncoder};
use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use std::borrow::Borrow;
use std::num::NonZeroU32;

/// Levels are of at most this size; steps of 1 and more do not reach it.
pub const MAX_LEVEL: i32 = (1 << 14) - 1;
/// The distance that no level reaches: twice that.
const LIMIT: u32 = 1 << 15;

/// A level's distribution: a row of `Mixture::table`.
#[derive(Clone, Copy, Debug)]
pub struct Distribution {
    pub mean: f32,
    pub reciprocal_scales: [f32; 2],
    /// Of the first component.
    pub share: f32,
    /// The probability of the level next to the mean.
    pub nearest: f32,
}

/// What decisions are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Levels of a group of a part's coordinates, both by number.
    Group {
        /// Which of the parts.
        part: usize,
        /// Which of its groups.
        group: usize,
    },
    /// Whether a level is the most probable one.
    Nearest,
    /// On which side of that it is.
    Side,
    /// How far from it.
    Distance,
}

/// Makes decisions: an encoder is told them, a decoder finds them.
pub trait Decide {
    /// What the next decisions are about, for those who keep account.
    fn about(&mut self, _: Subject) {}

    /// The decision whose probability of being true is `probability`. `known` is it, for an encoder.
    fn decide(&mut self, probability: f64, known: bool) -> Option<bool>;
}

impl Distribution {
    /// Codes a level; `known` is the level for an encoder, anything for a decoder. `None` if no
    /// encoder has written what a decoder reads.
    pub fn code(&self, coder: &mut impl Decide, known: i32) -> Option<i32> {
        let centre = self.centre();
        let distance = known.wrapping_sub(centre);
        coder.about(Subject::Nearest);
        if coder.decide(f64::from(self.nearest), distance == 0)? {
            return Some(centre);
        }
        let (above, below) = (self.tail(centre, 1, 1), self.tail(centre, -1, 1));
        coder.about(Subject::Side);
        let is_above = coder.decide(above / (above + below), distance > 0)?;
        let sign = if is_above { 1 } else { -1 };
        let nearest = if is_above { above } else { below };
        coder.about(Subject::Distance);
        let size = self.size(coder, (centre, sign, nearest), distance.unsigned_abs())?;
        let level = centre + sign * size as i32;
        (level.abs() <= MAX_LEVEL).then_some(level)
    }

    /// The most probable level.
    pub fn centre(&self) -> i32 {
        // Saturates, and is 0 for what is not a number.
        ((self.mean + 0.5).floor() as i32).clamp(-MAX_LEVEL, MAX_LEVEL)
    }

    /// How far a level is from the centre, 1 or more.
    fn size(
        &self,
        coder: &mut impl Decide,
        (centre, sign, nearest): (i32, i32, f64),
        known: u32,
    ) -> Option<u32> {
        // Inside lo..hi, whose tails are these.
        let (mut lo, mut hi) = (1, 2);
        let (mut from_lo, mut from_hi) = (nearest, self.tail(centre, sign, hi));
        while coder.decide(from_hi / from_lo, known >= hi)? {
            if 2 * hi > LIMIT {
                return None;
            }
            (lo, from_lo) = (hi, from_hi);
            hi *= 2;
            from_hi = self.tail(centre, sign, hi);
        }
        while hi - lo > 1 {
            let middle = lo.midpoint(hi);
            let from_middle = self.tail(centre, sign, middle);
            let upper = (from_middle - from_hi) / (from_lo - from_hi);
            match coder.decide(upper, known >= middle)? {
                true => (lo, from_lo) = (middle, from_middle),
                false => (hi, from_hi) = (middle, from_middle),
            }
        }
        Some(lo)
    }

    /// The probability of the levels that are `distance` or more from the centre on one side.
    fn tail(&self, centre: i32, sign: i32, distance: u32) -> f64 {
        let edge = f64::from(centre) + f64::from(sign) * (f64::from(distance) - 0.5);
        let beyond = f64::from(sign) * (edge - f64::from(self.mean));
        let [first, second] = self
            .reciprocal_scales
            .map(|scale| 1.0 / (1.0 + libm::exp(beyond * f64::from(scale))));
        second + (first - second) * f64::from(self.share)
    }
}

/// A decision as the range coder wants it.
#[derive(Clone, Copy)]
struct Decision {
    /// Of 2^PRECISION counts, those of true, which come first.
    counts: u32,
}

impl Decision {
    fn new(probability: f64) -> Decision {
        let total = (1_u32 << PRECISION) - 1;
        // What is not a number counts as 0.
        let counts = (probability * f64::from(total)) as u32;
        Decision {
            counts: counts.clamp(1, total),
        }
    }

    /// Bits that an outcome takes: minus the logarithm of its share of the counts.
    fn bits(self, outcome: bool) -> f64 {
        let counts = match outcome {
            true => self.counts,
            false => (1 << PRECISION) - self.counts,
        };
        PRECISION as f64 - f64::from(counts).log2()
    }
}

impl EntropyModel<PRECISION> for Decision {
    type Symbol = bool;
    type Probability = u32;
}

impl EncoderModel<PRECISION> for Decision {
    fn left_cumulative_and_probability(
        &self,
        symbol: impl Borrow<bool>,
    ) -> Option<(u32, NonZeroU32)> {
        let (before, count) = match symbol.borrow() {
            true => (0, self.counts),
            false => (self.counts, (1 << PRECISION) - self.counts),
        };
        Some((before, NonZeroU32::new(count)?))
    }
}

impl DecoderModel<PRECISION> for Decision {
    fn quantile_function(&self, quantile: u32) -> (bool, u32, NonZeroU32) {
        let symbol = quantile < self.counts;
        let found = self.left_cumulative_and_probability(symbol);
        let (before, count) = found.expect("neither count is zero");
        (symbol, before, count)
    }
}

/// Writes decisions.
#[derive(Default)]
pub struct LevelEncoder {
    pub coder: SymbolEncoder,
    /// What the probabilities ask for.
    pub bits: f64,
}

impl Decide for LevelEncoder {
    fn decide(&mut self, probability: f64, known: bool) -> Option<bool> {
        let decision = Decision::new(probability);
        self.bits += decision.bits(known);
        self.coder.encode_with(known, decision);
        Some(known)
    }
}

impl Decide for SymbolDecoder {
    fn decide(&mut self, probability: f64, _: bool) -> Option<bool> {
        self.decode_with(Decision::new(probability))
    }
}

/// Reads decisions, and tells what each takes.
pub struct Accounting<'a> {
    pub decoder: &'a mut SymbolDecoder,
    /// Hears what decisions are about, and their bits.
    pub account: &'a mut dyn FnMut(Event),
}

/// What a reader of decisions tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// What the next decisions are about.
    About(Subject),
    /// What a decision takes.
    Bits(f64),
}

impl Decide for Accounting<'_> {
    fn about(&mut self, subject: Subject) {
        (self.account)(Event::About(subject));
    }

    fn decide(&mut self, probability: f64, _: bool) -> Option<bool> {
        let decision = Decision::new(probability);
        let outcome = self.decoder.decode_with(decision)?;
        (self.account)(Event::Bits(decision.bits(outcome)));
        Some(outcome)
    }
}

/// Adds up what decisions would take.
#[derive(Default)]
pub struct BitCounter(pub f64);

impl Decide for BitCounter {
    fn decide(&mut self, probability: f64, known: bool) -> Option<bool> {
        self.0 += Decision::new(probability).bits(known);
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn distributions() -> impl Strategy<Value = Distribution> {
        (
            -900.0_f32..900.0,
            [-5.0_f64..5.0, -5.0_f64..5.0],
            0.0_f32..1.0,
        )
            .prop_map(|(mean, log_scales, share)| {
                let mut distribution = Distribution {
                    mean,
                    reciprocal_scales: log_scales.map(|x| libm::exp(-x) as f32),
                    share,
                    nearest: 0.0,
                };
                let centre = distribution.centre();
                let beyond = [1, -1].map(|sign| distribution.tail(centre, sign, 1));
                distribution.nearest = (1.0 - beyond[0] - beyond[1]) as f32;
                distribution
            })
    }

    proptest! {
        #[test]
        fn levels_come_back(
            coded in prop::collection::vec((distributions(), -2000_i32..2000, any::<bool>()), 0..60),
        ) {
            let mut encoder = LevelEncoder::default();
            let mut levels = Vec::new();
            for (distribution, level, is_near) in &coded {
                let level = match is_near {
                    true => distribution.centre() + level % 4,
                    false => *level,
                };
                prop_assert_eq!(distribution.code(&mut encoder, level), Some(level));
                levels.push(level);
            }
            let bytes = encoder.coder.finish();
            prop_assert!(bytes.len() as f64 <= encoder.bits / 8.0 + 5.0);
            let mut decoder = SymbolDecoder::new(&bytes);
            for ((distribution, ..), level) in coded.iter().zip(levels) {
                prop_assert_eq!(distribution.code(&mut decoder, 0), Some(level));
            }
            prop_assert!(decoder.is_exhausted());
        }

        /// Bits are those of the mixture, whatever the decisions on the way.
        #[test]
        fn probabilities_are_those_of_the_mixture(distribution in distributions()) {
            let centre = distribution.centre();
            let sum: f64 = (-1500..=1500)
                .map(|distance| {
                    let mut bits = BitCounter::default();
                    distribution.code(&mut bits, centre + distance);
                    (-bits.0).exp2()
                })
                .sum();
            prop_assert!((sum - 1.0).abs() < 0.02, "{}", sum);
        }
    }

    #[test]
    fn levels_at_the_limits_have_codes() {
        let far = Distribution {
            mean: -1e9,
            reciprocal_scales: [100.0, 100.0],
            share: 0.5,
            nearest: 1.0,
        };
        let broken = Distribution {
            mean: f32::NAN,
            share: f32::NAN,
            nearest: f32::NAN,
            ..far
        };
        for distribution in [far, broken] {
            for level in [-MAX_LEVEL, -1, 0, 1, MAX_LEVEL] {
                let mut encoder = LevelEncoder::default();
                assert_eq!(distribution.code(&mut encoder, level), Some(level));
                let bytes = encoder.coder.finish();
                let mut decoder = SymbolDecoder::new(&bytes);
                assert_eq!(distribution.code(&mut decoder, 0), Some(level));
            }
        }
    }
}
