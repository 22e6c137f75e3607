//! Approximations: computed in f64 and rounded, then perturbed within the documented error if the
//! options say so.

use super::random::mix;
use crate::inst::Approx;
use crate::lanes::{Lane, flush as flush_one};

/// How far a result may be from the exact one.
enum Bound {
    /// Of the correctly rounded result.
    Ulps(f64),
    Relative(f64),
    Absolute(f64),
}

/// The maximal error that NVIDIA states: PTX ISA 9.1, sections 9.7.3.8 (div) to 9.7.3.22 (tanh),
/// each under "Notes".
fn bound(op: Approx, x: f64) -> Bound {
    let power = |exponent: f64| exponent.exp2();
    match op {
        // Of div.approx, for divisors up to 2^126.
        Approx::Divide => Bound::Ulps(2.0),
        Approx::Reciprocal => Bound::Ulps(1.0),
        Approx::Sqrt => Bound::Relative(power(-23.0)),
        Approx::ReciprocalSqrt => Bound::Relative(power(-22.9)),
        Approx::Sin | Approx::Cos => Bound::Absolute(match x.abs() / std::f64::consts::PI {
            0.0..=2.0 => power(-20.5),
            2.0..=100.0 => power(-14.7),
            // Nothing is promised.
            _ => 1.0,
        }),
        Approx::Log2 if 0.5 < x && x < 2.0 => Bound::Absolute(power(-22.0)),
        Approx::Log2 => Bound::Relative(power(-22.0)),
        Approx::Exp2 => Bound::Ulps(2.0),
        Approx::Tanh => Bound::Relative(power(-11.0)),
    }
}

/// The distance of neighbouring `f32` at a number.
fn ulp(x: f64) -> f64 {
    let bits = (x as f32).abs().to_bits();
    let exponent = (bits & 0x7f80_0000).max(0x0080_0000);
    f64::from(f32::from_bits(exponent)) * (-23f64).exp2()
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
            let unit = (hash >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
            let allowed = match bound(op, x) {
                Bound::Ulps(count) => count * ulp(exact),
                Bound::Relative(error) => error * exact.abs(),
                Bound::Absolute(error) => error,
            };
            // Rounding to f32 adds half an ulp at most.
            exact + unit * (allowed - 0.5 * ulp(exact)).max(0.0)
        }
        _ => exact,
    };
    let result = result as f32;
    (if flush { flush_one(result) } else { result }).bits()
}
