//! LPIPS of single pictures, compiled for each size.

use crate::lpips::{Backbone, Network, WeightsError};
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use bsq_runtime::{BoundPrograms, CompileOptions, ProgramError};
use std::path::Path;

/// Why a distance could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum LpipsError {
    /// There are no weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// The metric with its weights, which are not part of this program.
pub struct Lpips {
    network: Network,
    /// By height and width; one at a time.
    programs: BoundPrograms<[usize; 2]>,
}

impl Lpips {
    /// Reads weights of AlexNet, which figures are reported with; see [`Network::load`].
    ///
    /// # Errors
    /// If the file cannot be read, or lacks a weight.
    pub fn open(path: &Path, options: &CompileOptions) -> Result<Lpips, LpipsError> {
        Lpips::with(Network::new(Backbone::AlexNet), &[path], options)
    }

    /// Reads weights of any network.
    ///
    /// # Errors
    /// If a file cannot be read, or a weight is in none.
    pub fn with(
        network: Network,
        files: &[&Path],
        options: &CompileOptions,
    ) -> Result<Lpips, LpipsError> {
        let parameters = network.load(files)?;
        Ok(Lpips {
            network,
            programs: BoundPrograms::new(parameters, options.clone(), 1),
        })
    }

    /// The distance of two pictures, planes `[3, height, width]` in -1..1: 0 if they are equal.
    /// `None` if a side is too short to be pooled.
    ///
    /// # Errors
    /// If the program cannot be compiled or run.
    ///
    /// # Panics
    /// If the pictures are not of this shape.
    pub fn distance(
        &mut self,
        a: &[f32],
        b: &[f32],
        [height, width]: [usize; 2],
    ) -> Result<Option<f64>, LpipsError> {
        if height.min(width) < self.network.smallest_side() {
            return Ok(None);
        }
        let shape = [1, 3, height, width];
        let (a, b) = (
            HostTensor::from_slice(shape, a)?,
            HostTensor::from_slice(shape, b)?,
        );
        let build = || function(&self.network, shape);
        let session = self.programs.get([height, width], build)?;
        let outputs = session.run(&[("a", &a), ("b", &b)])?;
        Ok(Some(f64::from(outputs["distance"].as_slice::<f32>()?[0])))
    }
}

/// Inputs `a` and `b`, both `f32[1, 3, height, width]`; output `distance`.
fn function(network: &Network, shape: [usize; 4]) -> Function {
    let g = Graph::new();
    let [a, b] = ["a", "b"].map(|name| g.input(name, DType::F32, shape));
    let distance = network.distance(Scope::root(&g), a, b);
    g.function([("distance", distance.id())], [])
}
