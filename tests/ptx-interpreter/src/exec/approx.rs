//! ex2.approx: computed in f64 and rounded, then perturbed within the documented error if the
//! options say so.

use super::random::mix;
use crate::lanes::{Lane, flush};

/// The maximal error that NVIDIA states, in units of the last place of the correctly rounded
/// result: PTX ISA 9.1, section 9.7.3.21, "Notes".
const ULPS: f64 = 2.0;

/// The distance of neighbouring `f32` at a number.
fn ulp(x: f64) -> f64 {
    let bits = (x as f32).abs().to_bits();
    let exponent = (bits & 0x7f80_0000).max(0x0080_0000);
    f64::from(f32::from_bits(exponent)) * (-23f64).exp2()
}

/// `ex2.approx.ftz.f32` of one lane; with `noise` its error is what a seed makes of it.
pub fn exp2(x: u64, noise: Option<u64>) -> u64 {
    let exact = f64::from(flush(f32::get(x))).exp2();
    let result = match noise {
        Some(seed) if exact.is_finite() && exact != 0.0 => {
            let hash = mix(x ^ x.rotate_left(32) ^ seed);
            let unit = (hash >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
            // Rounding to f32 adds half an ulp at most.
            exact + unit * (ULPS - 0.5) * ulp(exact)
        }
        _ => exact,
    };
    flush(result as f32).bits()
}
