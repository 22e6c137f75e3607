//! The one order in which numbers are summed.
//!
//! Floating-point addition is not associative, so a sum's bits depend on its order. Every target
//! sums in the order defined here, which is independent of vector width, threads and blocks:
//!
//! 1. The elements, row-major over the reduced axes, are cut into chunks of [`CHUNK`]; the last
//!    may be shorter.
//! 2. A chunk has [`LANES`] partial sums, all starting from +0. Element `i` of the chunk is added
//!    to partial sum `i mod LANES`, in ascending `i`.
//! 3. The partial sums are halved until one is left: `p[i] + p[i + 8]`, then `p[i] + p[i + 4]`,
//!    `p[i] + p[i + 2]`, `p[0] + p[1]`.
//! 4. The chunks' sums are elements to be summed by the same rule, until one is left.
//!
//! A chunk shorter than 16 leaves some partial sums at +0, which still take part in step 3; so no
//! sum is ever -0, the sum of nothing is +0, and the sum of one element `x` is `x + 0`. Integers
//! wrap, and the order does not matter.

/// Elements whose partial sums are joined in one tree.
pub const CHUNK: usize = 2048;
/// Partial sums of a chunk.
pub const LANES: usize = 16;

/// A number with addition; integers wrap.
pub trait Summand: Copy {
    const ZERO: Self;

    fn plus(self, other: Self) -> Self;
}

macro_rules! summand {
    ($($type:ident: $zero:literal, $plus:expr;)*) => {
        $(impl Summand for $type {
            const ZERO: Self = $zero;

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                let plus: fn(Self, Self) -> Self = $plus;
                plus(self, other)
            }
        })*
    };
}

summand! {
    f32: 0.0, |x, y| x + y;
    f64: 0.0, |x, y| x + y;
    i32: 0, i32::wrapping_add;
    i64: 0, i64::wrapping_add;
    u8: 0, u8::wrapping_add;
    u32: 0, u32::wrapping_add;
    u64: 0, u64::wrapping_add;
}

/// The sum of `elements` in the fixed order.
pub fn sum<T: Summand>(elements: &[T]) -> T {
    if elements.len() <= CHUNK {
        return sum_chunk(elements);
    }
    let sums: Vec<T> = elements.chunks(CHUNK).map(sum_chunk).collect();
    sum(&sums)
}

/// Steps 2 and 3, for at most [`CHUNK`] elements.
fn sum_chunk<T: Summand>(elements: &[T]) -> T {
    let mut partial = [T::ZERO; LANES];
    for row in elements.chunks(LANES) {
        for (sum, &element) in partial.iter_mut().zip(row) {
            *sum = sum.plus(element);
        }
    }
    join(partial)
}

/// Step 3: the sum of the partial sums of one chunk.
pub fn join<T: Summand>(mut partial: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            partial[lane] = partial[lane].plus(partial[lane + width]);
        }
        width /= 2;
    }
    partial[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule written as a list of terms for every sum, without any loop over lanes.
    fn spelled_out(elements: &[f32]) -> f32 {
        fn chunk(x: &[f32]) -> f32 {
            let lane = |l: usize| x.iter().skip(l).step_by(16).fold(0.0, |sum, &e| sum + e);
            let quad = |l| (lane(l) + lane(l + 8)) + (lane(l + 4) + lane(l + 12));
            (quad(0) + quad(2)) + (quad(1) + quad(3))
        }
        let mut sums = elements.to_vec();
        loop {
            sums = match sums.is_empty() {
                true => vec![0.0],
                false => sums.chunks(2048).map(chunk).collect(),
            };
            if sums.len() == 1 {
                return sums[0];
            }
        }
    }

    /// Values whose sum depends on the order.
    fn uneven(count: usize) -> Vec<f32> {
        let value = |i: usize| (i as f32 * 0.7371).sin() * 10f32.powi((i % 9) as i32 - 4);
        (0..count).map(value).collect()
    }

    #[test]
    fn lanes_chunks_and_trees() {
        let chunks_of_chunks = 2048 * 2048 + 5;
        for count in [
            0,
            1,
            2,
            15,
            16,
            17,
            2047,
            2048,
            2049,
            40_000,
            chunks_of_chunks,
        ] {
            let values = uneven(count);
            assert_eq!(
                sum(&values).to_bits(),
                spelled_out(&values).to_bits(),
                "{count}"
            );
        }
    }

    #[test]
    fn the_order_matters_in_these_tests() {
        let values = uneven(40_000);
        assert_ne!(sum(&values), values.iter().sum::<f32>());
    }

    #[test]
    fn large_terms_meet_in_the_stated_places() {
        // 1e30 is in lanes 0 and 8, which meet first: the small term of lane 1 survives.
        let mut values = [0.0f32; 16];
        (values[0], values[8], values[1]) = (1e30, -1e30, 1.0);
        assert_eq!(sum(&values), 1.0);
        // In lanes 0 and 1 they meet last, after lane 8 has been absorbed.
        let mut values = [0.0f32; 16];
        (values[0], values[1], values[8]) = (1e30, -1e30, 1.0);
        assert_eq!(sum(&values), 0.0);
    }

    #[test]
    fn no_sum_is_negative_zero() {
        assert_eq!(sum(&[-0.0f32]).to_bits(), 0);
        assert_eq!(sum::<f32>(&[]).to_bits(), 0);
        assert_eq!(sum(&[-0.0f32; 32]).to_bits(), 0);
    }

    proptest! {
        #[test]
        fn integers_wrap_in_any_order(values in prop::collection::vec(any::<i32>(), 0..5000)) {
            let wrapped = values.iter().fold(0i32, |sum, &x| sum.wrapping_add(x));
            prop_assert_eq!(sum(&values), wrapped);
        }
    }
}
