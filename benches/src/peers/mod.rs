//! Candle as a peer: tensors in and out, and the tokenizer in its terms.

mod candle_vit;

pub use candle_vit::{CandleWeights, candle_indices};

use bsq_runtime::HostTensor;
use candle_core::{Device, Tensor};

/// The elements of a tensor.
///
/// # Panics
/// If they are not `f32`.
pub fn floats(tensor: HostTensor) -> Vec<f32> {
    tensor.as_slice().expect("an f32 tensor").to_vec()
}

/// The same tensor in candle.
///
/// # Panics
/// If it is not `f32`.
pub fn candle_tensor(tensor: &HostTensor) -> Tensor {
    let elements = tensor.as_slice::<f32>().expect("an f32 tensor").to_vec();
    Tensor::from_vec(elements, tensor.shape(), &Device::Cpu).expect("the shape is its own")
}

/// The elements of a candle tensor.
///
/// # Panics
/// If they are not `f32`.
pub fn read_tensor(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
    let elements = flat.expect("an f32 tensor").into_iter();
    elements.map(f64::from).collect()
}

/// The elements of a candle tensor of indices.
///
/// # Panics
/// If they are not `i64`.
pub fn read_indices(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.flatten_all().and_then(|flat| flat.to_vec1::<i64>());
    let elements = flat.expect("an i64 tensor").into_iter();
    elements.map(|index| index as f64).collect()
}
