//! Approximations: computed in f64 and rounded, then perturbed within the documented error if the
//! options say so.

use super::random::mix;
use crate::ptx::inst::Approx;
use crate::ptx::lanes::{Lane, flush as flush_one};

/// The maximal relative error that the PTX manual states; that of lg2 is absolute between 0.5 and
/// 2, those of sin and cos always.
fn bound(op: Approx) -> f64 {
    match op {
        Approx::Exp2 | Approx::Log2 => 2f64.powi(-22),
        Approx::Reciprocal | Approx::Sqrt => 2f64.powi(-23),
        Approx::ReciprocalSqrt => 2f64.powf(-22.9),
        Approx::Divide => 2f64.powi(-22),
        Approx::Tanh => 2f64.powf(-10.987),
        Approx::Sin | Approx::Cos => 2f64.powf(-20.9),
    }
}

/// The approximation of one lane; with `noise` its error is what a seed makes of it.
pub fn approximate(op: Approx, a: u64, b: u64, flush: bool, noise: Option<u64>) -> u64 {
    let input = |bits: u64| {
        let value = f32::from_bits(bits as u32);
        f64::from(if flush { flush_one(value) } else { value })
    };
    let (x, y) = (input(a), input(b));
    let exact = match op {
        Approx::Exp2 => x.exp2(),
        Approx::Log2 => x.log2(),
        Approx::Reciprocal => 1.0 / x,
        Approx::ReciprocalSqrt => 1.0 / x.sqrt(),
        Approx::Sqrt => x.sqrt(),
        Approx::Tanh => x.tanh(),
        Approx::Sin => x.sin(),
        Approx::Cos => x.cos(),
        Approx::Divide => x / y,
    };
    let result = match noise {
        Some(seed) if exact.is_finite() && exact != 0.0 => {
            let hash = mix(a ^ b.rotate_left(32) ^ seed);
            // Between -1 and 1; half of the bound leaves room for rounding to f32.
            let unit = (hash >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
            let absolute = match op {
                Approx::Log2 => (0.5..2.0).contains(&x),
                Approx::Sin | Approx::Cos => true,
                _ => false,
            };
            let scale = if absolute { 1.0 } else { exact.abs() };
            exact + unit * 0.5 * bound(op) * scale
        }
        _ => exact,
    };
    let result = result as f32;
    (if flush { flush_one(result) } else { result }).bits()
}
