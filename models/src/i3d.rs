//! I3D (Carreira and Zisserman, 2017): the network whose logits of Kinetics' 400 classes FVD compares.
//!
//! Inception-v1 with its kernels inflated in time. Padding is TensorFlow's `SAME`: as much as gives
//! `ceil(n / stride)` positions, the smaller half in front.

use bsq_ir::tensor::Slide;
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::layers::{BatchMemory, BatchNorm, BatchUse, Conv, Interpolation, relu, resize};
use bsq_runtime::checkpoint::{
    self, Checkpoint, CheckpointError, Mismatch, Weights, match_parameters,
};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::path::{Path, PathBuf};

/// Side of the pictures that the network sees.
pub const SIDE: usize = 224;
/// The shortest clip: eight frames are one after pooling, and the head looks at two.
pub const FEWEST_FRAMES: usize = 9;
/// Numbers of a clip's logits.
pub const CLASSES: usize = 400;

/// Outputs of a block's branches: 1x1x1; 1x1x1 and 3x3x3; 1x1x1 and 3x3x3; 1x1x1 behind a pool.
type Mixed = (&'static str, [usize; 6]);

const MIXED_3: [Mixed; 2] = [
    ("Mixed_3b", [64, 96, 128, 16, 32, 32]),
    ("Mixed_3c", [128, 128, 192, 32, 96, 64]),
];
const MIXED_4: [Mixed; 5] = [
    ("Mixed_4b", [192, 96, 208, 16, 48, 64]),
    ("Mixed_4c", [160, 112, 224, 24, 64, 64]),
    ("Mixed_4d", [128, 128, 256, 24, 64, 64]),
    ("Mixed_4e", [112, 144, 288, 32, 64, 64]),
    ("Mixed_4f", [256, 160, 320, 32, 128, 128]),
];
const MIXED_5: [Mixed; 2] = [
    ("Mixed_5b", [256, 160, 320, 32, 128, 128]),
    ("Mixed_5c", [384, 192, 384, 48, 128, 128]),
];

/// The network: builds graphs, holds no weights.
///
/// Parameters by the names of the widespread PyTorch port: `Conv3d_1a_7x7.conv3d.weight`,
/// `Mixed_3b.b1b.bn.running_mean`, `logits.conv3d.bias`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct I3d;

/// What the network makes of clips, by the names of its parts, in order; the last is `logits`.
pub type Endpoints<'g> = Vec<(&'static str, Tensor<'g>)>;

/// Why weights cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum I3dError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("{}: no weights of I3D: {error}", path.display())]
    Mismatch { path: PathBuf, error: Box<Mismatch> },
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl I3d {
    /// Clips `[batch, 3, frames, height, width]` in -1..1, resized to the side that the network sees,
    /// to logits `[batch, 400]`. `Interpolation::Linear` is what most do, `LinearCorner` is
    /// TensorFlow 1's.
    ///
    /// # Panics
    /// If the clip has too few frames, or the scope has these parameters already.
    #[track_caller]
    pub fn logits<'g>(
        &self,
        scope: &Scope<'g>,
        clips: Tensor<'g>,
        how: Interpolation,
    ) -> Tensor<'g> {
        let endpoints = self.endpoints(scope, resize(clips, &[SIDE, SIDE], how));
        endpoints.last().expect("the network has an end").1
    }

    /// Every part's output for clips of 224x224 pixels.
    ///
    /// # Panics
    /// As [`logits`](I3d::logits).
    #[track_caller]
    pub fn endpoints<'g>(&self, scope: &Scope<'g>, clips: Tensor<'g>) -> Endpoints<'g> {
        let frames = clips.shape().get(2).copied().unwrap_or(0);
        assert!(
            frames >= FEWEST_FRAMES,
            "I3D needs clips of {FEWEST_FRAMES} frames at least, not {}",
            clips.ty()
        );
        let mut endpoints: Endpoints<'g> = Vec::new();
        let mut x = unit(&(scope / "Conv3d_1a_7x7"), clips, 64, 7, 2);
        endpoints.push(("Conv3d_1a_7x7", x));
        x = pooled(x, [1, 3, 3], [1, 2, 2]);
        for (name, outputs, kernel) in [("Conv3d_2b_1x1", 64, 1), ("Conv3d_2c_3x3", 192, 3)] {
            x = unit(&(scope / name), x, outputs, kernel, 1);
            endpoints.push((name, x));
        }
        let pools = [
            ([1, 3, 3], [1, 2, 2]),
            ([3, 3, 3], [2; 3]),
            ([2, 2, 2], [2; 3]),
        ];
        let stages: [&[Mixed]; 3] = [&MIXED_3, &MIXED_4, &MIXED_5];
        for ((sizes, strides), stage) in pools.into_iter().zip(stages) {
            x = pooled(x, sizes, strides);
            for (name, widths) in stage {
                x = mixed(&(scope / name), x, *widths);
                endpoints.push((name, x));
            }
        }
        x = x.average_pool(&[2, 7, 7], &[Slide::default(); 3]);
        endpoints.push(("pooled", x));
        let head = Conv::new(CLASSES, [1; 3]).forward(scope / "logits" / "conv3d", x);
        endpoints.push(("logits", head.mean([2, 3, 4])));
        endpoints
    }

    /// The parameters in a file.
    ///
    /// # Errors
    /// If it cannot be read, or does not fit.
    pub fn load(&self, path: &Path) -> Result<Tensors, I3dError> {
        let file: Checkpoint = checkpoint::load(path, Weights::Raw)?;
        let graph = Graph::new();
        let scope = Scope::root(&graph);
        let clips = graph.input("clips", DType::F32, [1, 3, FEWEST_FRAMES, SIDE, SIDE]);
        self.endpoints(&scope, clips);
        let specs = scope.specs();
        let expected = specs.iter().map(|spec| (&spec.name, &spec.ty.shape[..]));
        let tensors = match_parameters(&file, expected, &[]);
        let tensors = tensors.map_err(|error| I3dError::Mismatch {
            path: path.into(),
            error,
        })?;
        let one = |(spec, tensor): (&bsq_ir::tensor::ParameterSpec, &HostTensor)| {
            Ok((spec.name.clone(), tensor.to_dtype(DType::F32)?))
        };
        specs.iter().zip(tensors).map(one).collect()
    }
}

/// A convolution without bias, what batches of the training have left, and a rectifier.
#[track_caller]
fn unit<'g>(
    scope: &Scope<'g>,
    x: Tensor<'g>,
    outputs: usize,
    kernel: usize,
    stride: usize,
) -> Tensor<'g> {
    let mut conv = Conv::new(outputs, [kernel; 3]).without_bias();
    conv.slides = same(x, [kernel; 3], [stride; 3]);
    let x = conv.forward(scope / "conv3d", x);
    let norm = BatchNorm {
        epsilon: 1e-3,
        ..BatchNorm::default()
    };
    let mut memory = BatchMemory::new(BatchUse::Inference);
    relu(norm.forward(scope / "bn", x, &mut memory))
}

#[track_caller]
fn mixed<'g>(scope: &Scope<'g>, x: Tensor<'g>, widths: [usize; 6]) -> Tensor<'g> {
    let [b0, b1a, b1b, b2a, b2b, b3b] = widths;
    let unit = |name: &str, x, outputs, kernel| unit(&(scope / name), x, outputs, kernel, 1);
    let branches = [
        unit("b0", x, b0, 1),
        unit("b1b", unit("b1a", x, b1a, 1), b1b, 3),
        unit("b2b", unit("b2a", x, b2a, 1), b2b, 3),
        unit("b3b", pooled(x, [3; 3], [1; 3]), b3b, 1),
    ];
    x.graph().concat(&branches, 1)
}

#[track_caller]
fn pooled(x: Tensor<'_>, sizes: [usize; 3], strides: [usize; 3]) -> Tensor<'_> {
    x.max_pool(&sizes, &same(x, sizes, strides))
}

/// TensorFlow's `SAME`.
fn same(x: Tensor<'_>, sizes: [usize; 3], strides: [usize; 3]) -> [Slide; 3] {
    let shape = x.shape();
    std::array::from_fn(|axis| {
        let (n, size, stride) = (shape[axis + 2], sizes[axis], strides[axis]);
        let span = (n.div_ceil(stride) - 1) * stride + size;
        let total = span.saturating_sub(n);
        Slide {
            stride,
            dilation: 1,
            padding: [total / 2, total - total / 2],
        }
    })
}
