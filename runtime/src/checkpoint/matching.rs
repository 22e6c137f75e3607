//! Holding a checkpoint against the parameters that a model expects.

use std::collections::BTreeSet;
use std::fmt;

use half::{bf16, f16};

use super::Checkpoint;
use crate::names::nearest;
use crate::tensor_data::HostTensor;

/// The tensors of a checkpoint in the order of `expected`, names with shapes, which they must
/// match one to one: none missing, none unexpected, each of the expected shape, of a
/// floating-point type, and without infinities or NaNs.
///
/// Integer and boolean tensors beside the parameters, such as counters, are no matter. `buffers`
/// are names of those that the caller knows: it looks them up itself where the checkpoint has
/// them, so they must be readable.
///
/// ```
/// use std::collections::BTreeMap;
/// use bsq_runtime::checkpoint::{Checkpoint, match_parameters};
/// use bsq_runtime::tensor_data::HostTensor;
///
/// let checkpoint = Checkpoint {
///     tensors: BTreeMap::from([("bias".to_string(), HostTensor::from_slice([2], &[1.0f32, 2.0])?)]),
///     ..Checkpoint::default()
/// };
/// let parameters = match_parameters(&checkpoint, [("bias", [2])], &[])?;
/// assert_eq!(parameters[0].as_slice::<f32>()?, [1.0, 2.0]);
///
/// let mismatch = match_parameters(&checkpoint, [("weight", [2, 2])], &[]).unwrap_err();
/// assert_eq!(
///     mismatch.to_string(),
///     "the checkpoint does not fit the model: 1 missing, 1 unexpected
///   missing:
///     weight [2, 2]
///   unexpected:
///     bias f32[2]"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Mismatch`] with everything that does not fit, not the first of it alone.
pub fn match_parameters<'a, N: AsRef<str>, S: AsRef<[usize]>>(
    checkpoint: &'a Checkpoint,
    expected: impl IntoIterator<Item = (N, S)>,
    buffers: &[&str],
) -> Result<Vec<&'a HostTensor>, Box<Mismatch>> {
    let mut mismatch = Mismatch::default();
    let mut matched = Vec::new();
    let mut known = BTreeSet::new();
    for (name, shape) in expected {
        let (name, shape) = (name.as_ref().to_string(), shape.as_ref());
        match checkpoint.tensors.get(&name) {
            None if checkpoint.skipped.contains_key(&name) => {}
            None => mismatch.missing.push((name.clone(), shape.to_vec())),
            Some(tensor) => {
                mismatch.compare(&name, shape, tensor);
                matched.push(tensor);
            }
        }
        known.insert(name);
    }
    for (name, tensor) in &checkpoint.tensors {
        // Floating-point ones tell of another model; others are counters and tables.
        if tensor.dtype().is_float() && !known.contains(name) {
            mismatch.unexpected.push((name.clone(), describe(tensor)));
        }
    }
    for (name, reason) in &checkpoint.skipped {
        if known.contains(name) || buffers.contains(&name.as_str()) {
            mismatch.unreadable.push((name.clone(), reason.clone()));
        }
    }
    match mismatch.is_empty() {
        true => Ok(matched),
        false => Err(Box::new(mismatch)),
    }
}

/// How a checkpoint differs from what a model expects. Its text lists everything, long lists cut
/// after [`Mismatch::LISTED`] entries with the number of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Parameters that the checkpoint lacks, with the shapes that the model has.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Tensors that the model has no parameter for, with type and shape.
    pub unexpected: Vec<(String, String)>,
    /// What the checkpoint has under a parameter's name, but not as a tensor that can be read, and
    /// why.
    pub unreadable: Vec<(String, String)>,
    /// Tensors of another shape.
    pub misshapen: Vec<Misshapen>,
    /// Tensors that are not floating-point, with type and shape.
    pub mistyped: Vec<(String, String)>,
    /// Tensors with an infinity or NaN, and the first such element.
    pub non_finite: Vec<NonFinite>,
}

/// A tensor whose shape is not the parameter's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshapen {
    /// Its name.
    pub name: String,
    /// The parameter's shape.
    pub expected: Vec<usize>,
    /// The tensor's.
    pub found: Vec<usize>,
}

/// A tensor with an infinity or NaN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonFinite {
    /// Its name.
    pub name: String,
    /// Row-major index of the first such element.
    pub index: usize,
    /// Its value as text: `NaN`, `inf` or `-inf`.
    pub value: String,
}

impl Mismatch {
    /// How many entries of each list the text shows.
    pub const LISTED: usize = 12;

    fn is_empty(&self) -> bool {
        *self == Mismatch::default()
    }

    fn compare(&mut self, name: &str, shape: &[usize], tensor: &HostTensor) {
        let name = name.to_string();
        if tensor.shape() != shape {
            self.misshapen.push(Misshapen {
                name,
                expected: shape.to_vec(),
                found: tensor.shape().to_vec(),
            });
        } else if !tensor.dtype().is_float() {
            self.mistyped.push((name, describe(tensor)));
        } else if let Some(index) = tensor.first_non_finite() {
            let value = value_at(tensor, index);
            self.non_finite.push(NonFinite { name, index, value });
        }
    }
}

/// `f32[2, 3]`.
fn describe(tensor: &HostTensor) -> String {
    format!("{}{:?}", tensor.dtype(), tensor.shape())
}

fn value_at(tensor: &HostTensor, index: usize) -> String {
    let value = (tensor.as_slice::<f32>().map(|x| x[index]))
        .or_else(|_| tensor.as_slice::<f16>().map(|x| x[index].to_f32()))
        .or_else(|_| tensor.as_slice::<bf16>().map(|x| x[index].to_f32()));
    value.map_or_else(|error| error.to_string(), |value| value.to_string())
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            (
                "missing",
                texts(&self.missing, |(name, shape)| {
                    let others = self.unexpected.iter().map(|(name, _)| name.as_str());
                    match nearest(name, others) {
                        Some(near) => format!("{name} {shape:?}; is it {near}?"),
                        None => format!("{name} {shape:?}"),
                    }
                }),
            ),
            (
                "unexpected",
                texts(&self.unexpected, |(name, what)| format!("{name} {what}")),
            ),
            (
                "unreadable",
                texts(&self.unreadable, |(name, why)| format!("{name}: {why}")),
            ),
            (
                "of another shape",
                texts(&self.misshapen, |m| {
                    let Misshapen {
                        name,
                        expected,
                        found,
                    } = m;
                    format!("{name}: the model has {expected:?}, the checkpoint {found:?}")
                }),
            ),
            (
                "not floating-point",
                texts(&self.mistyped, |(name, what)| format!("{name} {what}")),
            ),
            (
                "not finite",
                texts(&self.non_finite, |n| {
                    let NonFinite { name, index, value } = n;
                    format!("{name}: element {index} is {value}")
                }),
            ),
        ];
        let lists = || lists.iter().filter(|(_, (count, _))| *count > 0);
        let counts: Vec<String> = lists()
            .map(|(what, (n, _))| format!("{n} {what}"))
            .collect();
        write!(
            f,
            "the checkpoint does not fit the model: {}",
            counts.join(", ")
        )?;
        for (what, (count, listed)) in lists() {
            write!(f, "\n  {what}:")?;
            for line in listed {
                write!(f, "\n    {line}")?;
            }
            if *count > listed.len() {
                write!(f, "\n    ... and {} more", count - listed.len())?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

/// How many entries there are, and the texts of those to list.
fn texts<T>(entries: &[T], text: impl Fn(&T) -> String) -> (usize, Vec<String>) {
    let listed = entries.iter().take(Mismatch::LISTED).map(text);
    (entries.len(), listed.collect())
}

#[cfg(test)]
mod tests;
