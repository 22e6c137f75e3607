//! Samples of a tensor, taken out, filled up and joined again.

use crate::tensor_data::{HostTensor, TensorError};
use bsq_ir::batch::BatchAxis;
use std::ops::Range;

/// Bytes of one sample that lie together.
fn row(tensor: &HostTensor, at: BatchAxis) -> usize {
    let behind: usize = tensor.shape()[at.axis + 1..].iter().product();
    at.each * behind * tensor.dtype().size()
}

/// What lies together of all samples of a tensor, for each element of the axes before.
fn blocks(tensor: &HostTensor, at: BatchAxis) -> impl Iterator<Item = &[u8]> {
    let before: usize = tensor.shape()[..at.axis].iter().product();
    let size = tensor.bytes().len() / before.max(1);
    (0..before).map(move |block| &tensor.bytes()[block * size..][..size])
}

fn with_samples(tensor: &HostTensor, at: BatchAxis, samples: usize) -> Vec<usize> {
    let mut shape = tensor.shape().to_vec();
    shape[at.axis] = samples * at.each;
    shape
}

/// Some samples, at least one, and the last of them again until there are `size`.
pub(super) fn part(
    tensor: &HostTensor,
    at: BatchAxis,
    samples: Range<usize>,
    size: usize,
) -> Result<HostTensor, TensorError> {
    let row = row(tensor, at);
    let mut bytes = Vec::new();
    for block in blocks(tensor, at) {
        let taken = &block[samples.start * row..samples.end * row];
        bytes.extend_from_slice(taken);
        let last = &taken[taken.len() - row..];
        bytes.extend(last.repeat(size - samples.len()));
    }
    HostTensor::from_bytes(tensor.dtype(), with_samples(tensor, at, size), &bytes)
}

/// The samples of several tensors, one after the other.
pub(super) fn joined(
    tensors: &[HostTensor],
    at: BatchAxis,
    samples: usize,
) -> Result<HostTensor, TensorError> {
    let mut bytes = Vec::new();
    let mut blocks: Vec<_> = tensors.iter().map(|tensor| blocks(tensor, at)).collect();
    while let Some(first) = blocks[0].next() {
        bytes.extend_from_slice(first);
        for others in &mut blocks[1..] {
            bytes.extend_from_slice(others.next().unwrap_or_default());
        }
    }
    let shape = with_samples(&tensors[0], at, samples);
    HostTensor::from_bytes(tensors[0].dtype(), shape, &bytes)
}

#[cfg(test)]
mod tests {
    use super::{BatchAxis, HostTensor, joined, part};

    #[test]
    fn samples_are_taken_filled_up_and_joined_along_any_axis() {
        // Two rows; three samples of two elements each.
        let values: Vec<i32> = (0..12).collect();
        let tensor = HostTensor::from_slice([2, 6], &values).unwrap();
        let at = BatchAxis { axis: 1, each: 2 };
        let middle = part(&tensor, at, 1..2, 3).unwrap();
        assert_eq!(middle.shape(), [2, 6]);
        let wanted = [2, 3, 2, 3, 2, 3, 8, 9, 8, 9, 8, 9];
        assert_eq!(middle.as_slice::<i32>().unwrap(), wanted);
        let parts =
            [0..1, 1..3].map(|samples| part(&tensor, at, samples.clone(), samples.len()).unwrap());
        assert_eq!(joined(&parts, at, 3).unwrap(), tensor);
    }
}
