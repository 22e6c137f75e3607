//! Inception v3 (Szegedy et al., 2016) as FID has it: pytorch-fid's network, whose features of 2,048
//! numbers FID, the inception score, precision and recall are about.
//!
//! It is torchvision's but for its pools: averages leave padding out, and the last block takes maxima.
//! Weights are pytorch-fid's file `pt_inception-2015-12-05-6726825d.pth`, which is not part of this
//! program. Pictures are in -1..1, resized to 299x299 pixels with two neighbours and no filter. The suite of
//! ADM (Dhariwal and Nichol, 2021) has the same weights in another graph: [`Convention`].

use bsq_ir::tensor::{Init, ParameterSpec, Slide};
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::layers::{BatchMemory, BatchNorm, BatchUse, Conv, Interpolation, relu, resize};
use bsq_runtime::checkpoint::{self, CheckpointError, Mismatch, Weights, match_parameters};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::path::{Path, PathBuf};

/// Side of the pictures that the network sees.
pub const SIDE: usize = 299;
/// Features of a picture.
pub const FEATURES: usize = 2048;
/// Of the file's last layer.
pub const CLASSES: usize = 1008;

/// The network: builds graphs, holds no weights. Parameters by torchvision's names:
/// `Mixed_5b.branch1x1.conv.weight`, `Mixed_5b.branch1x1.bn.running_mean`, `fc.weight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inception {
    pub convention: Convention,
}

/// How pictures become the network's input. Figures of one convention do not compare with the other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convention {
    /// pytorch-fid's: centres of pixels are resized onto centres, 8 bits are 0 to 255 of -1..1.
    #[default]
    PytorchFid,
    /// That of ADM's suite: pixel i of the result lies at `i * from / 299`, as in TensorFlow 1, and 8 bits
    /// become `(x - 128) / 128`.
    Adm,
}

impl Convention {
    /// Pictures in -1..1 as the network sees them.
    fn input(self, pictures: Tensor<'_>) -> Tensor<'_> {
        let sides = [SIDE, SIDE];
        match self {
            Convention::PytorchFid => resize(pictures, &sides, Interpolation::Linear),
            Convention::Adm => {
                let bytes = (pictures + 1.0) * 127.5;
                let resized = resize(bytes, &sides, Interpolation::LinearCorner);
                (resized - 128.0) * (1.0 / 128.0)
            }
        }
    }
}

/// What the network sees in pictures.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'g> {
    /// `[batch, 2048]`.
    pub features: Tensor<'g>,
    /// Class probabilities as ADM's suite takes them, without the last layer's bias: `[batch, 1008]`.
    pub probabilities: Tensor<'g>,
}

/// Why weights cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InceptionError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("{}: no weights of pytorch-fid's Inception: {error}", path.display())]
    Mismatch { path: PathBuf, error: Box<Mismatch> },
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// A convolution: outputs, kernel, stride, padding.
type Layer = (usize, [usize; 2], usize, [usize; 2]);

fn layer(outputs: usize, kernel: [usize; 2]) -> Layer {
    (outputs, kernel, 1, kernel.map(|size| size / 2))
}

impl Inception {
    /// What is seen in pictures `[batch, 3, height, width]` in -1..1.
    ///
    /// # Panics
    /// If the scope has these parameters already.
    #[track_caller]
    pub fn forward<'g>(&self, scope: &Scope<'g>, pictures: Tensor<'g>) -> Seen<'g> {
        let mut x = self.convention.input(pictures);
        for (name, layer) in [
            ("Conv2d_1a_3x3", (32, [3, 3], 2, [0, 0])),
            ("Conv2d_2a_3x3", (32, [3, 3], 1, [0, 0])),
            ("Conv2d_2b_3x3", (64, [3, 3], 1, [1, 1])),
        ] {
            x = unit(&(scope / name), x, layer);
        }
        x = x.max_pool2d(3, 2);
        for (name, layer) in [
            ("Conv2d_3b_1x1", (80, [1, 1], 1, [0, 0])),
            ("Conv2d_4a_3x3", (192, [3, 3], 1, [0, 0])),
        ] {
            x = unit(&(scope / name), x, layer);
        }
        x = x.max_pool2d(3, 2);
        for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
            x = block_a(&(scope / name), x, pooled);
        }
        x = block_b(&(scope / "Mixed_6a"), x);
        for (name, width) in [
            ("Mixed_6b", 128),
            ("Mixed_6c", 160),
            ("Mixed_6d", 160),
            ("Mixed_6e", 192),
        ] {
            x = block_c(&(scope / name), x, width);
        }
        x = block_d(&(scope / "Mixed_7a"), x);
        x = block_e(&(scope / "Mixed_7b"), x, averages);
        let largest = |x: Tensor<'g>| x.max_pool(&[3, 3], &[Slide::padded(1); 2]);
        x = block_e(&(scope / "Mixed_7c"), x, largest);
        let features = x.mean([2, 3]);
        let last = scope / "fc";
        // The file has a bias, too, which no figure is about.
        let weight = last.parameter("weight", [CLASSES, FEATURES], Init::Constant(0.0));
        last.parameter("bias", [CLASSES], Init::Constant(0.0));
        Seen {
            features,
            probabilities: features.matmul_transposed(weight).softmax(),
        }
    }

    /// Every parameter.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let graph = Graph::new();
        let scope = Scope::root(&graph);
        self.forward(&scope, graph.input("x", DType::F32, [1, 3, SIDE, SIDE]));
        scope.specs()
    }

    /// The parameters in a file.
    ///
    /// # Errors
    /// If it cannot be read, or does not fit.
    pub fn load(&self, path: &Path) -> Result<Tensors, InceptionError> {
        let file = checkpoint::load(path, Weights::Raw)?;
        let specs = self.parameters();
        let expected = specs.iter().map(|spec| (&spec.name, &spec.ty.shape[..]));
        let tensors = match_parameters(&file, expected, &[]);
        let tensors = tensors.map_err(|error| InceptionError::Mismatch {
            path: path.into(),
            error,
        })?;
        let one = |(spec, tensor): (&ParameterSpec, &HostTensor)| {
            Ok((spec.name.clone(), tensor.to_dtype(DType::F32)?))
        };
        specs.iter().zip(tensors).map(one).collect()
    }
}

#[track_caller]
fn unit<'g>(
    scope: &Scope<'g>,
    x: Tensor<'g>,
    (outputs, kernel, stride, padding): Layer,
) -> Tensor<'g> {
    let mut conv = Conv::new(outputs, kernel).stride(stride).without_bias();
    for (slide, padding) in conv.slides.iter_mut().zip(padding) {
        slide.padding = [padding; 2];
    }
    let x = conv.forward(scope / "conv", x);
    let norm = BatchNorm {
        epsilon: 1e-3,
        ..BatchNorm::default()
    };
    let mut memory = BatchMemory::new(BatchUse::Inference);
    relu(norm.forward(scope / "bn", x, &mut memory))
}

/// Convolutions one after another, by their names.
#[track_caller]
fn chain<'g>(scope: &Scope<'g>, x: Tensor<'g>, layers: &[(&str, Layer)]) -> Tensor<'g> {
    layers
        .iter()
        .fold(x, |x, (name, layer)| unit(&(scope / name), x, *layer))
}

fn averages(x: Tensor<'_>) -> Tensor<'_> {
    x.average_pool_inside(&[3, 3], &[Slide::padded(1); 2])
}

#[track_caller]
fn block_a<'g>(scope: &Scope<'g>, x: Tensor<'g>, pooled: usize) -> Tensor<'g> {
    let branches = [
        chain(scope, x, &[("branch1x1", layer(64, [1, 1]))]),
        chain(
            scope,
            x,
            &[
                ("branch5x5_1", layer(48, [1, 1])),
                ("branch5x5_2", layer(64, [5, 5])),
            ],
        ),
        chain(
            scope,
            x,
            &[
                ("branch3x3dbl_1", layer(64, [1, 1])),
                ("branch3x3dbl_2", layer(96, [3, 3])),
                ("branch3x3dbl_3", layer(96, [3, 3])),
            ],
        ),
        chain(
            scope,
            averages(x),
            &[("branch_pool", layer(pooled, [1, 1]))],
        ),
    ];
    x.graph().concat(&branches, 1)
}

/// A 3x3 convolution that halves.
const fn halving(outputs: usize) -> Layer {
    (outputs, [3, 3], 2, [0, 0])
}

#[track_caller]
fn block_b<'g>(scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let branches = [
        chain(scope, x, &[("branch3x3", halving(384))]),
        chain(
            scope,
            x,
            &[
                ("branch3x3dbl_1", layer(64, [1, 1])),
                ("branch3x3dbl_2", layer(96, [3, 3])),
                ("branch3x3dbl_3", halving(96)),
            ],
        ),
        x.max_pool2d(3, 2),
    ];
    x.graph().concat(&branches, 1)
}

#[track_caller]
fn block_c<'g>(scope: &Scope<'g>, x: Tensor<'g>, width: usize) -> Tensor<'g> {
    let branches = [
        chain(scope, x, &[("branch1x1", layer(192, [1, 1]))]),
        chain(
            scope,
            x,
            &[
                ("branch7x7_1", layer(width, [1, 1])),
                ("branch7x7_2", layer(width, [1, 7])),
                ("branch7x7_3", layer(192, [7, 1])),
            ],
        ),
        chain(
            scope,
            x,
            &[
                ("branch7x7dbl_1", layer(width, [1, 1])),
                ("branch7x7dbl_2", layer(width, [7, 1])),
                ("branch7x7dbl_3", layer(width, [1, 7])),
                ("branch7x7dbl_4", layer(width, [7, 1])),
                ("branch7x7dbl_5", layer(192, [1, 7])),
            ],
        ),
        chain(scope, averages(x), &[("branch_pool", layer(192, [1, 1]))]),
    ];
    x.graph().concat(&branches, 1)
}

#[track_caller]
fn block_d<'g>(scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let branches = [
        chain(
            scope,
            x,
            &[
                ("branch3x3_1", layer(192, [1, 1])),
                ("branch3x3_2", halving(320)),
            ],
        ),
        chain(
            scope,
            x,
            &[
                ("branch7x7x3_1", layer(192, [1, 1])),
                ("branch7x7x3_2", layer(192, [1, 7])),
                ("branch7x7x3_3", layer(192, [7, 1])),
                ("branch7x7x3_4", halving(192)),
            ],
        ),
        x.max_pool2d(3, 2),
    ];
    x.graph().concat(&branches, 1)
}

#[track_caller]
fn block_e<'g>(
    scope: &Scope<'g>,
    x: Tensor<'g>,
    pool: impl Fn(Tensor<'g>) -> Tensor<'g>,
) -> Tensor<'g> {
    let one = chain(scope, x, &[("branch3x3_1", layer(384, [1, 1]))]);
    let double = chain(
        scope,
        x,
        &[
            ("branch3x3dbl_1", layer(448, [1, 1])),
            ("branch3x3dbl_2", layer(384, [3, 3])),
        ],
    );
    let across = |x, name: &str| unit(&(scope / name), x, layer(384, [1, 3]));
    let down = |x, name: &str| unit(&(scope / name), x, layer(384, [3, 1]));
    let branches = [
        chain(scope, x, &[("branch1x1", layer(320, [1, 1]))]),
        across(one, "branch3x3_2a"),
        down(one, "branch3x3_2b"),
        across(double, "branch3x3dbl_3a"),
        down(double, "branch3x3dbl_3b"),
        chain(scope, pool(x), &[("branch_pool", layer(192, [1, 1]))]),
    ];
    x.graph().concat(&branches, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torchvision's 21,785,568 without classes, and the file's last layer.
    #[test]
    fn the_network_has_the_parameters_of_the_file() {
        let specs = Inception::default().parameters();
        let trained = specs.iter().filter(|spec| !spec.name.contains("running"));
        let count: usize = trained.map(|spec| spec.ty.shape.elements()).sum();
        assert_eq!(count, 21_785_568 + FEATURES * CLASSES + CLASSES);
        let name = "Mixed_7c.branch3x3dbl_3b.bn.running_var";
        assert!(specs.iter().any(|spec| spec.name == name));
    }
}
