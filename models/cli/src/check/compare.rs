//! How far a computed tensor is from the recorded one.

use bsq_ir::DType;
use bsq_runtime::tensor_data::{HostTensor, TensorError};

/// Limit of results of the forward pass.
pub(super) const FORWARD: f64 = 3e-6;
/// Limit of gradients, and of what optimizer steps move.
pub(super) const GRADIENT: f64 = 1e-4;
/// Limit of results of convolutional networks, which add up more terms.
pub(super) const VALUES: f64 = 1e-5;
/// Limit of first derivatives of those.
pub(super) const FIRST: f64 = 1e-4;
/// Limit of second derivatives.
pub(super) const SECOND: f64 = 1e-3;
/// Half the spacing of `f32` beside 1.
const HALF_ULP: f64 = 1.0 / 16_777_216.0;

/// One recorded tensor and how far it is off.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// The name in the record.
    pub name: String,
    /// The distance, as `measure` says; not a number where it could not be taken.
    pub error: f64,
    /// The largest distance that passes.
    pub limit: f64,
    /// What the distance is.
    pub measure: Measure,
}

/// What an error is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Norm of the difference over the norm of the record.
    Relative,
    /// Difference over the sum of the terms that the number is made of.
    OfTerms,
    /// Norm of the difference over the norm of the recorded displacement.
    OfDisplacement,
    /// The number of elements that differ.
    Count,
    /// This implementation computes no such tensor, or one of another shape.
    Missing,
}

impl Comparison {
    /// Whether the error is within the limit.
    pub fn passes(&self) -> bool {
        self.error <= self.limit
    }

    /// The error as a multiple of the limit: above 1 fails.
    pub(super) fn severity(&self) -> f64 {
        match self.passes() {
            _ if self.error.is_nan() => f64::INFINITY,
            true if self.limit == 0.0 => 0.0,
            _ => self.error / self.limit,
        }
    }

    fn new(name: &str, error: f64, limit: f64, measure: Measure) -> Comparison {
        let name = name.to_string();
        Comparison {
            name,
            error,
            limit,
            measure,
        }
    }

    /// A recorded tensor that was not computed: fails.
    pub(super) fn missing(name: &str) -> Comparison {
        Comparison::new(name, f64::NAN, 0.0, Measure::Missing)
    }

    /// By norms.
    pub(super) fn relative(name: &str, found: &[f64], recorded: &[f64], limit: f64) -> Comparison {
        if found.len() != recorded.len() {
            return Comparison::missing(name);
        }
        let error = ratio(distance(found, recorded), norm(recorded));
        Comparison::new(name, error, limit, Measure::Relative)
    }

    /// A number that is the difference of larger ones, whose magnitudes add up to `scale`.
    pub(super) fn of_terms(name: &str, found: f64, recorded: f64, scale: f64) -> Comparison {
        let error = ratio((found - recorded).abs(), scale);
        Comparison::new(name, error, FORWARD, Measure::OfTerms)
    }

    /// A table of numbers, by the largest difference.
    pub(super) fn number(name: &str, found: f64, recorded: f64, limit: f64) -> Comparison {
        let error = ratio((found - recorded).abs(), recorded.abs());
        Comparison::new(name, error, limit, Measure::Relative)
    }

    /// Whole numbers or bits that differ.
    pub(super) fn count(name: &str, differing: usize) -> Comparison {
        Comparison::new(name, differing as f64, 0.0, Measure::Count)
    }

    /// Values after `steps` updates, each triple (start, found, recorded) an element.
    ///
    /// Both sides round each element to `f32` at each step, by at most half the spacing: where
    /// the displacement is small against the value, that is allowed on top of the limit.
    pub(super) fn of_displacement(name: &str, elements: &[[f64; 3]], steps: usize) -> Comparison {
        let over = |f: fn(&[f64; 3]) -> f64| {
            let values: Vec<f64> = elements.iter().map(f).collect();
            norm(&values)
        };
        let difference = over(|[_, found, recorded]| found - recorded);
        let displacement = over(|[start, _, recorded]| recorded - start);
        let rounding = 2.0 * steps as f64 * HALF_ULP * over(|[_, _, recorded]| *recorded);
        let limit = GRADIENT + ratio(rounding, displacement);
        let error = ratio(difference, displacement);
        Comparison::new(name, error, limit, Measure::OfDisplacement)
    }
}

/// The quotient; of nothing by nothing, zero.
fn ratio(difference: f64, scale: f64) -> f64 {
    match difference == 0.0 {
        true => 0.0,
        false => difference / scale,
    }
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    norm(&difference)
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The elements of a float tensor.
pub(super) fn floats(tensor: &HostTensor) -> Result<Vec<f64>, TensorError> {
    let tensor = tensor.to_dtype(DType::F32)?;
    let elements = tensor.as_slice::<f32>()?.iter();
    Ok(elements.map(|&x| f64::from(x)).collect())
}

/// The elements of a tensor of whole numbers or bits; none of those recorded is negative.
pub(super) fn integers(tensor: &HostTensor) -> Result<Vec<u64>, TensorError> {
    Ok(match tensor.dtype() {
        DType::Bool => tensor
            .as_slice::<bool>()?
            .iter()
            .map(|&x| x.into())
            .collect(),
        DType::U8 => tensor.as_slice::<u8>()?.iter().map(|&x| x.into()).collect(),
        DType::I32 => tensor
            .as_slice::<i32>()?
            .iter()
            .map(|&x| x as u64)
            .collect(),
        DType::U64 => tensor.as_slice::<u64>()?.to_vec(),
        _ => tensor
            .as_slice::<i64>()?
            .iter()
            .map(|&x| x as u64)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_to_the_record() {
        let comparison = Comparison::relative("x", &[3.0, 4.1], &[3.0, 4.0], 0.1);
        assert!((comparison.error - 0.02).abs() < 1e-12);
        assert!(comparison.passes());
        assert!(!Comparison::relative("x", &[3.0, 5.0], &[3.0, 4.0], 0.1).passes());
        assert!(!Comparison::relative("x", &[f64::NAN], &[3.0], 0.1).passes());
        assert!(!Comparison::relative("x", &[1e-9], &[0.0], 0.1).passes());
        assert!(Comparison::relative("x", &[0.0], &[0.0], 0.1).passes());
    }

    #[test]
    fn what_is_missing_or_misshapen_fails() {
        assert!(!Comparison::missing("x").passes());
        assert!(!Comparison::relative("x", &[1.0], &[1.0, 1.0], 0.1).passes());
        assert_eq!(Comparison::missing("x").severity(), f64::INFINITY);
    }

    #[test]
    fn displacements_are_compared_and_not_values() {
        // The value is right to 1e-6, the displacement to 10 % only.
        let off = Comparison::of_displacement("x", &[[1.0, 1.000_011, 1.000_01]], 1);
        assert!((off.error - 0.1).abs() < 1e-6 && !off.passes(), "{off:?}");
        let rounded = Comparison::of_displacement("x", &[[1.0, 1.000_01 + HALF_ULP, 1.000_01]], 1);
        assert!(rounded.passes(), "{rounded:?}");
    }

    #[test]
    fn one_differing_bit_fails() {
        assert!(Comparison::count("bits", 0).passes());
        assert!(!Comparison::count("bits", 1).passes());
    }
}
