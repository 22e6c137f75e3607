//! Batches from a function of the step, and from an iterator.

use super::{Batches, NamedTensors};
use crate::BoxError;
use std::sync::{Mutex, PoisonError};

/// See [`by_step`].
pub struct ByStep<F>(F);

/// Batches that a function gives for each step.
pub fn by_step<F>(batch: F) -> ByStep<F>
where
    F: Fn(u64) -> Result<NamedTensors, BoxError> + Send + Sync + 'static,
{
    ByStep(batch)
}

impl<F> Batches for ByStep<F>
where
    F: Fn(u64) -> Result<NamedTensors, BoxError> + Send + Sync + 'static,
{
    type Batch = NamedTensors;

    fn batch(&self, step: u64) -> Result<NamedTensors, BoxError> {
        self.0(step)
    }
}

/// See [`from_iterator`].
pub struct FromIterator<I> {
    /// The rest, and the step that comes next.
    rest: Mutex<(I, u64)>,
}

/// The batches of an iterator, one for each step from 0 on. A resumed training takes those of the
/// steps that are done and drops them, so the iterator must begin where it began before.
pub fn from_iterator<I>(batches: I) -> FromIterator<I::IntoIter>
where
    I: IntoIterator<Item = NamedTensors>,
    I::IntoIter: Send + 'static,
{
    FromIterator {
        rest: Mutex::new((batches.into_iter(), 0)),
    }
}

impl<I: Iterator<Item = NamedTensors> + Send + 'static> Batches for FromIterator<I> {
    type Batch = NamedTensors;

    /// # Errors
    /// If the iterator has ended, or an earlier step is asked for than the last time.
    fn batch(&self, step: u64) -> Result<NamedTensors, BoxError> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let (iterator, next) = &mut *rest;
        let Some(dropped) = step.checked_sub(*next) else {
            return Err(format!("the batch of step {step} was taken before").into());
        };
        *next = step + 1;
        let batch = iterator.nth(dropped as usize);
        batch.ok_or_else(|| format!("there are no batches from step {step} on").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq_runtime::HostTensor;

    #[test]
    fn an_iterator_is_read_once_and_may_begin_later() {
        let one = |i: i32| vec![("x", HostTensor::scalar(i).unwrap())];
        let batches = from_iterator((0..5).map(one));
        let value = |step| -> Result<i32, String> {
            let batch = batches.batch(step).map_err(|error| error.to_string())?;
            Ok(batch[0].1.item().unwrap())
        };
        assert_eq!(value(2), Ok(2));
        assert_eq!(value(3), Ok(3));
        assert!(value(1).unwrap_err().contains("taken before"));
        assert!(value(6).unwrap_err().contains("no batches"));
    }
}
