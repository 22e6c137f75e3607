//! Numbers to compute with: the same for everybody, and on every machine.

use bsq_ir::philox::random_word;
use bsq_runtime::HostTensor;

/// Uniform in -1..1, times `scale`; `stream` tells tensors apart.
pub fn uniform(stream: u64, count: usize, scale: f32) -> Vec<f32> {
    let element = |i| (random_word(stream, 0, i) as f32 / 2f32.powi(31) - 1.0) * scale;
    (0..count as u64).map(element).collect()
}

/// The same as a tensor.
///
/// # Panics
/// If memory runs out.
pub fn tensor(stream: u64, shape: &[usize], scale: f32) -> HostTensor {
    let elements = uniform(stream, shape.iter().product(), scale);
    HostTensor::from_slice(shape, &elements).expect("as many elements as the shape has")
}
