//! Random numbers as a function of what they are for: Philox blocks numbered by purpose and index.

use bsq_ir::philox::philox4x32_10;

/// The purpose of the order of an epoch; the index is the epoch.
pub const SHUFFLE: u32 = 1;

/// The purpose of what a sample is changed by; the index is its place in the sequence of all epochs.
pub const SAMPLE: u32 = 2;

/// The random numbers of one index of one purpose, the same on every machine.
///
/// A purpose is any number but 0, which random numbers inside a graph have. [`SHUFFLE`] is the order of an
/// epoch, [`SAMPLE`] what becomes of one sample.
///
/// ```
/// use bsq_nn::data::Draw;
///
/// let (seed, purpose) = (1, 100_u32);
/// let dice = |index| Draw::new(seed, purpose, index).between(1, 6);
/// assert_eq!(dice(5), dice(5));
/// ```
pub struct Draw {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Draw {
    pub fn new(seed: u64, purpose: impl Into<u32>, index: u64) -> Draw {
        let purpose = purpose.into();
        Draw {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, index as u32, (index >> 32) as u32, purpose],
            block: [0; 4],
            used: 4,
        }
    }

    fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32_10(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// A whole number below `bound`, all equally likely.
    ///
    /// # Panics
    /// If `bound` is 0, or 2^32 and more.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u32::try_from(bound).expect("fewer than 2^32 choices");
        assert!(bound > 0, "a choice of nothing");
        // The high word of bound * word is uniform but for the lowest 2^32 mod bound low words.
        let rejected = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(bound) * u64::from(self.word());
            if product as u32 >= rejected {
                return (product >> 32) as usize;
            }
        }
    }

    /// A whole number from `low` to `high`, both included.
    ///
    /// # Panics
    /// If `high` is below `low`, or there are 2^32 numbers and more.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// A number at least `low` and below `high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * f64::from(self.word()) / 4_294_967_296.0
    }

    /// A number from the standard Gumbel distribution.
    pub fn gumbel(&mut self) -> f64 {
        // The middle of one of 2^32 equal parts of 0..1.
        let uniform = (f64::from(self.word()) + 0.5) / 4_294_967_296.0;
        -libm::log(-libm::log(uniform))
    }

    /// The numbers below `count` in a random order (Fisher and Yates).
    ///
    /// # Panics
    /// If there are 2^32 and more.
    pub fn permutation(&mut self, count: usize) -> Vec<u32> {
        let count = u32::try_from(count).expect("fewer than 2^32 numbers");
        let mut order: Vec<u32> = (0..count).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_seed_purpose_and_index_alone() {
        let draw = |seed, purpose, index| {
            let mut draw = Draw::new(seed, purpose, index);
            [(); 6].map(|()| draw.word())
        };
        let first = draw(1, SAMPLE, 5);
        assert_eq!(first, draw(1, SAMPLE, 5));
        for other in [
            draw(2, SAMPLE, 5),
            draw(1 << 32 | 1, SAMPLE, 5),
            draw(1, SHUFFLE, 5),
            draw(1, SAMPLE, 6),
            draw(1, SAMPLE, 5 | 1 << 32),
        ] {
            assert!(first.iter().all(|word| !other.contains(word)));
        }
    }

    #[test]
    fn choices_are_equally_likely() {
        let mut draw = Draw::new(3, SAMPLE, 0);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[draw.below(7)] += 1;
        }
        // Standard deviation 93.
        assert!(
            counts.iter().all(|count| count.abs_diff(10_000) < 500),
            "{counts:?}"
        );
    }

    #[test]
    fn a_permutation_has_every_number_once_and_moves_them() {
        let mut order = Draw::new(0, SHUFFLE, 0).permutation(1000);
        let fixed = order
            .iter()
            .enumerate()
            .filter(|&(i, &x)| i == x as usize)
            .count();
        assert!(fixed < 10, "{fixed} of 1000 stay in place");
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, &x)| i == x as usize));
    }
}
