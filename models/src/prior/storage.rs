//! How the weights of a prior's linear layers are kept: decoding is a matter of reading them.
//!
//! A step of decoding multiplies every weight by a few numbers, so its speed is that of reading
//! weights from memory. Kept narrow they are fewer bytes; they are widened in registers to exactly
//! the `f32` numbers that they stand for, so a prior of narrow weights gives the same bits on
//! every machine, as every prior does. It is another prior than the one that it was rounded from.

use super::{PriorModel, parameter_specs};
use bsq_ir::DType;
use bsq_ir::shape::Type;
use bsq_ir::tensor::ParameterSpec;
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::collections::BTreeMap;

/// How the weight matrices of linear layers are kept in memory and in files. Biases, norms,
/// embeddings and the chain of sub-tokens are `f32` in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    #[default]
    F32,
    Bf16,
    /// A byte each, with a scale for each output.
    U8,
}

/// What the scales of a weight are called, behind its name.
const SCALES: &str = "_scales";

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
}

/// The parameters that files of a model have, by name, with their types.
pub fn stored_types(model: &PriorModel) -> Vec<(String, Type)> {
    let mut types = Vec::new();
    for ParameterSpec { name, ty, .. } in parameter_specs(model) {
        match model.storage() {
            Storage::Bf16 if is_matrix(&name, &ty) => {
                types.push((name, Type::new(DType::BF16, ty.shape)));
            }
            Storage::U8 if is_matrix(&name, &ty) => {
                let scales = Type::new(DType::F32, [ty.shape[0]]);
                types.push((scales_name(&name), scales));
                types.push((name, Type::new(DType::U8, ty.shape)));
            }
            _ => types.push((name, ty)),
        }
    }
    types
}

/// Parameters in `f32`, rounded to a way to keep them.
///
/// # Errors
/// If memory runs out.
pub fn store(
    parameters: &BTreeMap<String, HostTensor>,
    storage: Storage,
) -> Result<BTreeMap<String, HostTensor>, TensorError> {
    let mut stored = BTreeMap::new();
    for (name, tensor) in parameters {
        let ty = Type::new(tensor.dtype(), tensor.shape());
        match storage {
            Storage::Bf16 if is_matrix(name, &ty) => {
                stored.insert(name.clone(), tensor.to_dtype(DType::BF16)?);
            }
            Storage::U8 if is_matrix(name, &ty) => {
                let (bytes, scales) = quantize(tensor)?;
                stored.insert(name.clone(), bytes);
                stored.insert(scales_name(name), scales);
            }
            _ => {
                stored.insert(name.clone(), tensor.to_dtype(DType::F32)?);
            }
        }
    }
    Ok(stored)
}

/// The name of a weight's scales.
pub(super) fn scales_name(weight: &str) -> String {
    format!("{weight}{SCALES}")
}

fn is_matrix(name: &str, ty: &Type) -> bool {
    ty.shape.rank() == 2 && name.ends_with(".weight")
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
