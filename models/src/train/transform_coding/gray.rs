//! Gray codes as piecewise linear functions: what an encoder computes, and a decoder undoes.
//!
//! The cells of a scalar quantizer, left to right, get codes of which neighbours differ in one bit.
//! Bit `k` then changes sign at every `2^k`-th threshold, so it is the sign of a zigzag with slopes
//! ±1 through those thresholds: one unit of a hidden layer for each corner. Crossing a threshold
//! moves one bit, so bits near zero do no harm, and a gradient that passes straight through the
//! sign tells the truth about them.

use super::least_squares::least_squares;
use super::lloyd_max::ScalarQuantizer;

/// Corners are this many times as sharp as half the distance of the thresholds beside them asks
/// for: GELU differs from a ramp by less than a thousandth of the distance there.
const SHARPNESS: f64 = 3.0;
/// Thresholds nearer than this, in standard deviations, count as this far apart: those of cells
/// that lie between two values of a discrete distribution.
const LEAST_GAP: f64 = 1e-3;

/// `offset + x + sum of slope_change * gelu(sharpness * (x - corner)) / sharpness`.
#[derive(Clone, Debug, PartialEq)]
pub struct Zigzag {
    pub offset: f64,
    pub corners: Vec<Corner>,
}

/// Where a zigzag changes its slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corner {
    pub at: f64,
    pub sharpness: f64,
    pub slope_change: f64,
}

impl Zigzag {
    /// Its value, with ideal corners.
    pub fn value(&self, x: f64) -> f64 {
        let ramps = self
            .corners
            .iter()
            .map(|c| c.slope_change * (x - c.at).max(0.0));
        self.offset + x + ramps.sum::<f64>()
    }
}

/// The zigzags whose signs are the bits of a quantizer's Gray code, most significant first.
pub fn encoders(quantizer: &ScalarQuantizer) -> Vec<Zigzag> {
    let bits = quantizer.bits;
    let encoder = |bit: usize| {
        // Threshold n lies between levels n and n + 1.
        let (first, period) = ((1 << (bits - bit - 1)) - 1, 1 << (bits - bit));
        let zeros = quantizer.thresholds.iter().skip(first).step_by(period);
        let zeros: Vec<f64> = zeros.copied().collect();
        let corners = zeros.windows(2).enumerate().map(|(index, pair)| Corner {
            at: 0.5 * (pair[0] + pair[1]),
            sharpness: SHARPNESS / (0.5 * (pair[1] - pair[0]).max(LEAST_GAP)),
            slope_change: if index % 2 == 0 { -2.0 } else { 2.0 },
        });
        Zigzag {
            offset: -zeros[0],
            corners: corners.collect(),
        }
    };
    (0..bits).map(encoder).collect()
}

/// `constant + linear . bits + sum of scale * gelu(weights . bits + bias)`, bits being ±1.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    pub constant: f64,
    /// For each bit.
    pub linear: Vec<f64>,
    pub units: Vec<Unit>,
}

/// A hidden unit of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// ±1 for each bit.
    pub weights: Vec<f64>,
    pub bias: f64,
    pub scale: f64,
}

/// How much the slopes weigh beside the values.
const SLOPE_WEIGHT: f64 = 0.05;

/// The decoder whose values are a quantizer's levels, and whose slope along each bit is, as
/// nearly as its units allow, half of what flipping the bit would change.
pub fn decoder(quantizer: &ScalarQuantizer) -> Decoder {
    let bits = quantizer.bits;
    let mut units = Vec::new();
    if bits > 1 {
        for pattern in 0..1_usize << bits {
            for below in [1.0, 2.0] {
                units.push(Unit {
                    weights: signs(pattern, bits),
                    bias: below - bits as f64,
                    scale: 0.0,
                });
            }
        }
    }
    let level = |code: usize| quantizer.levels[cell_of(code, bits)];
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for code in 0..1_usize << bits {
        let state = signs(code, bits);
        let weight = (quantizer.shares[cell_of(code, bits)] + 0.02).sqrt();
        let input = |unit: &Unit| {
            let terms = unit.weights.iter().zip(&state);
            unit.bias + terms.map(|(w, b)| w * b).sum::<f64>()
        };
        let mut row = vec![weight];
        row.extend(state.iter().map(|b| b * weight));
        row.extend(units.iter().map(|unit| gelu(input(unit)) * weight));
        rows.push(row);
        targets.push(level(code) * weight);
        for bit in 0..bits {
            let weight = weight * SLOPE_WEIGHT;
            let flag = 1 << (bits - 1 - bit);
            let mut row = vec![0.0];
            row.extend((0..bits).map(|other| f64::from(other == bit) * weight));
            row.extend(
                units
                    .iter()
                    .map(|unit| gelu_slope(input(unit)) * unit.weights[bit] * weight),
            );
            rows.push(row);
            targets.push(0.5 * (level(code | flag) - level(code & !flag)) * weight);
        }
    }
    let solution = least_squares(&rows, &targets);
    for (unit, &scale) in units.iter_mut().zip(&solution[1 + bits..]) {
        unit.scale = scale;
    }
    Decoder {
        constant: solution[0],
        linear: solution[1..=bits].to_vec(),
        units,
    }
}

/// The cell with a Gray code.
fn cell_of(code: usize, bits: usize) -> usize {
    (0..bits).fold(0, |cell, shift| cell ^ (code >> shift))
}

/// The bits of a code as ±1, most significant first.
fn signs(code: usize, bits: usize) -> Vec<f64> {
    let bit = |index: usize| code >> (bits - 1 - index) & 1;
    (0..bits)
        .map(|index| if bit(index) == 1 { 1.0 } else { -1.0 })
        .collect()
}

/// The exact GELU.
fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

fn gelu_slope(x: f64) -> f64 {
    let density = libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
    0.5 * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)) + x * density
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantizer(bits: usize) -> ScalarQuantizer {
        let sample = |i: i32| (f64::from(i) / 1000.0).powi(3);
        ScalarQuantizer::of(&(-1000..=1000).map(sample).collect::<Vec<_>>(), bits)
    }

    #[test]
    fn signs_of_the_zigzags_are_codes_of_which_neighbours_differ_in_one_bit() {
        for bits in 1..=5 {
            let quantizer = quantizer(bits);
            let encoders = encoders(&quantizer);
            let code = |x: f64| {
                let bits = encoders.iter().map(|e| usize::from(e.value(x) > 0.0));
                bits.fold(0, |code, bit| 2 * code + bit)
            };
            let codes: Vec<usize> = quantizer.levels.iter().map(|&x| code(x)).collect();
            for (cell, pair) in codes.windows(2).enumerate() {
                assert_eq!((pair[0] ^ pair[1]).count_ones(), 1, "{codes:?}");
                assert_eq!(cell_of(pair[0], bits), cell);
            }
        }
    }

    #[test]
    fn decoders_give_the_levels_back() {
        for bits in 1..=5 {
            let quantizer = quantizer(bits);
            let decoder = decoder(&quantizer);
            for code in 0..1 << bits {
                let state = signs(code, bits);
                let dot = |w: &[f64]| w.iter().zip(&state).map(|(w, b)| w * b).sum::<f64>();
                let units = decoder.units.iter();
                let units: f64 = units
                    .map(|u| u.scale * gelu(dot(&u.weights) + u.bias))
                    .sum();
                let value = decoder.constant + dot(&decoder.linear) + units;
                let level = quantizer.levels[cell_of(code, bits)];
                assert!(
                    (value - level).abs() < 0.01,
                    "{bits} bits: {value}, not {level}"
                );
            }
        }
    }
}
