//! LPIPS (Zhang et al., 2018): how far apart two pictures are for the features of AlexNet.
//!
//! Features after each of the five convolutions have unit length over channels; their squared
//! differences are weighted per channel, averaged over places, and added up. The network is
//! spelled in the DSL and compiled for each size of picture.

use bsq_ir::{DType, Function, Graph, Tensor};
use bsq_runtime::checkpoint::{self, CheckpointError, Weights};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use bsq_runtime::{BoundPrograms, CompileOptions, ProgramError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A convolution of AlexNet: its name in the weights, channels out and in, side, stride, padding.
type Layer = (&'static str, [usize; 3], usize, usize);

const LAYERS: [Layer; 5] = [
    ("net.slice1.0", [64, 3, 11], 4, 2),
    ("net.slice2.3", [192, 64, 5], 1, 2),
    ("net.slice3.6", [384, 192, 3], 1, 1),
    ("net.slice4.8", [256, 384, 3], 1, 1),
    ("net.slice5.10", [256, 256, 3], 1, 1),
];
/// Layers whose input is pooled first.
const POOLED: [usize; 2] = [1, 2];
/// Mean and deviation of each channel of what the network was trained on, for values in -1..1.
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];
/// What keeps lengths from zero.
const EPSILON: f64 = 1e-10;

/// Why a distance could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum LpipsError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// These are no weights of LPIPS.
    #[error(
        "{}: no weights of LPIPS with AlexNet: {name} of shape {shape:?} is missing; they are what \
         torch.save(lpips.LPIPS(net='alex').state_dict(), FILE) writes",
        path.display()
    )]
    Weights {
        path: PathBuf,
        name: String,
        shape: Vec<usize>,
    },
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// The metric with its weights, which are not part of this program.
pub struct Lpips {
    /// By height and width; one at a time.
    programs: BoundPrograms<[usize; 2]>,
}

impl Lpips {
    /// Below it there is nothing left to pool.
    pub const SMALLEST_SIDE: usize = 31;

    /// Reads weights: the state of `lpips.LPIPS(net='alex')` of the package of the metric's
    /// authors, as a PyTorch or a safetensors file.
    ///
    /// # Errors
    /// If the file cannot be read, or lacks a weight.
    pub fn open(path: &Path, options: &CompileOptions) -> Result<Lpips, LpipsError> {
        let mut file = checkpoint::load(path, Weights::Raw)?.tensors;
        let mut parameters = BTreeMap::new();
        for (_, name, ty) in function(Lpips::SMALLEST_SIDE, Lpips::SMALLEST_SIDE).parameters() {
            let tensor = file.remove(name);
            let fits = |own: &HostTensor| own.shape() == &ty.shape[..] && own.dtype() == ty.dtype;
            let Some(tensor) = tensor.filter(fits) else {
                return Err(LpipsError::Weights {
                    path: path.into(),
                    name: name.into(),
                    shape: ty.shape.to_vec(),
                });
            };
            parameters.insert(name.to_string(), tensor);
        }
        Ok(Lpips {
            programs: BoundPrograms::new(parameters, options.clone(), 1),
        })
    }

    /// The distance of two pictures, planes `[3, height, width]` in -1..1: 0 if they are equal.
    /// `None` if a side is below [`SMALLEST_SIDE`](Lpips::SMALLEST_SIDE).
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
        if height.min(width) < Lpips::SMALLEST_SIDE {
            return Ok(None);
        }
        let shape = [1, 3, height, width];
        let (a, b) = (
            HostTensor::from_slice(shape, a)?,
            HostTensor::from_slice(shape, b)?,
        );
        let build = || function(height, width);
        let session = self.programs.get([height, width], build)?;
        let outputs = session.run(&[("a", &a), ("b", &b)])?;
        Ok(Some(f64::from(outputs["distance"].as_slice::<f32>()?[0])))
    }
}

/// Inputs `a` and `b`, both `f32[1, 3, height, width]`; output `distance`.
fn function(height: usize, width: usize) -> Function {
    let g = Graph::new();
    let pictures = ["a", "b"].map(|name| g.input(name, DType::F32, [1, 3, height, width]));
    let mut features = g.concat(&pictures, 0);
    let shape = features.shape();
    let channel = |values: &[f32]| {
        g.constant_f32(values, [3])
            .broadcast_in_dim(shape.clone(), &[1])
    };
    features = (features - channel(&SHIFT)) / channel(&SCALE);
    let mut distance = g.full(0.0, DType::F32, []);
    for (number, &(name, [outputs, inputs, side], stride, padding)) in LAYERS.iter().enumerate() {
        if POOLED.contains(&number) {
            features = features.max_pool2d(3, 2);
        }
        let parameter = |name: String, shape: &[usize]| g.parameter(&name, DType::F32, shape);
        let weight = parameter(format!("{name}.weight"), &[outputs, inputs, side, side]);
        let bias = parameter(format!("{name}.bias"), &[outputs]);
        let y = features.conv2d(weight, stride, padding);
        let shape = y.shape();
        features = (y + bias.broadcast_in_dim(shape, &[1])).maximum(0.0);
        let lin = parameter(format!("lin{number}.model.1.weight"), &[1, outputs, 1, 1]);
        distance = distance + layer_distance(features, lin.reshape([outputs]));
    }
    g.function([("distance", distance.id())], [])
}

/// Of features `[2, c, h, w]` of both pictures, with a weight for each channel.
fn layer_distance<'g>(features: Tensor<'g>, weight: Tensor<'g>) -> Tensor<'g> {
    let length = features.square().sum(1).sqrt() + EPSILON;
    let unit = features / length.expand_axes(1, features.shape());
    let difference = unit.slice(0, 0..1) - unit.slice(0, 1..2);
    let shape = difference.shape();
    let weighted = difference.square() * weight.broadcast_in_dim(shape, &[1]);
    weighted.sum(1).mean([0, 1, 2])
}
