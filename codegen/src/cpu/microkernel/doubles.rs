//! Multiply-adds in f64 that are fused for f32.
//!
//! A product of two f32 is exact in f64. Its sum with a third is rounded there and once more to
//! f32, which goes wrong only where the first rounding ends halfway between two f32, or where the
//! result is subnormal and has fewer bits. Then the first rounding is done again, to odd (Boldo and
//! Melquiond, "Emulation of a FMA and Correctly-Rounded Sums: Proved Algorithms Using Rounding to
//! Odd", 2008): an inexact sum in f64 becomes the neighbour whose last bit is 1, which is halfway
//! between no two f32, and lies on the side of each halfway point where the exact sum does.

use super::PANEL_WIDTH;

type Sums = [f32; PANEL_WIDTH];
/// Values of f32.
type Wide = [f64; PANEL_WIDTH];

/// Adds `a * b` to the sum of every lane, rounded once, as `f32::mul_add` does.
#[inline(always)]
pub(super) fn multiply_add(a: f32, b: &Wide, sums: &mut Sums) {
    let a = f64::from(a);
    let wide: Wide = std::array::from_fn(|lane| a * b[lane] + f64::from(sums[lane]));
    let doubtful = wide.iter().fold(false, |any, wide| any | doubtful(*wide));
    if doubtful {
        add_rounded_to_odd(a, b, sums);
    } else {
        *sums = wide.map(|wide| wide as f32);
    }
}

/// Whether rounding to f32 what was rounded to f64 could differ from rounding once.
#[inline(always)]
fn doubtful(wide: f64) -> bool {
    let bits = wide.to_bits();
    let (high, low) = ((bits >> 32) as i32 & i32::MAX, bits as i32);
    // Of 52 bits f32 keeps 23; the first of the other 29 is one half.
    let halfway = low << 3 == i32::MIN;
    // Below the least normal number, 2^-126, and not zero.
    let subnormal = high > 0 && high < (1023 - 126) << 20;
    halfway | subnormal
}

#[cold]
#[inline(never)]
fn add_rounded_to_odd(a: f64, b: &Wide, sums: &mut Sums) {
    for (sum, &b) in sums.iter_mut().zip(b) {
        let (x, y) = (a * b, f64::from(*sum));
        let near = x + y;
        // What the sum lost (Knuth's TwoSum): exact, NaN if the sum is infinite.
        let of_y = near - x;
        let lost = (x - (near - of_y)) + (y - of_y);
        // Positive if the exact sum is the greater one in magnitude; too large to vanish.
        let outwards = lost * near;
        // Neither of a NaN.
        let [smaller, greater] = [outwards < 0.0, outwards > 0.0].map(u64::from);
        let towards_zero = near.to_bits() - smaller;
        *sum = f64::from_bits(towards_zero | smaller | greater) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::Range;

    /// Two factors whose product is 2^46 - 1, 2^46, 2^46 + 1.
    const PRODUCTS: [(f32, f32); 3] = [
        (8_388_607.0, 8_388_609.0),
        (8_388_608.0, 8_388_608.0),
        (8_392_705.0, 8_384_513.0),
    ];

    /// Any bits, and triples whose sums are subnormal, cancel, or are close to halfway.
    fn operands() -> impl Strategy<Value = (f32, f32, f32)> {
        let bits = any::<[u32; 3]>().prop_map(|bits| bits.map(f32::from_bits).into());
        let number = |exponents: Range<i32>| {
            (any::<i8>(), exponents)
                .prop_map(|(mantissa, exponent)| f32::from(mantissa) * (exponent as f32).exp2())
        };
        let few_bits =
            |factors: Range<i32>, sum| (number(factors.clone()), number(factors), number(sum));
        // Mantissas and last places, of normal numbers and of subnormal ones.
        let sums = prop_oneof![
            (1 << 23..1 << 24_i32, -100..60_i32),
            (1..1 << 23_i32, Just(-149))
        ];
        let halfway = (0..PRODUCTS.len(), sums, any::<[bool; 2]>());
        let halfway = halfway.prop_map(|(product, (mantissa, last), signs)| {
            let [plus, minus] = signs.map(|sign| if sign { 1.0 } else { -1.0 });
            let (x, y) = PRODUCTS[product];
            // The product is half of the sum's last place.
            let exponent = last - 1 - 46;
            let power = |exponent: i32| (exponent as f32).exp2();
            (
                x * power(exponent / 2),
                plus * y * power(exponent - exponent / 2),
                minus * mantissa as f32 * power(last),
            )
        });
        let special = || {
            prop::sample::select(vec![
                0.0,
                -0.0,
                1.0,
                f32::MIN_POSITIVE,
                f32::MAX,
                f32::MIN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                f32::NAN,
            ])
        };
        prop_oneof![
            bits,
            few_bits(-90..90, -90..90),
            few_bits(-80..-50, -150..-120),
            few_bits(-8..8, -16..16),
            halfway,
            (special(), special(), special())
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn lanes_are_rounded_once((a, b, c) in operands(), lane in 0..PANEL_WIDTH) {
            let mut sums = [1.0; PANEL_WIDTH];
            sums[lane] = c;
            let expected = sums.map(|sum| a.mul_add(b, sum));
            let wide = [f64::from(b); PANEL_WIDTH];
            let mut odd = sums;
            multiply_add(a, &wide, &mut sums);
            add_rounded_to_odd(f64::from(a), &wide, &mut odd);
            for ((sum, odd), expected) in sums.into_iter().zip(odd).zip(expected) {
                let same = |sum: f32| sum.to_bits() == expected.to_bits()
                    || sum.is_nan() && expected.is_nan();
                prop_assert!(same(sum), "{a:e} * {b:e} + {c:e}: {sum:e}, not {expected:e}");
                prop_assert!(same(odd), "{a:e} * {b:e} + {c:e}: {odd:e}, not {expected:e}");
            }
        }
    }
}
