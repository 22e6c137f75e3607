//! Which of a prior's parameters are kept narrow: the weight matrices of its linear layers. Biases,
//! norms, embeddings and the chain of sub-tokens are `f32` always.

use super::{PriorModel, parameter_specs};
use bsq_ir::DType;
use bsq_ir::shape::Type;
use bsq_ir::tensor::ParameterSpec;
use bsq_nn::layers::{Storage, scales_name};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::collections::BTreeMap;

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
        let storage = match is_matrix(name, &ty) {
            true => storage,
            false => Storage::F32,
        };
        stored.extend(storage.store(name, tensor)?);
    }
    Ok(stored)
}

fn is_matrix(name: &str, ty: &Type) -> bool {
    ty.shape.rank() == 2 && name.ends_with(".weight")
}
