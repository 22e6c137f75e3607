//! Weights of LPIPS in the files that there are.

use super::Network;
use bsq_ir::DType;
use bsq_runtime::checkpoint::{self, CheckpointError, Weights};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How many parameters that do not fit are named.
const NAMED: usize = 5;

/// Why weights cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// These are no weights of this network.
    #[error(
        "{}: no weights of LPIPS with {network}, which are what \
         torch.save(lpips.LPIPS(net='{network}').state_dict(), FILE) writes, or torchvision's with \
         LPIPS's heads\nparameters that do not fit:{difference}",
        joined(files)
    )]
    Mismatch {
        files: Vec<PathBuf>,
        network: &'static str,
        /// Parameters that are missing or have another shape, a line each.
        difference: String,
    },
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

fn joined(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

impl Network {
    /// The parameters, from one file or from several together, safetensors or PyTorch: what
    /// `lpips.LPIPS` or its reference saves (`net.slice1.0.weight`, `lin0.model.1.weight`), or
    /// torchvision's network (`features.0.weight`) with the heads. Other tensors are left out.
    ///
    /// # Errors
    /// If a file cannot be read, or a parameter is in none or has another shape.
    pub fn load(&self, files: &[&Path]) -> Result<Tensors, WeightsError> {
        let mut tensors = Tensors::new();
        for path in files {
            tensors.extend(checkpoint::load(path, Weights::Raw)?.tensors);
        }
        self.taken_from(&tensors, files)
    }

    /// The parameters among tensors, by the same names.
    ///
    /// # Errors
    /// If one is missing or has another shape.
    pub fn read(&self, tensors: &Tensors) -> Result<Tensors, WeightsError> {
        self.taken_from(tensors, &[])
    }

    fn taken_from(&self, tensors: &Tensors, files: &[&Path]) -> Result<Tensors, WeightsError> {
        let mut parameters = Tensors::new();
        let mut problems = Vec::new();
        for spec in self.parameters() {
            let names = [spec.name.clone(), in_torchvision(&spec.name)];
            let found = names.iter().find_map(|name| tensors.get(name));
            let fits = |own: &&HostTensor| own.shape() == &spec.ty.shape[..];
            match found {
                Some(tensor) if fits(&tensor) && tensor.dtype().is_float() => {
                    parameters.insert(spec.name, tensor.to_dtype(DType::F32)?);
                }
                Some(tensor) => problems.push(format!(
                    "{} is {:?}, not {:?}",
                    spec.name,
                    tensor.shape(),
                    &spec.ty.shape[..]
                )),
                None => problems.push(format!("{} {:?} is missing", spec.name, &spec.ty.shape[..])),
            }
        }
        match problems.is_empty() {
            true => Ok(parameters),
            false => Err(WeightsError::Mismatch {
                files: files.iter().map(|path| path.to_path_buf()).collect(),
                network: self.backbone.name(),
                difference: listed(&problems),
            }),
        }
    }
}

/// The first lines, and how many there are beside them.
fn listed(problems: &[String]) -> String {
    let mut lines = String::new();
    for problem in problems.iter().take(NAMED) {
        let _ = write!(lines, "\n  {problem}");
    }
    if problems.len() > NAMED {
        let _ = write!(lines, "\n  and {} more", problems.len() - NAMED);
    }
    lines
}

/// `net.slice2.5.weight` as torchvision calls it: `features.5.weight`.
fn in_torchvision(name: &str) -> String {
    let behind = name
        .strip_prefix("net.slice")
        .and_then(|name| name.split_once('.'));
    behind.map_or_else(|| name.to_string(), |(_, rest)| format!("features.{rest}"))
}
