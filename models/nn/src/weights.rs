//! A model's weights in a file, and back: a call each.

use crate::optimizer::AVERAGE_PREFIX;
use crate::train::TrainingCheckpoint;
use bsq_ir::DType;
use bsq_ir::tensor::ParameterSpec;
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::{
    self, CheckpointError, Mismatch, Weights, match_parameters, safetensors,
};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::TensorError;
use std::path::{Path, PathBuf};

/// Why a file's weights are not a model's.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] CheckpointError),
    /// The file has other tensors than the model: all of what differs, and what was perhaps meant.
    #[error("{path}: {mismatch}", path = path.display())]
    Mismatch {
        path: PathBuf,
        mismatch: Box<Mismatch>,
    },
    /// Memory ran out.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Saves a model's weights as safetensors: of the parameters of a program, such as
/// [`Session::parameters`](bsq_runtime::Session::parameters), those that are the model's, without the
/// optimizer's state. `weights` says which of them where the program keeps moving averages.
///
/// ```
/// use bsq_ir::{DType, Graph, Scope};
/// use bsq_nn::optimizer::{AdamW, minimize};
/// use bsq_nn::{init::init, weights};
/// use bsq_runtime::{CompileOptions, HostTensor, checkpoint::Weights, compile};
///
/// let g = Graph::new();
/// let model = Scope::root(&g);
/// let y = g.input("x", DType::F32, [2, 3]).linear(&model / "head", 1);
/// let rule = AdamW::new(g.scalar("lr"));
/// let step = minimize(y.square().mean(..), &model.parameters(), &rule).with_average(0.9);
///
/// let mut parameters = init(&model.specs(), 1)?;
/// parameters.extend(step.initial_state(&parameters)?);
/// let executable = compile(&step.function(), &CompileOptions::default())?;
/// let mut session = executable.bind(parameters)?;
/// let (x, lr) = (HostTensor::zeros(DType::F32, vec![2, 3])?, HostTensor::scalar(0.1f32)?);
/// session.run(&[("x", &x), ("lr", &lr)])?;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.safetensors");
/// weights::save(&path, session.parameters()?, Weights::Raw)?;
/// let loaded = weights::load(&path, &model.specs())?;
/// assert_eq!(&loaded["head.bias"], session.parameter("head.bias")?);
/// assert_eq!(loaded.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file cannot be written.
pub fn save<'a, N: Into<String>>(
    path: impl AsRef<Path>,
    parameters: impl IntoIterator<Item = (N, &'a HostTensor)>,
    weights: Weights,
) -> Result<(), WeightsError> {
    let named = parameters.into_iter();
    let named: Tensors = named
        .map(|(name, tensor)| (name.into(), tensor.clone()))
        .collect();
    let model = TrainingCheckpoint::model_of(&named, weights);
    let tensors = model.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Ok(safetensors::save(
        path.as_ref(),
        tensors,
        &Default::default(),
    )?)
}

/// The weights of a model by name, as `f32`, from a file that [`save`] or a training has written, or
/// from a PyTorch checkpoint. Where there are moving averages it is these.
///
/// # Errors
/// If the file cannot be read, lacks a parameter, or has others or other shapes: the message lists
/// them, with what was perhaps meant.
pub fn load(path: impl AsRef<Path>, specs: &[ParameterSpec]) -> Result<Tensors, WeightsError> {
    let path = path.as_ref();
    let checkpoint = checkpoint::load(path, Weights::Ema)?;
    let mut checkpoint = TrainingCheckpoint::weights_of(path, checkpoint, Weights::Ema);
    // Of a program that was saved whole.
    let is_whole = (checkpoint.tensors.keys()).any(|name| name.starts_with(AVERAGE_PREFIX));
    if is_whole {
        checkpoint.tensors = TrainingCheckpoint::model_of(&checkpoint.tensors, Weights::Ema);
    }
    let expected = specs.iter().map(|spec| (&spec.name, &spec.ty.shape[..]));
    let tensors = match_parameters(&checkpoint, expected, &[]);
    let tensors = tensors.map_err(|mismatch| WeightsError::Mismatch {
        path: path.to_path_buf(),
        mismatch,
    })?;
    let mut weights = Tensors::new();
    for (spec, tensor) in specs.iter().zip(tensors) {
        weights.insert(spec.name.clone(), tensor.to_dtype(DType::F32)?);
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq_ir::Type;
    use bsq_ir::tensor::Init;

    fn spec(name: &str) -> ParameterSpec {
        ParameterSpec {
            name: name.to_string(),
            ty: Type::new(DType::F32, [2]),
            init: Init::Constant(0.0),
        }
    }

    fn tensor(value: f32) -> HostTensor {
        HostTensor::from_slice([2], &[value; 2]).unwrap()
    }

    #[test]
    fn the_model_alone_is_saved_raw_or_averaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let names = ["head.bias", "ema.head.bias", "adamw.exp_avg.head.bias"];
        let more = ["optimizer.sgd.momentum.head.bias", "discriminator.bias"];
        let values: Vec<HostTensor> = (0..5).map(|i| tensor(i as f32)).collect();
        let named = || names.into_iter().chain(more).zip(&values);
        for (weights, value) in [(Weights::Raw, 0), (Weights::Ema, 1)] {
            save(&path, named(), weights).unwrap();
            let file = checkpoint::load(&path, Weights::Raw).unwrap();
            assert_eq!(file.tensors.len(), 1);
            let loaded = load(&path, &[spec("head.bias")]).unwrap();
            assert_eq!(loaded["head.bias"], values[value]);
        }
        // A program that was saved with all it has.
        safetensors::save(&path, named(), &Default::default()).unwrap();
        let loaded = load(&path, &[spec("head.bias")]).unwrap();
        assert_eq!(loaded.len(), 1);
        assert_eq!(loaded["head.bias"], values[1]);
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_was_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let half = tensor(1.5).to_dtype(DType::BF16).unwrap();
        save(&path, [("head.wieght", &half)], Weights::Raw).unwrap();
        let error = load(&path, &[spec("head.weight")]).unwrap_err().to_string();
        assert!(error.contains("w.safetensors: "), "{error}");
        let line = "head.weight [2]; is it head.wieght?";
        assert!(error.contains(line), "{error}");
        let loaded = load(&path, &[spec("head.wieght")]).unwrap();
        assert_eq!(loaded["head.wieght"], tensor(1.5));
        let error = load(folder.path().join("none"), &[]).unwrap_err();
        assert!(matches!(error, WeightsError::File(_)), "{error}");
    }
}
