//! How the weights of linear layers are kept: a layer that reads weights as fast as memory gives them
//! is faster the fewer bytes they are.
//!
//! Narrow weights are widened in registers to exactly the `f32` numbers that they stand for, so a
//! model of narrow weights gives the same bits on every machine, as every model does. It is another
//! model than the one that it was rounded from.

use bsq_ir::DType;
use bsq_runtime::tensor_data::{HostTensor, TensorError};

/// How a weight matrix is kept in memory and in files; it is widened to `f32` where it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    #[default]
    F32,
    Bf16,
    /// A byte each, with a scale for each output:
    /// [`Tensor::dequantize`](bsq_ir::Tensor::dequantize).
    U8,
}

impl Storage {
    pub const ALL: [Storage; 3] = [Storage::F32, Storage::Bf16, Storage::U8];

    /// As in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Storage::F32 => "f32",
            Storage::Bf16 => "bf16",
            Storage::U8 => "u8",
        }
    }

    pub fn from_name(name: &str) -> Option<Storage> {
        Storage::ALL.into_iter().find(|own| own.name() == name)
    }

    /// A weight `f32[outputs, inputs]` by the name `name`, rounded to what is kept of it: one
    /// parameter, or two.
    ///
    /// # Errors
    /// If memory runs out, or it is no matrix of `f32`.
    pub fn store(
        self,
        name: &str,
        weight: &HostTensor,
    ) -> Result<Vec<(String, HostTensor)>, TensorError> {
        Ok(match self {
            Storage::F32 => vec![(name.to_string(), weight.to_dtype(DType::F32)?)],
            Storage::Bf16 => vec![(name.to_string(), weight.to_dtype(DType::BF16)?)],
            Storage::U8 => {
                let (bytes, scales) = quantize(weight)?;
                vec![(name.to_string(), bytes), (scales_name(name), scales)]
            }
        })
    }
}

/// The name of the scales of a weight that is kept in bytes.
pub fn scales_name(weight: &str) -> String {
    format!("{weight}_scales")
}

/// Rows of bytes, and a scale for each: [`Tensor::dequantize`](bsq_ir::Tensor::dequantize) is the
/// way back.
fn quantize(weight: &HostTensor) -> Result<(HostTensor, HostTensor), TensorError> {
    let shape = weight.shape().to_vec();
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for row in weight.as_slice::<f32>()?.chunks_exact(shape[1]) {
        let largest = row.iter().fold(1e-30_f32, |most, x| most.max(x.abs()));
        let steps = 127.0 / largest;
        // A cast goes to the nearest of 0 to 255.
        bytes.extend(row.iter().map(|x| (x * steps + 128.5) as u8));
        scales.push(largest / 127.0);
    }
    Ok((
        HostTensor::from_slice(shape.clone(), &bytes)?,
        HostTensor::from_slice([shape[0]], &scales)?,
    ))
}
