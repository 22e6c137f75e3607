//! Batches of one's own samples: shuffled, seeded, and the same after a resume.

use super::draw::{Draw, SAMPLE};
use super::{Batches, DataFingerprint, EpochOrders, NamedTensors};
use crate::BoxError;
use bsq_runtime::HostTensor;

/// Samples by number.
pub trait Samples: Send + Sync + 'static {
    /// How many there are.
    fn count(&self) -> usize;

    /// A sample: tensors by the names of a program's inputs, without the axis of the batch. `draw` has
    /// the random numbers of its place in the sequence of all epochs, for crops, noise and the like.
    ///
    /// # Errors
    /// If it cannot be read: the training ends, and what was done is saved.
    fn sample(&self, number: usize, draw: &mut Draw) -> Result<NamedTensors, BoxError>;

    /// What tells these samples from others; by default how many there are.
    fn fingerprint(&self) -> DataFingerprint {
        DataFingerprint {
            samples: self.count(),
            hash: 0,
        }
    }
}

/// Tensors whose first axis counts samples, all of one length.
pub struct TensorSamples {
    tensors: NamedTensors,
    count: usize,
}

impl TensorSamples {
    /// # Errors
    /// If there is no tensor, one has no axis, or their first axes differ.
    pub fn new(tensors: NamedTensors) -> Result<TensorSamples, BoxError> {
        let length = |tensor: &HostTensor| tensor.shape().first().copied();
        let first = tensors.first().and_then(|(_, tensor)| length(tensor));
        let Some(count) = first.filter(|count| *count > 0) else {
            return Err("samples need a tensor whose first axis counts them".into());
        };
        for (name, tensor) in &tensors {
            if length(tensor) != Some(count) {
                let (shape, first) = (tensor.shape(), tensors[0].0);
                return Err(format!(
                    "`{name}` {shape:?} has not as many samples as `{first}`: {count}"
                )
                .into());
            }
        }
        Ok(TensorSamples { tensors, count })
    }
}

impl Samples for TensorSamples {
    fn count(&self) -> usize {
        self.count
    }

    fn sample(&self, number: usize, _draw: &mut Draw) -> Result<NamedTensors, BoxError> {
        let sample = |(name, tensor): &(&'static str, HostTensor)| {
            let size = tensor.bytes().len() / self.count;
            let bytes = &tensor.bytes()[number * size..][..size];
            let shape = tensor.shape()[1..].to_vec();
            Ok((*name, HostTensor::from_bytes(tensor.dtype(), shape, bytes)?))
        };
        self.tensors.iter().map(sample).collect()
    }

    fn fingerprint(&self) -> DataFingerprint {
        let mut hash = 0;
        for (_, tensor) in &self.tensors {
            hash = crc32c::crc32c_append(hash, tensor.bytes());
        }
        DataFingerprint {
            samples: self.count,
            hash: u64::from(hash),
        }
    }
}

/// Batches of samples in a shuffled order, another one in each epoch.
///
/// Batch number `step` is a function of the samples, the seed and `step` alone: a resumed training
/// sees what one sees that was not stopped, and reading ahead changes nothing but the time. The samples
/// of all epochs are one sequence, so that every batch is whole; an epoch's last batch goes on with the
/// first samples of the next.
///
/// ```
/// use bsq_nn::data::{Batches, Loader, TensorSamples};
/// use bsq_runtime::HostTensor;
///
/// let x = HostTensor::from_slice([5, 2], &[0.0_f32, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0])?;
/// let y = HostTensor::from_slice([5], &[0, 1, 2, 3, 4])?;
/// let loader = Loader::new(TensorSamples::new(vec![("x", x), ("y", y)])?, 2, 7)?;
/// let batch = loader.batch(0)?;
/// assert_eq!(batch[0].1.shape(), [2, 2]);
/// # Ok::<(), bsq_nn::BoxError>(())
/// ```
pub struct Loader<S> {
    samples: S,
    batch_size: usize,
    seed: u64,
    orders: EpochOrders,
}

impl<S: Samples> Loader<S> {
    /// # Errors
    /// If there are no samples, or 2^32 and more, or a batch has none.
    pub fn new(samples: S, batch_size: usize, seed: u64) -> Result<Loader<S>, BoxError> {
        if samples.count() == 0 || batch_size == 0 {
            return Err("batches of no samples".into());
        }
        if u32::try_from(samples.count()).is_err() {
            return Err(
                format!("{} samples: orders are of fewer than 2^32", samples.count()).into(),
            );
        }
        Ok(Loader {
            orders: EpochOrders::new(samples.count(), seed),
            samples,
            batch_size,
            seed,
        })
    }
}

impl<S: Samples> Batches for Loader<S> {
    type Batch = NamedTensors;

    /// # Errors
    /// If a sample cannot be read, or differs from the first of its batch in names, types or shapes.
    fn batch(&self, step: u64) -> Result<NamedTensors, BoxError> {
        let first = step * self.batch_size as u64;
        let places = first..first + self.batch_size as u64;
        let samples: Vec<NamedTensors> = places
            .map(|place| {
                let mut draw = Draw::new(self.seed, SAMPLE, place);
                self.samples.sample(self.orders.sample(place), &mut draw)
            })
            .collect::<Result<_, _>>()?;
        (0..samples[0].len())
            .map(|input| stacked(&samples, input))
            .collect()
    }

    fn fingerprint(&self) -> DataFingerprint {
        self.samples.fingerprint()
    }
}

/// One input of all samples of a batch, with the batch as its first axis.
fn stacked(samples: &[NamedTensors], input: usize) -> Result<(&'static str, HostTensor), BoxError> {
    let (name, first) = &samples[0][input];
    let mut bytes = Vec::with_capacity(samples.len() * first.bytes().len());
    for sample in samples {
        let fits = |(other, tensor): &&(&str, HostTensor)| {
            other == name && tensor.dtype() == first.dtype() && tensor.shape() == first.shape()
        };
        let Some((_, tensor)) = sample.get(input).filter(fits) else {
            let (dtype, shape) = (first.dtype(), first.shape());
            return Err(format!(
                "samples of one batch differ: `{name}` is {dtype}{shape:?} in the first alone"
            )
            .into());
        };
        bytes.extend_from_slice(tensor.bytes());
    }
    let shape = [&[samples.len()], first.shape()].concat();
    Ok((*name, HostTensor::from_bytes(first.dtype(), shape, &bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn numbers(count: usize) -> TensorSamples {
        let values: Vec<i32> = (0..count as i32).collect();
        let x = HostTensor::from_slice([count], &values).unwrap();
        TensorSamples::new(vec![("x", x)]).unwrap()
    }

    fn batch(loader: &Loader<TensorSamples>, step: u64) -> Vec<i32> {
        let batch = loader.batch(step).unwrap();
        batch[0].1.as_slice::<i32>().unwrap().to_vec()
    }

    #[test]
    fn every_epoch_has_every_sample_once_and_batches_are_whole() {
        let loader = Loader::new(numbers(10), 4, 3).unwrap();
        let sequence: Vec<i32> = (0..5).flat_map(|step| batch(&loader, step)).collect();
        let epochs: Vec<&[i32]> = sequence.chunks(10).collect();
        for epoch in &epochs {
            let set: BTreeSet<i32> = epoch.iter().copied().collect();
            assert_eq!(set.len(), 10);
        }
        assert_ne!(epochs[0], epochs[1]);
        // In any order, from any loader of the same seed.
        let other = Loader::new(numbers(10), 4, 3).unwrap();
        assert_eq!(batch(&other, 4), sequence[16..20]);
        assert_ne!(
            batch(&Loader::new(numbers(10), 4, 4).unwrap(), 0),
            sequence[..4]
        );
    }

    /// Samples of noise, of which one is of another shape.
    struct Noise;

    impl Samples for Noise {
        fn count(&self) -> usize {
            3
        }

        fn sample(&self, number: usize, draw: &mut Draw) -> Result<NamedTensors, BoxError> {
            let length = if number == 2 { 2 } else { 1 };
            let noise = vec![draw.uniform(0.0, 1.0) as f32; length];
            Ok(vec![("x", HostTensor::from_slice([length], &noise)?)])
        }
    }

    /// More samples than an order has.
    struct Many;

    impl Samples for Many {
        fn count(&self) -> usize {
            1 << 32
        }

        fn sample(&self, _number: usize, _draw: &mut Draw) -> Result<NamedTensors, BoxError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn random_numbers_belong_to_a_place_and_odd_samples_are_told() {
        let loader = Loader::new(Noise, 1, 0).unwrap();
        let noise = |step| loader.batch(step).unwrap()[0].1.bytes().to_vec();
        let seen: BTreeSet<Vec<u8>> = (0..9).map(noise).collect();
        assert_eq!(seen.len(), 9);
        assert_eq!(noise(4), noise(4));
        let error = Loader::new(Noise, 3, 0).unwrap().batch(0).unwrap_err();
        assert!(error.to_string().contains("differ: `x`"), "{error}");
    }

    #[test]
    fn tensors_of_different_lengths_are_no_samples() {
        let tensor = |count: usize| HostTensor::from_slice([count], &vec![0_i32; count]).unwrap();
        let error = TensorSamples::new(vec![("x", tensor(3)), ("y", tensor(4))])
            .err()
            .unwrap();
        assert!(error.to_string().contains("`y`"), "{error}");
        assert!(TensorSamples::new(vec![("x", HostTensor::scalar(1).unwrap())]).is_err());
        assert!(TensorSamples::new(Vec::new()).is_err());
        let many = Loader::new(Many, 1, 0).err().unwrap().to_string();
        assert_eq!(many, "4294967296 samples: orders are of fewer than 2^32");
    }
}
